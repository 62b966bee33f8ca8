import { kindOfBackend } from '../airflow/backend-class.ts';
import { wholeNumberOf } from '../airflow/config-option.ts';
import type { CanarySettings } from './report.ts';

/** The workers' settings as the exporter was told them; null: nobody told it. */
export interface ToldSettings {
  readonly backend: string | null;
  /** All of these paths are in force. */
  readonly paths: readonly string[] | null;
  readonly threshold: number | null;
}

/** A pool that is heard, with the settings that it resolves. */
export interface HeardPool {
  readonly name: string;
  readonly settings: CanarySettings;
}

export type Option = 'xcom_backend' | 'xcom_objectstorage_path' | 'xcom_objectstorage_threshold';

/** An option that is not the same everywhere. */
export interface Difference {
  readonly option: Option;
  /** By value, with the pools that have it. */
  readonly values: readonly { readonly value: string; readonly pools: readonly string[] }[];
  /** The value that the exporter was told, which may be empty; null: none. */
  readonly told: string | null;
  /** The pools that differ from what the exporter was told, or else from what most pools have. */
  readonly odd: readonly string[];
}

/** Compression is left out: a reader takes it from the name of the object. */
export function differences(heard: readonly HeardPool[], told: ToldSettings): Difference[] {
  // A path and a threshold mean nothing to a backend that does not read them: that is one difference, not three.
  const offloading = heard.filter(({ settings }) => settings.object_storage);
  // No path is what Airflow reads from an empty option, and a worker tells it so.
  const paths = told.paths?.length === 0 ? [''] : (told.paths?.map(withoutEndSlash) ?? null);
  return [
    difference('xcom_backend', heard, {
      valueOf: backendOf,
      told: told.backend === null ? null : [told.backend],
      isSame: isSameClass,
    }),
    difference('xcom_objectstorage_path', offloading, { valueOf: pathOf, told: paths, isSame: isEqual }),
    difference('xcom_objectstorage_threshold', offloading, {
      valueOf: thresholdOf,
      told: told.threshold === null ? null : [String(told.threshold)],
      isSame: isSameThreshold,
    }),
  ].flatMap((one) => one ?? []);
}

/**
 * The settings that all pools agree on, to be used if nobody told them; null: the pools differ, or one is not heard.
 */
export interface AgreedSettings {
  readonly backend: string | null;
  readonly path: string | null;
  readonly threshold: string | null;
  readonly compression: string | null;
}

export function agreed(heard: readonly HeardPool[]): AgreedSettings {
  const one = (valueOf: (settings: CanarySettings) => string): string | null => {
    const values = new Set(heard.map(({ settings }) => valueOf(settings)));
    return values.size === 1 ? ([...values][0] ?? null) : null;
  };
  return {
    backend: one(backendOf),
    path: one(pathOf),
    threshold: one(thresholdOf),
    compression: one(({ compression }) => compression),
  };
}

function difference(
  option: Option,
  heard: readonly HeardPool[],
  {
    valueOf,
    told,
    isSame,
  }: {
    valueOf: (settings: CanarySettings) => string;
    told: readonly string[] | null;
    isSame: (one: string, other: string) => boolean;
  },
): Difference | null {
  const byValue = new Map<string, string[]>();
  for (const { name, settings } of heard) {
    const value = valueOf(settings);
    byValue.set(value, [...(byValue.get(value) ?? []), name]);
  }
  const values = [...byValue].map(([value, pools]) => ({ value, pools }));
  const [most] = [...values].sort((a, b) => b.pools.length - a.pools.length);
  const unusual = values.filter((one) =>
    told === null ? one !== most : !told.some((each) => isSame(each, one.value)),
  );
  // Several paths are in force if the exporter was told so.
  const isOne = values.length <= 1 || (told !== null && told.length > 1);
  if (unusual.length === 0 && isOne) return null;
  return {
    option,
    values,
    told: told === null ? null : told.join(', '),
    odd: unusual.flatMap(({ pools }) => pools),
  };
}

const isEqual = (one: string, other: string): boolean => one === other;

/** Every number below 0 turns offloading off, and no value reaches this one: beyond them thresholds do not differ. */
const LEAST_THRESHOLD = -1;
const MOST_THRESHOLD = 2 ** 63;

/** Numbers are compared because the exporter holds the nearest double of a large number. */
function isSameThreshold(one: string, other: string): boolean {
  const bounded = (text: string) => Math.min(Math.max(Number(text), LEAST_THRESHOLD), MOST_THRESHOLD);
  return bounded(one) === bounded(other);
}

/**
 * The option may name a class by a module that only imports it, but the class itself has the module in which it is
 * written. So only the names of the classes are compared. An empty option is Airflow's own class.
 */
function isSameClass(one: string, other: string): boolean {
  if (kindOfBackend(one) === 'database' && kindOfBackend(other) === 'database') return true;
  return one.split('.').at(-1) === other.split('.').at(-1);
}

const backendOf = ({ backend }: CanarySettings): string => backend;
const pathOf = ({ path }: CanarySettings): string => withoutEndSlash(path);

/**
 * The threshold in bytes as Airflow reads it; unset or below 0 is -1, and 2^63 is the most. Null: it is not known. The worker's own reading counts; a
 * report without one is read by the rule of Airflow.
 */
export function thresholdBytes({
  threshold,
  threshold_bytes: read,
}: Pick<CanarySettings, 'threshold' | 'threshold_bytes'>): bigint | null {
  if (read === null) return null;
  const number = wholeNumberOf(read ?? threshold ?? '-1')?.number ?? null;
  if (number === null) return null;
  if (number < 0n) return BigInt(LEAST_THRESHOLD);
  return number > BigInt(MOST_THRESHOLD) ? BigInt(MOST_THRESHOLD) : number;
}

/** A text that is no number is shown as it is. */
function thresholdOf(settings: CanarySettings): string {
  return String(thresholdBytes(settings) ?? settings.threshold ?? '-1');
}

function withoutEndSlash(path: string): string {
  return path.replace(/\/+$/, '');
}
