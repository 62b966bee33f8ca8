import { PROBED } from './probed.ts';
import { SHAPE_TABLES } from '../../src/airflow/shape.ts';
import { pino } from 'pino';
import type { CatalogueColumn, Shape, XComSource } from '../../src/airflow/shape.ts';
import { recogniseShape } from '../../src/airflow/shape.ts';
import type { CanarySeen } from '../../src/daemon/canary-watch.ts';
import type { Cycle } from '../../src/daemon/cycle.ts';
import { createCycle } from '../../src/daemon/cycle.ts';
import type { Report } from '../../src/diagnosis/report.ts';
import type { Database } from '../../src/postgres/client.ts';
import { openDatabase } from '../../src/postgres/client.ts';
import type { PostgresWriter } from '../../src/postgres/writer.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import { openStores } from '../../src/s3/stores.ts';
import type { Config } from '../../src/settings/config.ts';
import { requireDatabase } from '../../src/settings/config.ts';
import { readConfig } from '../../src/settings/read-config.ts';
import type { Increment } from '../../src/window/increments.ts';
import type { LedgerState } from '../../src/window/ledger-state.ts';
import { listReleases, readSchema, tablesOf } from './airflow-fixture.ts';
import { ALWAYS_COMPARED } from './compared.ts';
import { createDatabase } from './database.ts';
import { recordRequests } from './s3.ts';
import { uuid7 } from './uuid7.ts';

/** A database with the empty tables of one release, and the changes that a test makes in it. */
export interface Stage {
  readonly shape: Shape;
  /** The table into which this release writes new rows. */
  readonly source: XComSource;
  readonly url: string;
  readonly writer: PostgresWriter;
  /** Empties the tables: the next cycle that is opened finds nothing. */
  clear(): Promise<void>;
  addRun(run: NewRun, on?: PostgresWriter): Promise<Run>;
  setState(run: Run, state: string, on?: PostgresWriter): Promise<void>;
  deleteRun(run: Run): Promise<void>;
  addTask(task: NewTask, on?: PostgresWriter): Promise<void>;
  /**
   * Clears a task as Airflow 3.4 does: its task instance and rows stay, and the next push belongs to another
   * instance.
   */
  clearTask(task: Pick<NewTask, 'run' | 'taskId'>): Promise<void>;
  /** Sets an XCom as Airflow does: deletes the row with this key and inserts another. */
  push(xcom: NewXCom, on?: PostgresWriter): Promise<void>;
  /** Copies the rows with this key `count` times. The keys are numbered from 1: `key 1`. */
  multiply(key: string, count: number): Promise<void>;
  /** Changes a value in place and keeps its timestamp, as the REST API does. Gives the number of rows. */
  patch(xcom: Omit<NewXCom, 'table'>, on?: PostgresWriter): Promise<void>;
  remove(xcom: Omit<NewXCom, 'stored'>, on?: PostgresWriter): Promise<void>;
  /** Opens a connection of its own, for a transaction. */
  connect(): Promise<PostgresWriter>;
  close(): Promise<void>;
}

export interface Run {
  readonly id: number;
  readonly dagId: string;
  readonly runId: string;
}

export interface NewRun {
  readonly dagId: string;
  readonly runId: string;
  readonly state?: string;
  /** How many seconds ago every event of the run happened. */
  readonly agoSeconds?: number;
}

export interface NewTask {
  readonly run: Run;
  readonly taskId: string;
  readonly mapIndex?: number;
  readonly queue?: string;
}

export interface NewXCom extends NewTask {
  readonly key?: string;
  /** JSON text for jsonb, bytes for bytea, null for SQL NULL. */
  readonly stored: string | Uint8Array | null;
  /** The row's age by its own timestamp, in seconds; negative for a clock that is ahead. */
  readonly agoSeconds?: number;
  /** The table, if it is not the one for new rows. */
  readonly table?: XComSource['table'];
}

/** The newest release of each table shape, so that a release added later is covered without being named here. */
export function listShapes(): { readonly shape: string; readonly release: string }[] {
  const newest = new Map<string, string>();
  for (const release of listReleases()) {
    const shape = shapeOf(release);
    newest.set(shape.name, release);
  }
  return [...newest].map(([shape, release]) => ({ shape, release }));
}

/** The shape that the recorded DDL of a release has, read from its text. */
export function shapeOf(release: string): Shape {
  const columns: CatalogueColumn[] = [];
  for (const [, table = '', body = ''] of readSchema(release).matchAll(
    /^CREATE TABLE public\.(\w+) \(\n(.*?)^\);/gms,
  ))
    for (const [, column = '', type = ''] of body.matchAll(/^ {4}"?([a-z_]+)"? ([a-z ]+)/gm))
      columns.push({ table, column, type: type.trim(), mayRead: true, hidesRows: false });
  const shape = recogniseShape(columns);
  if ('unsupported' in shape) throw new Error(`Release ${release}: ${shape.unsupported}`);
  return shape;
}

