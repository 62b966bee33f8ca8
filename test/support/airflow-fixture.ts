import { readFileSync, readdirSync } from 'node:fs';
import { pino } from 'pino';
import { SHAPE_TABLES } from '../../src/airflow/shape.ts';
import { createCycle } from '../../src/daemon/cycle.ts';
import type { Cycle } from '../../src/daemon/cycle.ts';
import type { EmbeddedS3 } from '../../src/demo/embedded-s3.ts';
import { openDatabase } from '../../src/postgres/client.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import type { PostgresWriter } from '../../src/postgres/writer.ts';
import { probe } from '../../src/probe/bucket.ts';
import type { ProbeResult } from '../../src/probe/bucket.ts';
import { openObjectStore } from '../../src/s3/client.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import { requireDatabase } from '../../src/settings/config.ts';
import type { Config } from '../../src/settings/config.ts';
import { readConfig } from '../../src/settings/read-config.ts';
import { ALWAYS_COMPARED } from './compared.ts';
import { createDatabase } from './database.ts';
import type { Tables } from './database.ts';
import { connectionTo, plantDirectly, recordRequests, storesOf } from './s3.ts';

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
  /** No problem is raised, and the exporter cannot say that all is healthy either. */
  readonly undecided?: true;
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
  return listScenarios('expected.json');
}

