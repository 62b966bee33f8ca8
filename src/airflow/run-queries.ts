import type { Statement } from '../postgres/client.ts';
import type { Shape } from './shape.ts';

const RUN_COLUMNS = `id, dag_id AS "dagId", run_id AS "runId", state,
        (extract(epoch FROM end_date) * 1000)::float8 AS "endedAt"`;

/**
 * Runs that can have new rows: running, queued, or younger than any run seen. Each branch has its own literal: some
 * installations have partial indexes on the state, and Postgres cannot use those with a parameter.
 */
export function activeRunsStatement(options: { after: number }): Statement {
  return {
    name: 'active_runs',
    text: /* SQL */ `
      SELECT ${RUN_COLUMNS} FROM dag_run WHERE state = 'running'
      UNION SELECT ${RUN_COLUMNS} FROM dag_run WHERE state = 'queued'
      UNION SELECT ${RUN_COLUMNS} FROM dag_run WHERE id > $1::bigint`,
    values: [options.after],
  };
}

export function runsStatement(ids: readonly number[]): Statement {
  return {
    name: 'runs',
    text: /* SQL */ `SELECT ${RUN_COLUMNS} FROM dag_run WHERE id = ANY($1::int[])`,
    values: [ids],
  };
}

/** Reads one page of runs, youngest first, for the first reading of a window. */
export function recentRunsStatement(
  shape: Shape,
  options: { below: number; sinceMs: number; limit: number },
): Statement {
  const moments = ['queued_at', 'start_date', 'end_date', ...(shape.hasRunAfter ? ['run_after'] : [])];
  return {
    name: 'recent_runs',
    text: /* SQL */ `
      SELECT ${RUN_COLUMNS},
        coalesce(greatest(${moments.join(', ')}) >= to_timestamp($2::float8 / 1000), true) AS "recent"
      FROM dag_run WHERE id < $1::bigint ORDER BY id DESC LIMIT $3::int`,
    values: [options.below, options.sinceMs, options.limit],
  };
}