/**
 * Opens a stage. With `fill`, calls it after the tables are made and before their keys and indexes; no foreign keys
 * then.
 */
export async function openStage(
  postgres: { readonly url: string },
  release: string,
  { fill }: { fill?: (on: Pick<Stage, 'writer' | 'shape'>) => Promise<void> } = {},
): Promise<Stage> {
  const shape = shapeOf(release);
  const [first] = shape.sources;
  const source = shape.sources.at(-1) ?? first;
  if (source === undefined) throw new Error(`Release ${release} has no table of XComs`);
  const url = await createDatabase(postgres, fill === undefined ? tablesOf(release) : undefined);
  const writer = await openWriter({ url, connections: 1 });
  if (fill !== undefined) {
    const schema = readSchema(release);
    const keys = schema.search(/^ALTER TABLE ONLY \S+\n {4}ADD CONSTRAINT/m);
    await writer.query(schema.slice(0, keys).replaceAll(/^CREATE TABLE/gm, 'CREATE UNLOGGED TABLE'));
    await writer.query('SET search_path = public');
    await fill({ writer, shape });
    await writer.query(
      schema
        .slice(keys)
        .replaceAll(/^ALTER TABLE ONLY \S+\n {4}ADD CONSTRAINT [^;]* FOREIGN KEY [^;]*;$/gm, ''),
    );
    await writer.query('ANALYZE');
  }
  await writer.query('SET search_path = public');
  // A test may delete an owner and leave its rows of xcom_v1 behind.
  if (fill === undefined && shape.sources.some(({ table }) => table === 'xcom_v1'))
    await writer.query('ALTER TABLE xcom_v1 DROP CONSTRAINT xcom_task_instance_fkey');
  const runFiller = await fillers(writer, 'dag_run');
  const taskFiller = await fillers(writer, 'task_instance');
  const mapIndexOf = ({ mapIndex = -1 }: NewTask) => mapIndex;
  const latestTry = shape.keepsTries ? 'AND working_set' : '';
  const others: PostgresWriter[] = [];

  /** The `WHERE` clause for one row, with the parameters $1…$5. */
  function thatRow({ run, key = 'return_value', ...task }: Omit<NewXCom, 'stored'>): {
    where: string;
    values: unknown[];
    table: string;
  } {
    const table = task.table ?? source?.table ?? '';
    const values = [run.dagId, run.runId, task.taskId, mapIndexOf({ run, ...task }), key];
    return table === 'xcom_v2'
      ? {
          table,
          values,
          where: `key = $5 AND task_instance_id IN (SELECT id FROM task_instance
            WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND ${shape.mapIndexColumn} = $4 ${latestTry})`,
        }
      : {
          table,
          values,
          where: 'dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4 AND key = $5',
        };
  }

  const stage: Stage = {
    shape,
    source,
    url,
    writer,
    async clear() {
      // TRUNCATE makes every table and its indexes again, which takes forty times as long as DELETE.
      const tables = [...shape.sources.map(({ table }) => table), 'task_instance', 'dag_run'];
      await writer.query(tables.map((table) => `DELETE FROM ${table}`).join(';'));
    },
    async addRun({ dagId, runId, state = 'running', agoSeconds = 0 }, on = writer) {
      const moments = ['queued_at', 'start_date', 'end_date', ...(shape.hasRunAfter ? ['run_after'] : [])];
      const own = ['dag_id', 'run_id', 'state', ...moments, 'execution_date'];
      const extra = runFiller.filter(({ column }) => !own.includes(column));
      const dated = runFiller.some(({ column }) => column === 'execution_date') ? ['execution_date'] : [];
      const [row] = await on.query<{ id: number }>(
        /* SQL */ `
        INSERT INTO dag_run (${['dag_id', 'run_id', 'state', ...moments, ...dated, ...extra.map(({ column }) => column)].join(', ')})
        VALUES ($1, $2, $3, ${[...moments, ...dated]
          .map((column): string => {
            if (column === 'execution_date') return 'clock_timestamp()';
            if (column === 'end_date' && (state === 'running' || state === 'queued')) return 'NULL';
            return `now() - make_interval(secs => $4::float8)`;
          })
          .concat(extra.map(({ value }) => value))
          .join(', ')})
        RETURNING id`,
        [dagId, runId, state, agoSeconds],
      );
      if (row === undefined) throw new Error('The run was not inserted');
      return { id: row.id, dagId, runId };
    },
    async setState(run, state, on = writer) {
      const ended = state === 'running' || state === 'queued' ? 'NULL' : 'now()';
      await on.query(`UPDATE dag_run SET state = $2, end_date = ${ended} WHERE id = $1`, [run.id, state]);
    },
    async deleteRun(run) {
      await writer.query('DELETE FROM dag_run WHERE id = $1', [run.id]);
    },
    // The task's try began before everything that the task pushed.
    async addTask(task, on = writer) {
      const at = ['dag_id', 'run_id', 'task_id', shape.mapIndexColumn];
      const own = [...at, 'queue', 'operator', 'hostname', 'start_date'];
      const extra = taskFiller.filter(({ column }) => !own.includes(column));
      await on.query(
        /* SQL */ `
        INSERT INTO task_instance (${[...own, ...extra.map(({ column }) => column)].join(', ')})
        VALUES ($1, $2, $3, $4, $5, 'PythonOperator', 'worker-1', now() - interval '30 days'${extra.map(({ value }) => `, ${value}`).join('')})
        ON CONFLICT DO NOTHING`,
        [task.run.dagId, task.run.runId, task.taskId, mapIndexOf(task), task.queue ?? 'default'],
      );
    },
    async clearTask({ run, taskId }) {
      const earlier = await writer.query<{ id: string }>(
        /* SQL */ `
        UPDATE task_instance SET working_set = NULL
        WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND working_set RETURNING id`,
        [run.dagId, run.runId, taskId],
      );
      const next = `jsonb_build_object('id', ${uuid7('clock_timestamp()')}, 'working_set', true, 'try_number', ti.try_number + 1)`;
      await writer.query(
        /* SQL */ `
        INSERT INTO task_instance SELECT y.* FROM task_instance ti, LATERAL jsonb_populate_record(ti, ${next}) y
        WHERE ti.id = ANY($1::uuid[])`,
        [earlier.map(({ id }) => id)],
      );
    },
    async push(xcom, on = writer) {
      await stage.addTask(xcom, on);
      await stage.remove(xcom, on);
      const { table, values } = thatRow(xcom);
      const isV2 = table === 'xcom_v2';
      const type = shape.sources.find((one) => one.table === table)?.value ?? 'jsonb';
      const stored = typeof xcom.stored === 'object' ? xcom.stored && Buffer.from(xcom.stored) : xcom.stored;
      const timestamp = 'clock_timestamp() - make_interval(secs => $7::float8)';
      const text = isV2
        ? /* SQL */ `
          INSERT INTO xcom_v2 (id, task_instance_id, key, value, timestamp)
          SELECT ${uuid7('clock_timestamp() - make_interval(secs => $7::float8)')}, id, $5, $6::jsonb, ${timestamp} FROM task_instance
          WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND ${shape.mapIndexColumn} = $4 ${latestTry}`
        : /* SQL */ `
          INSERT INTO ${table} (dag_run_id, dag_id, run_id, task_id, map_index, key, value, timestamp)
          SELECT id, dag_id, run_id, $3, $4::int, $5, $6::${type}, ${timestamp} FROM dag_run
          WHERE dag_id = $1 AND run_id = $2`;
      await on.query(text, [...values, stored, xcom.agoSeconds ?? 0]);
      // The migration to 3.4 made the owner of the row, from the task instance that was the latest then.
      if (table === 'xcom_v1')
        await on.query(
          /* SQL */ `
          INSERT INTO legacy_task_data_owner (dag_id, run_id, task_id, map_index, task_instance_id)
          SELECT dag_id, run_id, task_id, ${shape.mapIndexColumn}, id FROM task_instance
          WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND ${shape.mapIndexColumn} = $4 AND working_set
          ON CONFLICT DO NOTHING`,
          values.slice(0, 4),
        );
    },
    async multiply(key, count) {
      const id = source.table === 'xcom_v2' ? `, 'id', ${uuid7('clock_timestamp()')}` : '';
      await writer.query(
        /* SQL */ `
        INSERT INTO ${source.table}
        SELECT y.* FROM ${source.table} x, generate_series(1, $2::int) n,
          LATERAL jsonb_populate_record(x, jsonb_build_object('key', x.key || ' ' || n${id})) y
        WHERE x.key = $1`,
        [key, count],
      );
    },
    async patch(xcom, on = writer) {
      const { table, where, values } = thatRow(xcom);
      const stored = typeof xcom.stored === 'object' ? xcom.stored && Buffer.from(xcom.stored) : xcom.stored;
      await on.query(`UPDATE ${table} SET value = $6 WHERE ${where}`, [...values, stored]);
    },
    async remove(xcom, on = writer) {
      const { table, where, values } = thatRow(xcom);
      await on.query(`DELETE FROM ${table} WHERE ${where}`, values);
    },
    async connect() {
      const other = await openWriter({ url, connections: 1 });
      others.push(other);
      return other;
    },
    async close() {
      await Promise.all([writer, ...others].map((one) => one.close()));
    },
  };
  return stage;
}

