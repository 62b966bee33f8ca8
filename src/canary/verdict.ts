import { parseXComPath } from '../airflow/xcom-path.ts';
import type { CanaryMemory, PoolMemory, Told } from './memory.ts';
import type { CanarySettings, Outcome } from './report.ts';
import type { AgreedSettings, Difference, ToldSettings } from './settings.ts';
import { agreed, differences } from './settings.ts';

/** After so many intervals without a report a pool is silent, and what it said before is no longer said of it. */
const SILENT_INTERVALS = 3;

export type Operation = Outcome['operation'];

/** One operation of one pool, as of its latest report. */
export interface OperationVerdict {
  readonly operation: Operation;
  readonly ok: boolean;
  /** The longest, where there are several. */
  readonly seconds: number;
  /** Why it failed, in words without a value or a credential. */
  readonly faults: readonly string[];
}

/** What is to be said of one pool of workers. */
export interface PoolVerdict {
  readonly name: string;
  /** `waits`: nothing has come yet, and it is not overdue. */
  readonly state: 'works' | 'fails' | 'silent' | 'waits';
  /** When it was last heard, epoch ms; null: never. */
  readonly heardAt: number | null;
  /** Known as long as it is heard. */
  readonly settings: CanarySettings | null;
  readonly operations: readonly OperationVerdict[];
  readonly succeededAt: PoolMemory['succeededAt'];
  /** The state of the task of a silent pool. */
  readonly silence: string | null;
}

export interface CanaryVerdict {
  readonly pools: readonly PoolVerdict[];
  /** Options that are not the same everywhere, among the pools that are heard and what the exporter was told. */
  readonly differences: readonly Difference[];
  readonly agreed: AgreedSettings;
}

/** Null: no canary has been seen. Pure: `now` is the database's clock, epoch ms. */
export function judgeCanary(
  { pools, intervalMs }: CanaryMemory,
  { now, told }: { readonly now: number; readonly told: ToldSettings },
): CanaryVerdict | null {
  if (pools.length === 0) return null;
  const overdueMs = intervalMs === 0 ? Infinity : SILENT_INTERVALS * intervalMs;
  const judged = pools.map((pool) => judgePool(pool, { now, overdueMs }));
  const heard = judged.flatMap(({ name, settings }) => (settings === null ? [] : [{ name, settings }]));
  return {
    pools: judged,
    differences: differences(heard, told),
    agreed: agreed(heard.length === judged.length ? heard : []),
  };
}

function judgePool(
  pool: PoolMemory,
  { now, overdueMs }: { readonly now: number; readonly overdueMs: number },
): PoolVerdict {
  const { name, told, succeededAt } = pool;
  const isCurrent = (one: Told | undefined): one is Told => one !== undefined && now - one.at <= overdueMs;
  const look = told.look;
  const plain = {
    name,
    heardAt: look?.at ?? null,
    settings: null,
    operations: [],
    succeededAt,
    silence: null,
  };
  if (!isCurrent(look)) {
    if (now - pool.expectedSince <= overdueMs) return { ...plain, state: 'waits' };
    return { ...plain, state: 'silent', silence: silenceOf(pool, { now, overdueMs }) };
  }
  // What another task of an earlier run said is no word on this one, unless it is all there is yet.
  const current = [look, told.read, told.clean].filter(isCurrent);
  const operations = operationsOf(current);
  return {
    ...plain,
    state: operations.every(({ ok }) => ok) ? 'works' : 'fails',
    settings: look.report.settings ?? null,
    operations,
  };
}

function operationsOf(told: readonly Told[]): OperationVerdict[] {
  const found = new Map<Operation, OperationVerdict>();
  for (const { report } of told)
    for (const outcome of report.operations) {
      const { operation, seconds } = outcome;
      const faults = [
        ...faultOf(outcome),
        ...(operation === 'push' && outcome.ok ? faultsOfForm(report) : []),
      ];
      const before = found.get(operation);
      const all = [...(before?.faults ?? []), ...faults];
      found.set(operation, {
        operation,
        ok: all.length === 0,
        seconds: Math.max(before?.seconds ?? 0, seconds),
        faults: all,
      });
    }
  return [...found.values()];
}

/** A push that raises nothing may have put the value where it does not belong. */
function faultsOfForm({ settings, payload }: Told['report']): string[] {
  if (settings?.object_storage !== true || payload === undefined) return [];
  const threshold = Number((settings.threshold ?? '-1').replaceAll('_', ''));
  if (payload.form === 'value' && threshold >= 0 && payload.bytes >= threshold)
    return [`${payload.bytes} bytes stayed in the database although the threshold there is ${threshold}`];
  if (payload.form === 'reference' && isOnDisk(settings.path))
    return [
      `the value went to the disk of the worker: the path there is ${settings.path === '' ? 'empty' : settings.path}`,
    ];
  return [];
}

function isOnDisk(path: string): boolean {
  try {
    return parseXComPath(path).bucket === '';
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}

function faultOf({ ok, error, got, from }: Outcome): string[] {
  if (ok) return [];
  const of = from === undefined ? '' : ` of what ${from} pushed`;
  if (error !== undefined) {
    const { code, request, cause } = error;
    const raised = `${error.class}${cause === undefined ? '' : ` caused by ${cause}`}`;
    return [
      code === undefined
        ? `${raised}${of}`
        : `the storage answered ${code} to ${request ?? 'a request'} (${raised})${of}`,
    ];
  }
  switch (got) {
    case 'path':
      return [`the path of the object was handed over instead of the value${of}`];
    case 'nothing':
      return [`nothing was handed over${of}`];
    case 'equal':
    case 'other':
    case undefined:
      return [`another value was handed over${of}`];
  }
}

/** Why nothing came, as far as its task in the latest run tells. */
function silenceOf(
  { task }: PoolMemory,
  { now, overdueMs }: { readonly now: number; readonly overdueMs: number },
): string {
  if (task === null) return 'no task of it is in the latest runs';
  if (now - task.runAt > overdueMs)
    return 'no run has begun for three intervals: the DAG is paused, or the scheduler does not run';
  switch (task.state) {
    case 'queued':
    case 'scheduled':
    case null:
      return `its task waits (${task.state ?? 'no state'}): no worker takes it`;
    case 'running':
    case 'restarting':
      return 'its task runs and has not reported';
    case 'success':
      return 'its task succeeded, and its report was refused or deleted';
    case 'skipped':
      return 'its task was given up when the run had lasted three intervals: no worker took it';
    default:
      return 'its task failed before it could report, as where the XCom backend cannot be imported';
  }
}
