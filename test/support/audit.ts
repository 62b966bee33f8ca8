import { DuckDBInstance } from '@duckdb/node-api';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SHAPE_TABLES } from '../../src/airflow/shape.ts';
import type { Audit, AuditOptions } from '../../src/audit/audit.ts';
import { audit, readReferences } from '../../src/audit/audit.ts';
import type { Base } from '../../src/audit/named-object.ts';
import { writeReferences } from '../../src/audit/references.ts';
import { writeResults } from '../../src/audit/results.ts';
import { openDatabase } from '../../src/postgres/client.ts';
import { databaseSettings, parseDatabaseUrl } from '../../src/postgres/database-url.ts';
import { archiveOf } from '../../src/s3/archive.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import type { ListedObject } from '../../src/s3/listing.ts';
import type { S3Connection } from '../../src/s3/connection.ts';

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

export interface Audited extends Audit {
  readonly lists: Readonly<
    Record<'orphaned' | 'missing' | 'unreadable', readonly Readonly<Record<string, unknown>>[]>
  >;
  /** `bucket/key` of every object that delete-objects would be told to delete, one list for each part. */
  readonly deletions: readonly (readonly string[])[];
}

export type TestStore = Pick<ObjectStore, 'list' | 'head' | 'peek'>;

export interface RunOptions extends Partial<Omit<AuditOptions, 'database' | 'storeOf'>> {
  readonly url: string;
  /** Every connection leads to this store, unless `storeOf` is given. */
  readonly store: TestStore;
  readonly storeOf?: AuditOptions['storeOf'];
  readonly connectionOf?: AuditOptions['connectionOf'];
  readonly connection: S3Connection;
  readonly configured: readonly Base[];
  /** Wraps the database that the audit reads. */
  readonly database?: (database: AuditOptions['database']) => AuditOptions['database'];
}

export const unpaced: AuditOptions['pages'] = (_, signal) => {
  signal.throwIfAborted();
  return Promise.resolve();
};

const DEFAULTS = {
  olderThanMs: 7 * DAY_MS,
  memoryBytes: 2 ** 30,
  pages: unpaced,
  requests: unpaced,
  concurrency: 4,
  settle: () => Promise.resolve(),
  isKnown: () => true,
  signal: new AbortController().signal,
  report: () => undefined,
  note: () => undefined,
};

/** Writes the references of the rows into a folder, as the command does with --references. */
export async function exportReferences(
  { url, store, connection, configured }: RunOptions,
  folder: string,
): Promise<void> {
  const database = openTestDatabase(url);
  const options = {
    ...DEFAULTS,
    database,
    storeOf: () => store,
    connectionOf: () => connection,
    configured,
    work: `${folder}-work`,
  };
  try {
    await readReferences(options, ({ asOf, bases }, duck) =>
      writeReferences({ duck, rowsAsOf: asOf, bases, folder }),
    );
  } finally {
    await database.close();
  }
}

/** Runs the audit as the command does, and gives what it wrote. */
export async function runAudit({
  url,
  store,
  connection,
  database: through,
  ...changes
}: RunOptions): Promise<Audited> {
  const folder = mkdtempSync(join(tmpdir(), 'audit-'));
  const database = openTestDatabase(url);
  try {
    return await audit(
      {
        ...DEFAULTS,
        database: through?.(database) ?? database,
        storeOf: () => store,
        connectionOf: () => connection,
        inventory: null,
        work: join(folder, 'work'),
        ...changes,
      },
      async (audited, duck) => {
        const results = join(folder, 'results');
        await writeResults({ duck, folder: results, documents: {} });
        return {
          ...audited,
          lists: {
            orphaned: await readList(join(results, 'orphaned.parquet')),
            missing: await readList(join(results, 'missing.parquet')),
            unreadable: await readList(join(results, 'unreadable.parquet')),
          },
          deletions: readDeletions(join(results, 'delete-objects')),
        };
      },
    );
  } finally {
    await database.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

export function openTestDatabase(url: string) {
  return openDatabase(databaseSettings(parseDatabaseUrl(url)), { lock: null, tables: SHAPE_TABLES });
}

let reading: Promise<DuckDBInstance> | null = null;

/** One instance of DuckDB reads every list: to make an instance takes longer than to read a list. */
export async function readList(file: string): Promise<Record<string, unknown>[]> {
  reading ??= DuckDBInstance.create(':memory:');
  const connection = await (await reading).connect();
  const rows = await connection.runAndReadAll(`SELECT * FROM '${file}'`);
  connection.closeSync();
  return rows.getRowObjectsJS();
}

export function readDeletions(folder: string): string[][] {
  let names: string[];
  try {
    names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  } catch {
    return [];
  }
  // The ARN of an access point has a slash, so it is a folder in a folder.
  return names
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => {
      const { Objects: objects } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as {
        Objects: { Key: string }[];
      };
      return objects.map(({ Key }) => `${dirname(name)}/${Key}`);
    });
}

/** The real store, but its objects have the age and the storage class that `said` gives them. */
export function aged<Store extends TestStore>(
  store: Store,
  said: ReadonlyMap<string, Partial<Pick<ListedObject, 'lastModified' | 'storageClass'>>>,
): Store {
  return {
    ...store,
    list: async (target, signal) => {
      const answer = await store.list(target, signal);
      if (answer.kind === 'unknown') return answer;
      return {
        ...answer,
        objects: answer.objects.map((object) => ({
          ...object,
          ...said.get(`${target.bucket}/${object.key}`),
        })),
      };
    },
    head: async (target, signal) => {
      const answer = await store.head(target, signal);
      const own = said.get(`${target.bucket}/${target.key}`);
      if (answer.kind !== 'present' || own === undefined) return answer;
      const { storageClass, lastModified = answer.lastModified } = own;
      const archive = archiveOf({ storageClass, restore: undefined, archiveStatus: undefined });
      return { ...answer, archive, lastModified };
    },
    peek: async (target, signal) => {
      const storageClass = said.get(`${target.bucket}/${target.key}`)?.storageClass;
      const archive = archiveOf({ storageClass, restore: undefined, archiveStatus: undefined });
      return archive === null ? store.peek(target, signal) : { kind: 'archived' };
    },
  };
}
