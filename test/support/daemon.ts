import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import type { Exporter } from '../../src/daemon/exporter.ts';
import { startExporter } from '../../src/daemon/exporter.ts';
import { AIRFLOW_SCHEMA } from '../../src/demo/airflow-schema.ts';
import type { EmbeddedS3 } from '../../src/demo/embedded-s3.ts';
import { createXComBackend } from '../../src/demo/xcom-backend.ts';
import { createLogger } from '../../src/lib/log.ts';
import type { PostgresWriter } from '../../src/postgres/writer.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import { openObjectStore } from '../../src/s3/client.ts';
import { readConfig } from '../../src/settings/read-config.ts';
import type { Scrape } from './contract.ts';
import { parseScrape, valueIn } from './contract.ts';
import { createDatabase } from './database.ts';
import { connectionTo, recordRequests } from './s3.ts';

/** Airflow's tables in a database of their own, with tasks that push XComs as Airflow does. */
export interface SmallAirflow {
  /** The database's address at the server itself, not through a proxy. */
  readonly url: string;
  readonly writer: PostgresWriter;
  /** The path below which this Airflow keeps its objects. */
  readonly path: string;
  /**
   * Pushes one value from a task of its own; gives the key of its object, or null when the value stays in the
   * database.
   */
  push(value: unknown): Promise<string | null>;
  deleteObject(key: string): Promise<void>;
  close(): Promise<void>;
}

/** Bytes from which a pushed value becomes an object. */
export const THRESHOLD = 100;
const bucket = 'airflow-xcom';
const connection = 'aws_xcom';

/**
 * The bucket `airflow-xcom` must exist. Daemons that listen on port 0 write their test objects under the same name.
 * Each Airflow therefore has a prefix of its own, so that no daemon deletes the objects of another.
 */
