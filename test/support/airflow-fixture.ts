import { SHAPE_TABLES } from '../../src/airflow/shape.ts';
import { readdirSync, readFileSync } from 'node:fs';
import { pino } from 'pino';
import type { Cycle } from '../../src/daemon/cycle.ts';
import { createCycle } from '../../src/daemon/cycle.ts';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import type { EmbeddedS3 } from '../../src/demo/embedded-s3.ts';
import { openDatabase } from '../../src/postgres/client.ts';
import type { PostgresWriter } from '../../src/postgres/writer.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import type { ProbeResult } from '../../src/probe/bucket.ts';
import { probe } from '../../src/probe/bucket.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import { openObjectStore } from '../../src/s3/client.ts';
import type { Config } from '../../src/settings/config.ts';
import { requireDatabase } from '../../src/settings/config.ts';
import { readConfig } from '../../src/settings/read-config.ts';
import { connectionTo, recordRequests, storesOf } from './s3.ts';

const folder = new URL('../fixtures/airflow/', import.meta.url);

export interface ExpectedXCom {
  readonly dag_id: string;
  readonly run_id: string;
  readonly task_id: string;
  readonly map_index: number;
  readonly key: string;
  readonly storage: 'db' | 's3' | 'other';
  readonly measured_bytes?: number;
  readonly broken?: string;
  readonly by_design?: string;
}

export interface Expected {
  readonly xcoms: readonly ExpectedXCom[];
  readonly objects: { readonly live: number; readonly orphans: number };
  readonly problems: readonly string[];
  readonly where: Readonly<Record<string, readonly string[]>>;
}

export interface RecordedObject {
  readonly bucket: string;
  readonly key: string;
  readonly bytes: number;
  readonly last_modified: string;
  readonly body_base64?: string;
  /** Written by a task or asset state store (3.3 and later), under the same path. */
  readonly state_store?: true;
}

