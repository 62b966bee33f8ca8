import type { CanaryMemory, PoolMemory, Told } from './memory.ts';
import type { Payload } from './payload.ts';
import { payloadOf } from './payload.ts';
import type { CanarySettings, Outcome } from './report.ts';
import type { AgreedSettings, Difference, ToldSettings } from './settings.ts';
import { agreed, differences } from './settings.ts';

/** After so many intervals without a report a pool is silent, and its earlier reports no longer count. */
const SILENT_INTERVALS = 3;

export type Operation = Outcome['operation'];

/** One operation of one pool, as of its latest report. */
export interface OperationVerdict {
  readonly operation: Operation;
  readonly ok: boolean;
  /** The longest, if there are several. */
  readonly seconds: number;
  /** Why it failed, in words without a value or a credential. */
  readonly faults: readonly string[];
}

/** The verdict on one pool of workers. */
export interface PoolVerdict {
  readonly name: string;
  /**
   * `untold`: nothing failed, but the pool did not see where its value went. `waits`: nothing has come yet, and no
   * report is overdue.
   */
  readonly state: 'works' | 'fails' | 'untold' | 'silent' | 'waits';
  /** When it was last heard, epoch ms; null: never. */
  readonly heardAt: number | null;
  /** The place of the value of its latest push; null: the push failed, or nothing is known of it. */
  readonly payload: Payload['kind'] | null;
  /** Known as long as the pool is heard. */
  readonly settings: CanarySettings | null;
  readonly operations: readonly OperationVerdict[];
  readonly succeededAt: PoolMemory['succeededAt'];
  /** The state of the task of a silent pool. */
  readonly silence: string | null;
}

export interface CanaryVerdict {
  readonly pools: readonly PoolVerdict[];
  /** Options that differ among the pools that are heard, or from what the exporter was told. */
  readonly differences: readonly Difference[];
  readonly agreed: AgreedSettings;
}

/** Whether the latest value went into object storage and the same pool pulled it: a value kept in a row shows nothing. */
export function isReadBack({ payload, operations }: PoolVerdict): boolean {
  return payload === 'stored' && operations.some(({ operation, ok }) => operation === 'pull' && ok);
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
    payload: null,
    settings: null,
    operations: [],
    succeededAt,
    silence: null,
  };
  if (!isCurrent(look)) {
    if (now - pool.expectedSince <= overdueMs) return { ...plain, state: 'waits' };
    return { ...plain, state: 'silent', silence: silenceOf(pool, { now, overdueMs }) };
  }
  // The reports of the other tasks count as long as they are not overdue themselves.
  const current = [look, told.read, told.clean].filter(isCurrent);
  const operations = operationsOf(current);
  const payload = payloadOf(look.report)?.kind ?? null;
  const soFar = payload === 'untold' ? 'untold' : 'works';
  return {
    ...plain,
    state: operations.every(({ ok }) => ok) ? soFar : 'fails',
    payload,
    settings: look.report.settings ?? null,
    operations,
  };
}

function operationsOf(told: readonly Told[]): OperationVerdict[] {
  const found = new Map<Operation, OperationVerdict>();
  for (const { report } of told) {
    const payload = payloadOf(report);
    for (const outcome of report.operations) {
      const { operation, seconds } = outcome;
      // Then it is not known whether the push did its work.
      if (operation === 'push' && payload?.kind === 'untold') continue;
      // A push that raises nothing may have put the value where it does not belong.
      const misplaced = operation === 'push' && payload?.kind === 'misplaced' ? [payload.fault] : [];
      const faults = [...faultOf(outcome), ...misplaced];
      const before = found.get(operation);
      const all = [...(before?.faults ?? []), ...faults];
      found.set(operation, {
        operation,
        ok: all.length === 0,
        seconds: Math.max(before?.seconds ?? 0, seconds),
        faults: all,
      });
    }
  }
  return [...found.values()];
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

/** Why no report came, as far as the pool's task in the latest run shows it. */
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
