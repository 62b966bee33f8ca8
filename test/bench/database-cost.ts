import { readFile } from 'node:fs/promises';
import { openWriter } from '../../src/postgres/writer.ts';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import type { Stage } from '../support/seed.ts';

/** The work that the server did for one role. */
export interface Cost {
  /** Pages of 8 kB looked at, in memory or on disk, planning included. */
  readonly buffers: number;
  /** Rows that scans gave back, of all tables of Airflow. */
  readonly rowsRead: number;
  /** Time in the server, planning included. */
  readonly ms: number;
  readonly wallMs: number;
  /** Pages of values that are stored out of line, and of their index. */
  readonly toastBuffers: number;
  /** Rows whose value was unpacked to be measured. */
  readonly measuredRows: number;
  readonly statements: readonly {
    readonly text: string;
    readonly calls: number;
    readonly buffers: number;
    readonly ms: number;
  }[];
}

/** Prepares two roles that may read, and gives their URLs. Ours has the grants that the documentation gives it. */
export async function prepareMeasuring(
  stage: Stage,
  postgres: EmbeddedPostgres,
): Promise<{ exporter: string; rival: string }> {
  const admin = await openWriter({ url: postgres.url, connections: 1 });
  await admin.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
  await admin.close();
  const { writer } = stage;
  await writer.query(await readFile(new URL('../../docs/sql/role.sql', import.meta.url), 'utf8'));
  await writer.query(`ALTER ROLE xcom_exporter PASSWORD 'bench'`);
  await writer.query(`CREATE EXTENSION pg_stat_statements`);
  const [known] = await writer.query(`SELECT FROM pg_roles WHERE rolname = 'rival'`);
  if (known === undefined) await writer.query(`CREATE ROLE rival LOGIN PASSWORD 'bench'`);
  await writer.query('GRANT SELECT ON ALL TABLES IN SCHEMA public TO rival');
  const as = (role: string) => {
    const url = new URL(stage.url);
    url.username = role;
    url.password = 'bench';
    return url.href;
  };
  return { exporter: as('xcom_exporter'), rival: as('rival') };
}

export async function costOf(
  { writer }: Stage,
  options: { role: string; flush: () => Promise<void>; work: () => Promise<void> },
): Promise<Cost> {
  // A session reports its statistics with a delay: this makes the writer report those of its earlier writes.
  await writer.query('SELECT pg_stat_force_next_flush()');
  const before = await readTables(writer);
  await writer.query('SELECT pg_stat_statements_reset()');
  await options.work();
  const statements = await writer.query<Cost['statements'][number]>(
    /* SQL */ `
    SELECT regexp_replace(left(query, 300), '\\s+', ' ', 'g') AS text, calls::int,
      (shared_blks_hit + shared_blks_read)::float8 AS buffers, total_exec_time + total_plan_time AS ms
    FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
    WHERE r.rolname = $1 AND toplevel ORDER BY 3 DESC`,
    [options.role],
  );
  await options.flush();
  const after = await readTables(writer);
  return {
    buffers: statements.reduce((sum, { buffers }) => sum + buffers, 0),
    ms: statements.reduce((sum, { ms }) => sum + ms, 0),
    wallMs: 0,
    measuredRows: 0,
    rowsRead: after.rows - before.rows,
    toastBuffers: after.toast - before.toast,
    statements: statements.filter(({ buffers }) => buffers > 0),
  };
}

/**
 * The server counts these figures for all sessions together: nothing else may read the tables during a measurement.
 */
async function readTables(writer: Stage['writer']): Promise<{ rows: number; toast: number }> {
  const [row] = await writer.query<{ rows: number; toast: number }>(/* SQL */ `
    SELECT sum(coalesce(t.seq_tup_read, 0) + coalesce(t.idx_tup_fetch, 0))::float8 AS rows,
      sum(coalesce(io.toast_blks_hit, 0) + coalesce(io.toast_blks_read, 0)
        + coalesce(io.tidx_blks_hit, 0) + coalesce(io.tidx_blks_read, 0))::float8 AS toast
    FROM pg_stat_user_tables t JOIN pg_statio_user_tables io USING (relid)
    WHERE t.relname IN ('dag_run', 'task_instance', 'xcom', 'xcom_v1', 'xcom_v2')`);
  return row ?? { rows: 0, toast: 0 };
}
