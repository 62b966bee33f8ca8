import type { Entry } from './ledger.ts';
import type { Finding, Problem } from './report.ts';

/** A problem that is there, told by its figures, places and rows; or that it is not, or not known. */
export type Verdict = Omit<Problem, 'code' | 'since'> | 'clear' | 'unknown';

/** Rows that a page shows of one problem at most. */
const MAX_FINDINGS = 50;

export function say(
  evidence: string,
  entries: readonly Entry[] = [],
  where: Problem['where'] = topPlaces(entries),
): Verdict {
  const latest = [...entries].sort((a, b) => b.row.at - a.row.at).slice(0, MAX_FINDINGS);
  return { evidence, where, findings: latest.map(finding) };
}

export function topPlaces(entries: readonly Entry[]): Problem['where'] {
  const top = (label: string, value: (entry: Entry) => string | null) => {
    const rows = new Map<string, number>();
    for (const entry of entries) {
      const name = value(entry);
      if (name !== null && name !== '') rows.set(name, (rows.get(name) ?? 0) + 1);
    }
    return [...rows]
      .map(([name, count]) => ({ label, value: name, rows: count }))
      .sort((a, b) => b.rows - a.rows)
      .slice(0, 3);
  };
  return [
    ...top('dag', ({ row }) => row.dagId),
    ...top('task', ({ row }) => row.taskId),
    ...top('queue', ({ worker }) => worker?.queue ?? null),
  ];
}

function finding({ row, worker, placement, objectBytes }: Entry): Finding {
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
