import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

/**
 * The metrics promised to dashboards and alerts, written by hand: not made from the code, and the code does not read
 * them.
 */
export interface PromisedMetric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

export const PROMISED_METRICS = JSON.parse(
  readFileSync(new URL('../fixtures/contract/metrics.json', import.meta.url), 'utf8'),
) as readonly PromisedMetric[];

export interface Sample {
  /** The name as written: a histogram's samples have `_bucket`, `_sum` or `_count`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

export type Scrape = ReadonlyMap<string, Family>;

const PREFIX = 'airflow_xcom_';
const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const NUMBER = /^(?:[+-]?Inf|NaN|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/;

/**
 * Reads the text format 0.0.4 as strictly as it is defined. HELP and TYPE stand once for each family, before its
 * samples. Only known escapes are allowed, and no series appears twice. Throws an error with the line number.
 */
export function parseScrape(text: string): Scrape {
  if (!text.endsWith('\n')) throw new Error('The scrape does not end with a line feed');
  const families = new Map<string, Family & { samples: Sample[] }>();
  const series = new Set<string>();
  const help = new Map<string, string>();
  let current: string | null = null;

  text.split('\n').forEach((line, i) => {
    const fail = (reason: string): never => {
      throw new Error(`Line ${i + 1} of the scrape: ${reason}: ${line.slice(0, 200)}`);
    };
    if (line === '') return;
    if (line.startsWith('#')) {
      const [, word = '', name = '', rest = ''] =
        /^# (HELP|TYPE) (\S+) (.*)$/s.exec(line) ?? fail('is no HELP or TYPE');
      if (!NAME.test(name)) fail('has a malformed name');
      if (word === 'HELP') {
        if (help.has(name)) fail('is a second HELP');
        help.set(name, unescape(rest, '\\n') ?? fail('has an unknown escape'));
        return;
      }
      if (families.has(name)) fail('is a second TYPE');
      if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) fail('has an unknown type');
      families.set(name, {
        name,
        type: rest,
        help: help.get(name) ?? fail('has no HELP before it'),
        samples: [],
      });
      current = name;
      return;
    }
    const sample = parseSample(line) ?? fail('is no sample');
    const family = families.get(current ?? '') ?? fail('comes before any TYPE');
    if (!belongs(sample.name, family)) fail(`does not belong to ${family.name}`);
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    if (series.has(key)) fail('is there twice');
    series.add(key);
    family.samples.push(sample);
  });
  return families;
}

/** The value of one series, or undefined when it is absent. All labels must be given. */
export function sampleOf(
  scrape: Scrape,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = JSON.stringify(Object.entries(labels).sort());
  for (const family of scrape.values()) {
    for (const sample of family.samples) {
      if (sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted)
        return sample.value;
    }
  }
  return undefined;
}

/** As {@link sampleOf}, but from the text of a scrape, without reading the other series: for tests that ask often. */
export function valueIn(
  text: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = JSON.stringify(Object.entries(labels).sort());
  const start = `\n${name}`;
  for (let at = text.indexOf(start); at !== -1; at = text.indexOf(start, at + 1)) {
    const line = text.slice(at + 1, text.indexOf('\n', at + 1));
    const sample = parseSample(line);
    if (sample === null) throw new Error(`A line of the scrape is no sample: ${line.slice(0, 200)}`);
    if (sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted)
      return sample.value;
  }
  return undefined;
}

/**
 * Fails if a metric with our prefix is missing, extra, of another type or with other labels. Gives the parsed scrape.
 */
export function expectScrapeMatchesContract(text: string): Scrape {
  const scrape = parseScrape(text);
  const ours = [...scrape.values()].filter(({ name }) => name.startsWith(PREFIX));
  expect(ours.map(({ name, type }) => `${name} ${type}`).sort()).toEqual(
    PROMISED_METRICS.map(({ name, type }) => `${name} ${type}`).sort(),
  );
  const promised = new Map(PROMISED_METRICS.map(({ name, labels }) => [name, [...labels].sort().join()]));
  for (const { name, type, samples } of ours) {
    // One assertion for all samples: one for each sample would take most of the time of many tests.
    const wrong = samples.filter(({ labels, value }) => {
      const given = Object.keys(labels).filter((label) => type !== 'histogram' || label !== 'le');
      if (given.sort().join() !== promised.get(name)) return true;
      return Number.isNaN(value) || (type !== 'gauge' && value < 0);
    });
    expect(wrong, `samples of ${name}, its labels are ${promised.get(name) ?? ''}`).toEqual([]);
    if (type === 'histogram') expectCumulative(name, samples);
  }
  return scrape;
}

function expectCumulative(name: string, samples: readonly Sample[]): void {
  for (const total of samples.filter((sample) => sample.name === `${name}_count`)) {
    const buckets = samples.filter(
      (sample) =>
        sample.name === `${name}_bucket` &&
        Object.entries(total.labels).every(([label, value]) => sample.labels[label] === value),
    );
    const bounds = buckets.map(({ labels }) => toNumber(labels['le'] ?? ''));
    const counts = buckets.map(({ value }) => value);
    const series = `${name}${JSON.stringify(total.labels)}`;
    expect(bounds, `bounds of ${series}`).toEqual([...bounds].sort((a, b) => a - b));
    expect(counts, `buckets of ${series}`).toEqual([...counts].sort((a, b) => a - b));
    expect(bounds.at(-1), `the last bound of ${series}`).toBe(Infinity);
    expect(counts.at(-1), `the last bucket of ${series}`).toBe(total.value);
  }
}

function belongs(name: string, family: Family): boolean {
  if (family.type !== 'histogram' && family.type !== 'summary') return name === family.name;
  return ['_bucket', '_sum', '_count', ''].some((end) => name === family.name + end);
}

function parseSample(line: string): Sample | null {
  const [, name = '', inBraces = '', value = ''] = /^([^\s{]+)(?:\{(.*)\})? (\S+)$/s.exec(line) ?? [];
  if (!NAME.test(name) || !NUMBER.test(value)) return null;
  const labels: Record<string, string> = {};
  const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,(?=.)|$)/sy;
  while (label.lastIndex < inBraces.length) {
    const [, key = '', escaped = ''] = label.exec(inBraces) ?? [];
    const text = unescape(escaped, '\\"n');
    if (key === '' || text === null || Object.hasOwn(labels, key)) return null;
    labels[key] = text;
  }
  return { name, labels, value: toNumber(value) };
}

function toNumber(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}

/** Null when a backslash stands before a character that is not in `allowed`. */
function unescape(text: string, allowed: string): string | null {
  const escapes = text.match(/\\.?/gsu) ?? [];
  if (escapes.some((escape) => escape.length < 2 || !allowed.includes(escape.slice(1)))) return null;
  return text.replaceAll(/\\(.)/gsu, (_, character: string) => (character === 'n' ? '\n' : character));
}
