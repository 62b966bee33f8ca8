import type { XComPath } from '../airflow/xcom-path.ts';
import { parseXComPath } from '../airflow/xcom-path.ts';
import type { ToldSetting } from '../settings/catalogue.ts';
import type { Config } from '../settings/config.ts';
import type { SettingOrigin } from '../settings/origins.ts';
import type { CanaryVerdict } from './verdict.ts';

/** A setting that nobody told the exporter, as all pools of the canary have it. */
export interface HeardSetting {
  readonly name: ToldSetting;
  /** The value, to be shown; '' when there is none. */
  readonly shown: string;
  readonly from: string;
}

export interface KnownSettings {
  /** The settings that were told. A setting that nobody told has the value that all pools of the canary agree on. */
  readonly xcom: Config['xcom'];
  /** The settings that the canary alone tells. */
  readonly heard: readonly HeardSetting[];
}

/** Longer paths are cut where they are reported, so a path of this length is not believed. */
const MOST_PATH = 500;
/** Stands for text that the DAG file or the exporter has left out. */
const MASK = '***';

/**
 * Airflow's settings as far as they are known. A setting that was told stands. A report of a pool is no reason to write
 * anywhere, so the probe uses only settings that were told. `xcom.oversize` stays as it is: the counters keep one
 * meaning while they count.
 */
export function knownSettings(told: Config['xcom'], canary: CanaryVerdict | null): KnownSettings {
  if (canary === null) return { xcom: told, heard: [] };
  const { agreed, pools } = canary;
  const from = originOf(pools.map(({ name }) => name));
  const heard: HeardSetting[] = [];

  function known<Value>(name: ToldSetting, own: Value | null, said: Said<Value> | null): Value | null {
    if (own !== null || said === null) return own;
    heard.push({ name, shown: said.shown, from });
    return said.value;
  }

  const paths = known('xcom.path', told.paths, pathsOf(agreed.path));
  const xcom = {
    ...told,
    paths,
    inForce: told.paths === null ? (paths?.[0] ?? null) : told.inForce,
    threshold: known('xcom.threshold', told.threshold, thresholdOf(agreed.threshold)),
    compression: known('xcom.compression', told.compression, textOf(agreed.compression)),
    backend: known('xcom.backend', told.backend, textOf(backendOf(agreed.backend))),
  };
  return { xcom, heard };
}

/** The settings as they are shown, with what was heard in place of what nobody told. */
export function withHeard(
  origins: readonly SettingOrigin[],
  heard: readonly HeardSetting[],
): readonly SettingOrigin[] {
  return origins.map((origin) => {
    const one = heard.find(({ name }) => name === origin.name);
    return one === undefined ? origin : { ...origin, shown: one.shown, origin: 'canary', from: one.from };
  });
}

interface Said<Value> {
  readonly value: Value;
  readonly shown: string;
}

function originOf(names: readonly string[]): string {
  const [first = ''] = names;
  return names.length === 1 ? `the canary of queue ${first}` : `the canary of all ${names.length} queues`;
}

function pathsOf(path: string | null): Said<readonly XComPath[]> | null {
  if (path === null || path.includes(MASK) || path.length >= MOST_PATH) return null;
  if (path === '') return { value: [], shown: '' };
  try {
    return { value: [parseXComPath(path)], shown: path };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return null;
  }
}

function thresholdOf(threshold: string | null): Said<number> | null {
  // The pools agree on a number in plain digits, or on a text that is none.
  if (threshold === null || !/^-?\d+$/.test(threshold)) return null;
  return { value: Number(threshold), shown: threshold };
}

function textOf(text: string | null): Said<string> | null {
  return text === null ? null : { value: text, shown: text };
}

/** Airflow uses its own class if no backend is set, so that class counts as no backend. */
function backendOf(backend: string | null): string | null {
  return backend !== null && /^airflow\.(?:models|sdk)\.(?:\w+\.)*BaseXCom$/.test(backend) ? '' : backend;
}
