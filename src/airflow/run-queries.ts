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

/** Whether a run began or ended in the window, whose start is the given parameter; also if nothing tells. */
function isRecent({ hasRunAfter }: Shape, since: string): string {
  const moments = ['queued_at', 'start_date', 'end_date', ...(hasRunAfter ? ['run_after'] : [])];
  return `coalesce(greatest(${moments.join(', ')}) >= to_timestamp(${since}::float8 / 1000), true)`;
}

/** Finds the lowest id of so many runs, the youngest below `below`; the index alone gives it. */
export function runPageStatement(options: { below: number; limit: number }): Statement {
  return {
    name: 'run_page',
    text: /* SQL */ `
      SELECT min(id) AS "first"
      FROM (SELECT id FROM dag_run WHERE id < $1::bigint ORDER BY id DESC LIMIT $2::int) page`,
    values: [options.below, options.limit],
  };
}

/** Reads the recent runs from the id `first` to below the id `below`, youngest first. */
export function recentRunsStatement(
  shape: Shape,
  options: { first: number; below: number; sinceMs: number },
): Statement {
  return {
    name: 'recent_runs',
    text: /* SQL */ `
      SELECT ${RUN_COLUMNS} FROM dag_run
      WHERE id >= $1::bigint AND id < $2::bigint AND ${isRecent(shape, '$3')}
      ORDER BY id DESC`,
    values: [options.first, options.below, options.sinceMs],
  };
}

/** Finds the recent runs among those of some names. */
export function runsNamedStatement(
  shape: Shape,
  options: { names: readonly { readonly dagId: string; readonly runId: string }[]; sinceMs: number },
): Statement {
  const { names, sinceMs } = options;
  return {
    name: 'runs_named',
    text: /* SQL */ `
      SELECT r.id FROM unnest($1::text[], $2::text[]) AS w(dag_id, run_id)
      JOIN dag_run r ON r.dag_id = w.dag_id AND r.run_id = w.run_id
      WHERE r.state IN ('queued', 'running') OR ${isRecent(shape, '$3')}`,
    values: [names.map(({ dagId }) => dagId), names.map(({ runId }) => runId), sinceMs],
  };
}
