/** The metrics of prom-client. The only file that imports it, so that its successor is one change. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { assertNever } from '../lib/assert-never.ts';
import { createPace } from '../lib/pace.ts';
import type { KeyOf, MetricDefinition, MetricKey } from './catalogue.ts';
import { CATALOGUE, fullName, METRICS } from './catalogue.ts';
import type { Recorder } from './series.ts';

/** `cycle`: many series, which change with a cycle. `live`: few, which change at any time. */
type Part = 'cycle' | 'live';

/** All metrics, to be recorded and to be written as text. */
export interface Families extends Recorder {
  /** Whether any of these has changed since it was written. */
  readonly changed: (part: Part) => boolean;
  /** As they are at one moment; what has not changed since it was last written is not written again. */
  readonly write: (part: Part) => Promise<Buffer>;
}

export function createFamilies(): Families {
  const registry = new Registry();
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  const parts: Readonly<Record<Part, string[]>> = { cycle: [], live: [] };
  const texts = new Map<string, Buffer>();
  /** Those that have changed since they were written. */
  const stale = new Set<string>();
  let last: Promise<unknown> = Promise.resolve();

  for (const definition of METRICS) {
    const { name, help, group } = definition;
    parts[group === 'probe' || group === 'exporter' ? 'live' : 'cycle'].push(name);
    stale.add(name);
    const config = { name, help, labelNames: [...definition.labels], registers: [registry] };
    switch (definition.type) {
      case 'counter':
        counters.set(name, new Counter(config));
        break;
      case 'gauge': {
        const gauge = new Gauge(config);
        // prom-client gives an unlabelled gauge the value 0 at birth; until it is known it must be absent.
        if (definition.labels.length === 0) gauge.remove();
        gauges.set(name, gauge);
        break;
      }
      case 'histogram':
        histograms.set(name, new Histogram({ ...config, buckets: [...bucketsOf(definition)] }));
        break;
      default:
        assertNever(definition.type);
    }
  }

  /** Gives the family, to be changed. */
  function family<Family>(of: ReadonlyMap<string, Family>, key: MetricKey): Family {
    const name = fullName(key);
    const found = of.get(name);
    if (found === undefined) throw new Error(`The metric ${name} is not registered`);
    stale.add(name);
    return found;
  }

  const isGauge = (key: KeyOf<'gauge' | 'counter'>) => CATALOGUE[key].type === 'gauge';
  const changed = (part: Part) => parts[part].some((name) => stale.has(name));

  async function writeNow(part: Part): Promise<Buffer> {
    const pace = createPace();
    const names = parts[part];
    // What changes while another is written is written again: all of them are of one moment.
    while (changed(part))
      for (const name of names)
        if (stale.delete(name)) {
          texts.set(name, Buffer.from(`${await registry.getSingleMetricAsString(name)}\n\n`));
          await pace.rest();
        }
    return Buffer.concat(names.map((name) => texts.get(name) ?? Buffer.alloc(0)));
  }

  const families: Families = {
    add: (key, labels, by) => {
      family(counters, key).inc(labels, by);
    },
    set: (key, labels, value) => {
      if (value === null) family(gauges, key).remove(labels);
      else family(gauges, key).set(labels, value);
    },
    clear: (key) => {
      const metric = isGauge(key) ? family(gauges, key) : family(counters, key);
      metric.reset();
      // reset() brings an unlabelled one back as 0.
      if (CATALOGUE[key].labels.length === 0) metric.remove();
    },
    show: (key, series, { isOpen }) => {
      if (isOpen) families.clear(key);
      for (const [labels, value] of series)
        if (isGauge(key)) families.set(key as KeyOf<'gauge'>, labels, value);
        else families.add(key as KeyOf<'counter'>, labels, value ?? 0);
    },
    observe: (key, labels, value) => {
      if (value === null) family(histograms, key).zero(labels);
      else family(histograms, key).observe(labels, value);
    },
    changed,
    write(part) {
      // Who comes while another writes would find some of it done, and not yet there.
      const writing = last.then(() => writeNow(part));
      last = writing.catch(() => undefined);
      return writing;
    },
  };
  return families;
}

function bucketsOf(definition: MetricDefinition): readonly number[] {
  if (definition.buckets === undefined) throw new Error(`The histogram ${definition.name} has no buckets`);
  return definition.buckets;
}

/** How long the figures of the process stand: they are read from the system, which many scrapes need not do. */
const RUNTIME_MS = 1_000;

/** Gives the figures of the process as text; the same bytes as long as they stand. */
export function createRuntime(): () => Promise<Buffer> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // Gauges named *_total: `promtool check metrics` rejects them, and the same figures are there by type.
  for (const kind of ['handles', 'requests', 'resources']) {
    registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  }
  let readAt = -Infinity;
  let current = Promise.resolve(Buffer.alloc(0));
  return () => {
    const now = performance.now();
    if (now - readAt >= RUNTIME_MS) {
      readAt = now;
      // The lag of the event loop has no mean when nothing ran since it was read: prom-client prints `Nan` for it.
      current = registry.metrics().then((text) => Buffer.from(text.replaceAll(/^\S+ Nan\n/gm, '')));
    }
    return current;
  };
}
