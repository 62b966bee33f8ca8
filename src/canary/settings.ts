import type { CanarySettings } from './report.ts';

/** What the exporter was told of the workers' settings; null: nobody told it. */
export interface ToldSettings {
  readonly backend: string | null;
  /** All of them are in force. */
  readonly paths: readonly string[] | null;
  readonly threshold: number | null;
}

/** A pool that is heard, with what it resolves. */
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
  /** What the exporter was told; null: nothing. */
  readonly told: string | null;
}

/** Compression is not among them: a reader takes it from the name of the object. */
export function differences(heard: readonly HeardPool[], told: ToldSettings): Difference[] {
  // A path and a threshold mean nothing where the backend does not read them: that is one difference, not three.
  const offloading = heard.filter(({ settings }) => settings.object_storage);
  const paths = told.paths?.map(withoutEndSlash) ?? null;
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
      isSame: isSameNumber,
    }),
  ].flatMap((one) => one ?? []);
}

/** What all pools agree on, so that it may stand for what nobody told; null: they do not, or one is not heard. */
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
  const isAsTold =
    told === null || [...byValue.keys()].every((value) => told.some((one) => isSame(one, value)));
  // Several paths are in force where the exporter was told so.
  const isOne = byValue.size <= 1 || (told !== null && told.length > 1);
  if (isAsTold && isOne) return null;
  return {
    option,
    values: [...byValue].map(([value, pools]) => ({ value, pools })),
    told: told === null ? null : told.join(', '),
  };
}

const isEqual = (one: string, other: string): boolean => one === other;
/** The exporter holds the nearest double of a large number. */
const isSameNumber = (one: string, other: string): boolean => Number(one) === Number(other);

/** The option may name a class by a module that only imports it: the class itself has the module that it is written in. */
function isSameClass(one: string, other: string): boolean {
  return one.split('.').at(-1) === other.split('.').at(-1);
}

const backendOf = ({ backend }: CanarySettings): string => backend;
const pathOf = ({ path }: CanarySettings): string => withoutEndSlash(path);

/** As Airflow means it: unset is -1, and what is no number is shown as it is. */
function thresholdOf({ threshold }: CanarySettings): string {
  // Python reads 1_000 as a number.
  const plain = (threshold ?? '-1').replace(/^\+/, '').replaceAll(/(?<=\d)_(?=\d)/g, '');
  return /^-?\d+$/.test(plain) ? String(BigInt(plain)) : plain;
}

function withoutEndSlash(path: string): string {
  return path.replace(/\/+$/, '');
}
