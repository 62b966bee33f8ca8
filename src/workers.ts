import { workersStatement } from './airflow/queries.ts';
import type { Reference } from './airflow/reference.ts';
import type { Shape } from './airflow/shape.ts';
import { isOversize } from './classify.ts';
import type { Query } from './clients/postgres.ts';
import { brokenReason, isReference } from './ledger.ts';
import type { Entry, Ledger, Worker } from './ledger.ts';

/** Task instances that one cycle looks up besides those that a counter waits for. */
const OTHERS_A_CYCLE = 1_000;

/**
 * Entries whose worker matters: what is wrong, and what went right beside it, to compare. What is new is
 * counted by queue at once, so all of it is looked up; the rest has time.
 */
export function worthAttributing(
  ledger: Ledger,
  oversize: number,
  inForce: (reference: Reference) => boolean,
): Entry[] {
  const entries = [...ledger.entries()];
  const wrong = entries.filter(
    (entry) =>
      isOversize(entry.placement, oversize) ||
      brokenReason(entry, inForce) !== null ||
      entry.placement.storage === 'other' ||
      (entry.row.key === 'skipmixin_key' && isReference(entry)),
  );
  const anyOversize = wrong.some((entry) => isOversize(entry.placement, oversize));
  const beside = anyOversize ? entries.filter(isReference) : [];
  const newest = (list: readonly Entry[]) =>
    list.filter(({ worker }) => worker === null).sort((a, b) => b.row.at - a.row.at);
  const open = newest(wrong);
  const counted = open.filter(({ baseline }) => !baseline);
  const others = [...open.filter(({ baseline }) => baseline), ...newest(beside)];
  return [...counted, ...others.slice(0, OTHERS_A_CYCLE)];
}

export async function attribute(query: Query, shape: Shape, entries: readonly Entry[]): Promise<void> {
  if (entries.length === 0) return;
  const name = (task: { dagId: string; runId: string; taskId: string; mapIndex: number }) =>
    JSON.stringify([task.dagId, task.runId, task.taskId, task.mapIndex]);
  const rows = await query<Worker & { dagId: string; runId: string; taskId: string; mapIndex: number }>(
    workersStatement(
      shape,
      entries.map(({ row }) => row),
    ),
  );
  const workers = new Map(rows.map((row) => [name(row), row]));
  for (const entry of entries) {
    const found = workers.get(name(entry.row));
    entry.worker = {
      queue: found?.queue ?? null,
      executor: found?.executor ?? null,
      hostname: found?.hostname ?? null,
      operator: found?.operator ?? null,
    };
  }
}