function listScenarios(file: string): { readonly release: string; readonly scenario: string }[] {
  return listReleases().flatMap((release) =>
    readdirSync(new URL(`${release}/`, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => ({ release, scenario: entry.name }))
      .filter(({ scenario }) => readdirSync(new URL(`${release}/${scenario}/`, folder)).includes(file)),
  );
}

/** The verdict that a recording must get, in figures and words. Written by hand from its dags, SQL and a listing. */
export interface ExpectedVerdict {
  readonly rows: Readonly<Record<'db' | 's3' | 'other', number>>;
  readonly broken: Readonly<Record<string, number>>;
  readonly s3_bytes: number;
  /** The least and the most. */
  readonly db_bytes?: readonly [number, number];
  readonly oversize_rows?: number;
  readonly orphans: number;
  /** Exactly these problems are raised; those of `may` are neither required nor wrong. */
  readonly problems: readonly string[];
  readonly may?: readonly string[];
  readonly exit_code: number;
  readonly where?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly evidence?: Readonly<Record<string, { has?: readonly string[]; not?: readonly string[] }>>;
}

/** Every recorded run that has an expected verdict, found by listing the folder. */
export function listVerdicts(): {
  readonly release: string;
  readonly scenario: string;
  readonly verdict: ExpectedVerdict;
  readonly buckets: readonly string[];
}[] {
  return listScenarios('verdict.json').map(({ release, scenario }) => {
    const read = (name: string): unknown =>
      JSON.parse(readFileSync(new URL(`${release}/${scenario}/${name}`, folder), 'utf8'));
    const { buckets } = read('exporter.json') as { buckets: string[] };
    return { release, scenario, verdict: read('verdict.json') as ExpectedVerdict, buckets };
  });
}

export function listReleases(): string[] {
  return readdirSync(folder).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

export function readSchema(release: string): string {
  return readFileSync(new URL(`${release}/schema.sql`, folder), 'utf8');
}

export function tablesOf(release: string): Tables {
  return { name: release, sql: readSchema(release) };
}

export function readExpected({ release, scenario }: { release: string; scenario: string }): Expected {
  return JSON.parse(
    readFileSync(new URL(`${release}/${scenario}/expected.json`, folder), 'utf8'),
  ) as Expected;
}

export interface ReplayedFixture {
  readonly config: Config;
  readonly env: Readonly<Record<string, string>>;
  readonly cycle: Cycle;
  readonly writer: PostgresWriter;
  readonly recordedObjects: readonly RecordedObject[];
  probe(): Promise<ProbeResult>;
  close(): Promise<void>;
}

/** Hours by which the recording is moved into the past: long enough for objects without a row to be orphans. */
const AGE_HOURS = 1;

/**
 * The bucket of recorded runs, and the bucket that one pool has to itself in some. {@link replay} needs both in its
 * server.
 */
export const RECORDED_BUCKET = 'airflow-xcom';
export const RECORDED_BUCKETS = [RECORDED_BUCKET, 'airflow-xcom-pool'];

/** Loads a recorded run into real servers, and opens a cycle on it with the environment that its workers had. */
export async function replay(
  servers: { readonly postgres: { readonly url: string }; readonly s3: EmbeddedS3 },
  { release, scenario }: { release: string; scenario: string },
): Promise<ReplayedFixture> {
  const { postgres, s3 } = servers;
  const read = (name: string) => readFileSync(new URL(`${release}/${scenario}/${name}`, folder), 'utf8');
  const files = readdirSync(new URL(`${release}/${scenario}/`, folder));
  // The environment of a worker, or the settings that the exporter was given.
  const recorded = JSON.parse(read(files.includes('exporter.json') ? 'exporter.json' : 'scenario.json')) as {
    recorded_at: string;
    env: Record<string, string>;
  };
  const objects = JSON.parse(read('objects.json')) as RecordedObject[];

  const hasOwnTables = files.includes('schema.sql');
  const tables = hasOwnTables
    ? { name: `${release}_${scenario}`, sql: read('schema.sql') }
    : tablesOf(release);
  const rows = read('rows.sql');
  const { url, giveBack } = await borrowDatabase(postgres, tables);
  const writer = await openWriter({ url, connections: 1 });
  await writer.query('SET search_path = public; SET session_replication_role = replica');
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
    await plantDirectly(s3, { ...object, body });
  }

  const env = {
    // An option that the recorded worker did not set has Airflow's default; the exporter is told that default.
    [`${OPTION}COMPRESSION`]: '',
    XCOM_EXPORTER_XCOM_THRESHOLD: recorded.env[`${OPTION}THRESHOLD`] ?? '-1',
    ...withoutDatabase(recorded.env),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url.replace('postgresql:', 'postgresql+psycopg2:'),
    ...endpointVariables(recorded.env, s3.endpoint),
  };
  const config = readConfig({ argv: [], env, readFile: (path) => readFileSync(path, 'utf8') });
  const database = openDatabase(requireDatabase(config), { lock: null, tables: SHAPE_TABLES });
  const store = asRecorded(direct, { objects, recordedAt: recorded.recorded_at });
  return {
    config,
    env,
    writer,
    recordedObjects: objects,
    cycle: createCycle({
      config,
      database,
      stores: storesOf(store, observer),
      stored: { pushFaults: () => [] },
      restored: null,
      workersACycle: 1_000,
      random: Math.random,
      clock: Date.now,
      comparison: ALWAYS_COMPARED,
    }),
    probe: async () => {
      const path = config.xcom.inForce;
      const target = { bucket: path?.bucket ?? '', prefix: path?.prefix ?? '', write: true };
      const tried = await probe(direct, { ...target, now: Date.now(), id: 'test' }, signal);
      return {
        ...tried,
        asker: 'workers',
        othersWriteFrom: null,
        othersReachFrom: null,
        writesFailSince: null,
      };
    },
    close: async () => {
      await database.close();
      // A recording that adds tables to its release leaves a database that no other test can use.
      if (!rows.includes('CREATE TABLE')) await giveBack(writer);
      await writer.close();
      for (const object of objects) await plantDirectly(s3, { ...object, body: null });
      direct.close();
    },
  };
}

const OPTION = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_';

const idle = new Map<string, string[]>();

/** An empty database with these tables: one that another test gave back, otherwise a new one. */
async function borrowDatabase(
  postgres: { readonly url: string },
  tables: Tables,
): Promise<{ url: string; giveBack: (writer: PostgresWriter) => Promise<void> }> {
  const known = `${postgres.url} ${tables.name}`;
  const url = idle.get(known)?.pop() ?? (await createDatabase(postgres, tables));
  return {
    url,
    /** The writer checks no foreign keys. */
    giveBack: async (writer) => {
      // Only tables with rows are emptied: to empty all fifty takes longer than all queries of a test.
      const names = await writer.query<{ name: string }>(
        `SELECT quote_ident(relname) AS name FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0`,
      );
      await writer.query(names.map(({ name }) => `DELETE FROM ${name}`).join(';'));
      idle.set(known, [...(idle.get(known) ?? []), url]);
    },
  };
}

function withoutDatabase(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => !value.includes('@DB@')));
}

/** Points every recorded variable that names an S3 endpoint at the embedded server. */
function endpointVariables(env: Readonly<Record<string, string>>, endpoint: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env)
      .filter(([name, value]) => name.startsWith('AIRFLOW_CONN_') || value.includes('@S3@'))
      .map(([name, value]) => [
        name,
        value
          .replace('@S3@', endpoint)
          .replace(/endpoint_url=[^&]*/, `endpoint_url=${encodeURIComponent(endpoint)}`),
      ]),
  );
}

/** Shifts every timestamp, so that the recording ended {@link AGE_HOURS} ago and not on the day it was made. */
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
  // All timestamps get one shift: a row that moved further than its task instance would look written by the server.
  const by = `interval '${Date.now() - AGE_HOURS * 3_600_000 - Date.parse(recordedAt)} milliseconds'`;
  for (const [table, names] of byTable)
    await writer.query(
      `UPDATE "${table}" SET ${names.map((name) => `"${name}" = "${name}" + ${by}`).join(', ')}`,
    );
}

/** The real store, but its objects have the age that they had when they were recorded. */
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