export async function startAirflow(
  postgres: { readonly url: string },
  s3: EmbeddedS3,
  prefix = `xcom/${randomUUID()}`,
): Promise<SmallAirflow> {
  const url = await createDatabase(postgres, { name: 'demo', sql: AIRFLOW_SCHEMA });
  const writer = await openWriter({ url, connections: 2 });
  const [run] = await writer.query<{ id: number }>(/* SQL */ `
    INSERT INTO dag_run (dag_id, run_id, run_type, run_after, start_date, state)
    VALUES ('orders', 'manual__1', 'manual', now(), now(), 'running') RETURNING id`);
  const objects = openObjectStore(connectionTo(s3.endpoint, s3), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
  const { signal } = new AbortController();
  const base = { connection, bucket, prefix };
  const backend = createXComBackend({ database: writer, objects, base, signal });
  let tasks = 0;
  return {
    url,
    writer,
    path: `s3://${connection}@${bucket}/${prefix}`,
    push: async (value) => {
      tasks += 1;
      const taskId = `task_${tasks}`;
      await writer.query(
        /* SQL */ `INSERT INTO task_instance
          (id, task_id, dag_id, run_id, try_number, pool, pool_slots, queue, state)
          VALUES (gen_random_uuid(), $1, 'orders', 'manual__1', 1, 'default_pool', 1, 'default', 'success')`,
        [taskId],
      );
      const place = { dagRunId: run?.id ?? 0, dagId: 'orders', runId: 'manual__1', taskId, mapIndex: -1 };
      const { objectKey } = await backend.push(place, { key: 'return_value', value, threshold: THRESHOLD });
      return objectKey;
    },
    deleteObject: async (key) => {
      await objects.delete({ bucket, key }, signal);
    },
    close: async () => {
      objects.close();
      await writer.close();
    },
  };
}

/**
 * The environment of a worker, with a cycle every second. `database` and `storage` may be proxies in front of the
 * servers.
 */
export function workerEnv(
  airflow: SmallAirflow,
  s3: EmbeddedS3,
  at: { database?: { host: string; port: number }; storage?: { host: string; port: number } } = {},
): Record<string, string> {
  const url = new URL(airflow.url);
  if (at.database !== undefined) url.host = `${at.database.host}:${at.database.port}`;
  const storage = at.storage ?? s3;
  const endpoint = encodeURIComponent(`http://${storage.host}:${storage.port}`);
  return {
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url.href.replace('postgresql:', 'postgresql+psycopg2:'),
    AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: '',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: airflow.path,
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: String(THRESHOLD),
    AIRFLOW_CONN_AWS_XCOM: `aws://${s3.accessKeyId}:${s3.secretAccessKey}@/?endpoint_url=${endpoint}&region_name=${s3.region}`,
    XCOM_EXPORTER_SAMPLE_SCHEDULE: '* * * * * *',
    XCOM_EXPORTER_PROBE_SCHEDULE: '* * * * * *',
    XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
    XCOM_EXPORTER_LOG_LEVEL: 'debug',
  };
}

/** The parts of an exporter that a test looks at, wherever the exporter runs. */
export interface Face {
  readonly url: string;
  get(path: string): Promise<{ status: number; text: string }>;
  scrape(): Promise<Scrape>;
  /** The value of `airflow_xcom_<name>`; undefined when it is absent. */
  value(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>;
}

export function faceOf(port: number): Face {
  const url = `http://127.0.0.1:${port}`;
  async function get(path: string) {
    const answer = await fetch(url + path, {
      // Packing and unpacking the answers would take most of the time of a test that asks often.
      headers: { 'accept-encoding': 'identity' },
      signal: AbortSignal.timeout(5_000),
    });
    return { status: answer.status, text: await answer.text() };
  }
  return {
    url,
    get,
    scrape: async () => parseScrape((await get('/metrics')).text),
    value: async (name, labels) => valueIn((await get('/metrics')).text, `airflow_xcom_${name}`, labels),
  };
}

export type Daemon = Face &
  Exporter & {
    readonly lines: readonly string[];
    /** A reload with a change that no test looks at: the jobs begin again. */
    readonly renew: () => ReturnType<Exporter['reload']>;
  };

/** The exporter in this process. Each reload reads `env` again. */
export async function startDaemon(env: Readonly<Record<string, string>>): Promise<Daemon> {
  const lines: string[] = [];
  const log = createLogger({ level: 'debug', format: 'json' }, { write: (text) => lines.push(text) });
  let renewals = 0;
  const read = () =>
    readConfig({
      argv: [],
      env: renewals === 0 ? env : { ...env, XCOM_EXPORTER_AIRFLOW_BASE_URL: `http://airflow/${renewals}` },
      readFile: () => {
        throw new Error('no file is named');
      },
    });
  const exporter = await startExporter(read(), {
    log,
    version: '0.0.0',
    readConfig: read,
    reloadsApartMs: 0,
  });
  const renew = () => {
    renewals += 1;
    return exporter.reload();
  };
  return { ...exporter, ...faceOf(exporter.port), lines, renew };
}

/** Tries until the check does not throw. When the time is over, throws the last error. Gives the seconds it took. */
export async function eventually(check: () => Promise<void> | void, seconds = 20): Promise<number> {
  const start = performance.now();
  // Retries quickly at first, then more slowly: a long wait must not take CPU time from the process it waits for.
  for (let pause = 25; ; pause = Math.min(2 * pause, 250)) {
    try {
      await check();
      return (performance.now() - start) / 1_000;
    } catch (error) {
      if (performance.now() - start > seconds * 1_000) throw error;
      await delay(pause);
    }
  }
}

/** The exporter's backends in the database of this Airflow, as the server sees them. */
export async function backendsOf(airflow: SmallAirflow): Promise<readonly { state: string | null }[]> {
  return airflow.writer.query(/* SQL */ `
    SELECT state FROM pg_stat_activity
    WHERE application_name = 'airflow-xcom-exporter' AND datname = current_database()`);
}