/** Columns that must be filled and have no default, each with an SQL expression for some value of its type. */
async function fillers(writer: PostgresWriter, table: string): Promise<{ column: string; value: string }[]> {
  const columns = await writer.query<{ column: string; type: string }>(
    /* SQL */ `
    SELECT column_name AS "column", data_type AS "type" FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = $1 AND is_nullable = 'NO' AND column_default IS NULL`,
    [table],
  );
  const VALUES: Readonly<Record<string, string>> = {
    integer: '1',
    'character varying': `'x'`,
    uuid: uuid7('clock_timestamp()'),
    boolean: 'false',
    'timestamp with time zone': 'clock_timestamp()',
  };
  return columns.map(({ column, type }) => {
    const value = VALUES[type];
    if (value === undefined) throw new Error(`No value is known for ${table}.${column} of type ${type}`);
    return { column, value };
  });
}

/** The exporter's settings, read from the environment that a worker would have. */
export function stageConfig(stage: Stage, env: Readonly<Record<string, string | undefined>> = {}): Config {
  return readConfig({
    argv: [],
    env: {
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: stage.url,
      AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: '',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@airflow-xcom/base',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1000',
      ...env,
    },
    readFile: () => '',
  });
}

export interface StageCycle extends Cycle {
  /** Runs once; fails the test if the report speaks of a failed database. */
  pass(): Promise<Report>;
  readonly config: Config;
  close(): Promise<void>;
}