/** Every recorded run, found by listing the folder. */
export function listFixtures(): { readonly release: string; readonly scenario: string }[] {
  return listReleases().flatMap((release) =>
    readdirSync(new URL(`${release}/`, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => ({ release, scenario: entry.name }))
      .filter(({ scenario }) =>
        readdirSync(new URL(`${release}/${scenario}/`, folder)).includes('expected.json'),
      ),
  );
}

export function listReleases(): string[] {
  return readdirSync(folder).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

export function readSchema(release: string): string {
  return readFileSync(new URL(`${release}/schema.sql`, folder), 'utf8');
}

export interface ReplayedFixture {
  readonly expected: Expected;
  readonly config: Config;
  readonly env: Readonly<Record<string, string>>;
  readonly cycle: Cycle;
  readonly writer: PostgresWriter;
  readonly recordedObjects: readonly RecordedObject[];
  probe(): Promise<ProbeResult>;
  close(): Promise<void>;
}

/** Hours that the recording is moved into the past: long enough for objects without a row to be orphans. */
const AGE_HOURS = 1;

/** The bucket of every recorded run: the server that is handed to {@link replay} must have it. */
export const RECORDED_BUCKET = 'airflow-xcom';

/** Loads a recorded run into real servers, and opens a cycle on it with the environment its workers had. */
export async function replay(
  servers: { readonly postgres: EmbeddedPostgres; readonly s3: EmbeddedS3 },
  { release, scenario }: { release: string; scenario: string },
): Promise<ReplayedFixture> {
  const { postgres, s3 } = servers;
  const read = (name: string) => readFileSync(new URL(`${release}/${scenario}/${name}`, folder), 'utf8');
  const recorded = JSON.parse(read('scenario.json')) as { recorded_at: string; env: Record<string, string> };
  const expected = JSON.parse(read('expected.json')) as Expected;
  const objects = JSON.parse(read('objects.json')) as RecordedObject[];

  const own = readdirSync(new URL(`${release}/${scenario}/`, folder)).includes('schema.sql');
  const url = await createDatabase(postgres, own ? undefined : await templateOf(postgres, release));
  const writer = await openWriter({ url, connections: 1 });
  if (own) await writer.query(read('schema.sql'));
  await writer.query('SET search_path = public; SET session_replication_role = replica');
  const rows = read('rows.sql');
  await writer.query(rows);
  const filled = [
    ...new Set(Array.from(rows.matchAll(/^INSERT INTO public\.(\w+) /gm), ([, name = '']) => name)),
  ];
  await shiftTimes(writer, { tables: filled, recordedAt: recorded.recorded_at });
  if (filled.length > 0) await writer.query(`ANALYZE ${filled.join(', ')}`);

  const connection = connectionTo(s3.endpoint, s3);
  const observer = recordRequests();
  const direct = openObjectStore(connection, { observer, log: pino({ level: 'silent' }) });
  const { signal } = new AbortController();
  for (const object of objects) {
    const body =
      object.body_base64 === undefined
        ? Buffer.alloc(object.bytes, 'x')
        : Buffer.from(object.body_base64, 'base64');
    const put = await direct.put({ bucket: object.bucket, key: object.key, body }, signal);
    if (put.kind !== 'done') throw new Error(`Cannot put ${object.key}: ${put.detail}`);
  }

  const env = {
    // The options that a recorded worker left alone have Airflow's defaults, and the exporter is told so.
    XCOM_EXPORTER_XCOM_COMPRESSION: recorded.env[`${OPTION}COMPRESSION`] ?? '',
    XCOM_EXPORTER_XCOM_THRESHOLD: recorded.env[`${OPTION}THRESHOLD`] ?? '-1',
    ...recorded.env,
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url.replace('postgresql:', 'postgresql+psycopg2:'),
    ...connectionVariables(recorded.env, s3.endpoint),
  };
  const config = readConfig({ argv: [], env, readFile: (path) => readFileSync(path, 'utf8') });
  const database = openDatabase(requireDatabase(config), { lock: null, tables: SHAPE_TABLES });
  const store = asRecorded(direct, { objects, recordedAt: recorded.recorded_at });
  return {
    expected,
    config,
    env,
    writer,
    recordedObjects: objects,
    cycle: createCycle({
      config,
      database,
      stores: storesOf(store, observer),
      restored: null,
      random: Math.random,
      clock: Date.now,
    }),
    probe: () => {
      const path = config.xcom.inForce;
      return probe(
        direct,
        { bucket: path?.bucket ?? '', prefix: path?.prefix ?? '', write: true, now: Date.now(), id: 'test' },
        signal,
      );
    },
    close: async () => {
      await database.close();
      await writer.close();
      for (const { bucket, key } of objects) await direct.delete({ bucket, key }, signal);
      direct.close();
      await dropDatabase(postgres, url);
    },
  };
}

const OPTION = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_';

let databases = 0;

/** A new database on the server, empty or a copy of another; gives its URL. */
export async function createDatabase(postgres: EmbeddedPostgres, template?: string): Promise<string> {
  databases += 1;
  const name = `airflow_${databases}`;
  await asAdmin(postgres, `CREATE DATABASE ${name}${template === undefined ? '' : ` TEMPLATE ${template}`}`);
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  return url.href;
}

async function dropDatabase(postgres: EmbeddedPostgres, url: string): Promise<void> {
  await asAdmin(postgres, `DROP DATABASE ${new URL(url).pathname.slice(1)}`);
}

async function asAdmin(postgres: EmbeddedPostgres, statement: string): Promise<void> {
  const admin = await openWriter({ url: postgres.url, connections: 1 });
  try {
    await admin.query(statement);
  } finally {
    await admin.close();
  }
}

const templates = new Map<string, string>();

/** A database with a release's schema and nothing in it: a copy of one costs less than its hundreds of statements. */
async function templateOf(postgres: EmbeddedPostgres, release: string): Promise<string> {
  const name = `${postgres.url} ${release}`;
  const known = templates.get(name);
  if (known !== undefined) return known;
  const url = await createDatabase(postgres);
  const writer = await openWriter({ url, connections: 1 });
  await writer.query(readSchema(release));
  await writer.close();
  const template = new URL(url).pathname.slice(1);
  templates.set(name, template);
  return template;
}

/** Points every S3 connection of the recorded environment at the embedded server. */
function connectionVariables(
  env: Readonly<Record<string, string>>,
  endpoint: string,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env)
      .filter(([name]) => name.startsWith('AIRFLOW_CONN_'))
      .map(([name, value]) => [
        name,
        value.replace(/endpoint_url=[^&]*/, `endpoint_url=${encodeURIComponent(endpoint)}`),
      ]),
  );
}

/** Moves every moment so that the recording ended a while ago instead of on the day it was made. */
async function shiftTimes(
  writer: PostgresWriter,
  { tables, recordedAt }: { tables: readonly string[]; recordedAt: string },
): Promise<void> {
  const columns = await writer.query<{ table: string; column: string }>(/* SQL */ `
    SELECT table_name AS "table", column_name AS "column" FROM information_schema.columns
    WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'
      AND table_name IN (${tables.map((name) => `'${name}'`).join(', ') || `''`})`);
  const byTable = new Map<string, string[]>();
  for (const { table, column } of columns) byTable.set(table, [...(byTable.get(table) ?? []), column]);
  for (const [table, names] of byTable)
    await writer.query(
      `UPDATE "${table}" SET ${names
        .map(
          (name) =>
            `"${name}" = "${name}" + (now() - interval '${AGE_HOURS} hour' - '${recordedAt}'::timestamptz)`,
        )
        .join(', ')}`,
    );
}

/** The real store, but with the age that the objects had when they were recorded. */
function asRecorded(
  store: ObjectStore,
  { objects, recordedAt }: { objects: readonly RecordedObject[]; recordedAt: string },
): ObjectStore {
  const shift = Date.now() - AGE_HOURS * 3_600_000 - Date.parse(recordedAt);
  const times = new Map(objects.map(({ key, last_modified }) => [key, Date.parse(last_modified) + shift]));
  return {
    ...store,
    list: async (target, signal) => {
      const answer = await store.list(target, signal);
      if (answer.kind === 'unknown') return answer;
      return {
        ...answer,
        objects: answer.objects.map((object) => ({
          ...object,
          lastModified: times.get(object.key) ?? object.lastModified,
        })),
      };
    },
  };
}
