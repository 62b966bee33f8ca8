/** The metrics of prom-client. Only this file imports prom-client, so that replacing it is one change. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { assertNever } from '../lib/assert-never.ts';
import { createPace } from '../lib/pace.ts';
import type { KeyOf, MetricDefinition, MetricKey } from './catalogue.ts';
import { CATALOGUE, fullName, METRICS } from './catalogue.ts';
import type { Recorder } from './series.ts';

/** `cycle`: many series, which change with a cycle. `live`: few series, which change at any time. */
type Part = 'cycle' | 'live';

/** Records all metrics and writes them as text. */
export interface Families extends Recorder {
  /** Whether any metric of the part has changed since it was last written. */
  readonly changed: (part: Part) => boolean;
  /** Writes the metrics as they are at one moment. Metrics that have not changed are not rendered again. */
  readonly write: (part: Part) => Promise<Buffer>;
}

export function createFamilies(): Families {
  const registry = new Registry();
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  const parts: Readonly<Record<Part, string[]>> = { cycle: [], live: [] };
  const texts = new Map<string, Buffer>();
  /** The metrics that have changed since they were last written. */
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
        // prom-client starts an unlabelled gauge at 0, but a gauge must be absent until its value is known.
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

  /** Gives the family and marks it as changed. */
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
    // A metric that changes while another is written is written again, so that all are of one moment.
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
      // reset() sets an unlabelled metric to 0 instead of removing it.
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
      // A second writer at the same time would find metrics marked as written whose text is not there yet.
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

/**
 * How long the figures of the process are reused: reading them from the system for each of many scrapes is needless.
 */
const RUNTIME_MS = 1_000;

/** Gives the figures of the process as text; the same bytes as long as they are reused. */
export function createRuntime(): () => Promise<Buffer> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // `promtool check metrics` rejects these gauges, which are named *_total; the same figures exist by type.
  for (const kind of ['handles', 'requests', 'resources']) {
    registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  }
  let readAt = -Infinity;
  let current = Promise.resolve(Buffer.alloc(0));
  return () => {
    const now = performance.now();
    if (now - readAt >= RUNTIME_MS) {
      readAt = now;
      // The lag of the event loop has no mean if nothing ran since the last reading: prom-client prints `Nan` then.
      current = registry.metrics().then((text) => Buffer.from(text.replaceAll(/^\S+ Nan\n/gm, '')));
    }
    return current;
  };
}
