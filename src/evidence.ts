import type { Entry } from './entry.ts';
import type { Finding, Problem } from './report.ts';

/** A problem that is there, told by its figures, places and rows; or that it is not, or not known. */
export type Verdict = Omit<Problem, 'code' | 'since'> | 'clear' | 'unknown';

/** Rows of one kind: how many, where most of them are, and the latest. */
export interface Evidence {
  readonly rows: number;
  readonly where: Problem['where'];
  readonly findings: readonly Finding[];
}

/** Rows that are named of one problem at most: the API gives them all in one answer. */
export const MAX_FINDINGS = 500;
/** Places of each kind that are named. */
const MAX_PLACES = 3;

export const NO_EVIDENCE: Evidence = { rows: 0, where: [], findings: [] };

export function say(evidence: string, { where, findings }: Omit<Evidence, 'rows'> = NO_EVIDENCE): Verdict {
  return { evidence, where, findings };
}

/** The names that most rows have, of those that have one. */
export function topPlaces(
  label: string,
  counts: Iterable<readonly [name: string | null, rows: number]>,
): Problem['where'] {
  const rows = new Map<string, number>();
  for (const [name, count] of counts)
    if (name !== null && name !== '') rows.set(name, (rows.get(name) ?? 0) + count);
  return [...rows]
    .map(([value, count]) => ({ label, value, rows: count }))
    .sort((a, b) => b.rows - a.rows || inOrder(a.value, b.value))
    .slice(0, MAX_PLACES);
}

/** The latest first; of one moment by their names, since a database gives its rows in no order. */
export function byTime(a: Finding, b: Finding): number {
  return (
    b.at - a.at ||
    inOrder(a.dagId, b.dagId) ||
    inOrder(a.runId, b.runId) ||
    inOrder(a.taskId, b.taskId) ||
    a.mapIndex - b.mapIndex ||
    inOrder(a.key, b.key)
  );
}

function inOrder(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

export function finding({ row, worker, placement, objectBytes }: Entry): Finding {
  return {
    dagId: row.dagId,
    runId: row.runId,
    taskId: row.taskId,
    mapIndex: row.mapIndex,
    key: row.key,
    bytes: placement.storage === 's3' ? objectBytes : placement.bytes,
    queue: worker?.queue ?? null,
    executor: worker?.executor ?? null,
    hostname: worker?.hostname ?? null,
    operator: worker?.operator ?? null,
    at: row.at,
  };
}

export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