/** A cycle over real servers. `through` may wrap the database. */
export function openCycle(
  stage: Stage,
  options: {
    /** The endpoint of the embedded S3. */
    readonly endpoint: string;
    readonly env?: Readonly<Record<string, string | undefined>>;
    readonly restored?: LedgerState | null;
    readonly canarySeen?: CanarySeen;
    readonly workersACycle?: number;
    readonly through?: (database: Database) => Pick<Database, 'read'>;
  },
): StageCycle {
  const connection = `aws://key:secret@/?region_name=us-east-1&endpoint_url=${encodeURIComponent(options.endpoint)}`;
  const config = stageConfig(stage, { AIRFLOW_CONN_AWS_XCOM: connection, ...options.env });
  const stores = openStores(config.s3, { observer: recordRequests(), log: pino({ level: 'silent' }) });
  const database = openDatabase(requireDatabase(config), { lock: null, tables: SHAPE_TABLES });
  const cycle = createCycle({
    config,
    database: options.through?.(database) ?? database,
    stores,
    stored: { pushFaults: () => [] },
    restored: options.restored ?? null,
    canarySeen: options.canarySeen ?? null,
    workersACycle: options.workersACycle ?? 1_000,
    random: Math.random,
    clock: Date.now,
    comparison: ALWAYS_COMPARED,
  });
  return {
    ...cycle,
    config,
    async pass() {
      const report = await cycle.run(PROBED, new AbortController().signal);
      if (report.databaseFailure !== null) throw new Error(report.databaseFailure.detail);
      return report;
    },
    async close() {
      stores.close();
      await database.close();
    },
  };
}

/** Adds increments up: `metric{labels}` -> sum. For the histogram, gives the observed sizes in order. */
export function sumUp(increments: readonly Increment[]): {
  readonly counters: Readonly<Record<string, number>>;
  readonly sizes: Readonly<Record<string, readonly number[]>>;
} {
  const counters = new Map<string, number>();
  const sizes = new Map<string, number[]>();
  for (const { metric, ...rest } of increments) {
    if ('bytes' in rest) {
      sizes.set(rest.storage, [...(sizes.get(rest.storage) ?? []), rest.bytes]);
      continue;
    }
    const { by, ...labels } = rest;
    const name = [metric, ...Object.values(labels)].join(' ');
    counters.set(name, (counters.get(name) ?? 0) + by);
  }
  const sorted = [...counters].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    counters: Object.fromEntries(sorted.filter(([, by]) => by !== 0)),
    sizes: Object.fromEntries(
      [...sizes].sort().map(([storage, list]) => [storage, list.sort((a, b) => a - b)]),
    ),
  };
}
