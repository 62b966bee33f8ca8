import { NO_PROXIES } from '../../../src/s3/agents.ts';
import { unknown } from '../../../src/s3/failure.ts';
import { DuckDBInstance } from '@duckdb/node-api';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { secret } from '../../../src/lib/secret.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { S3Connection } from '../../../src/s3/connection.ts';
import { startStorage } from '../../faults/storage.ts';
import type { Storage } from '../../faults/storage.ts';
import { startAsStorage } from '../../s3/as-storage.ts';
import { SERVERS } from '../../s3/servers.ts';
import type { RunOptions } from '../../support/audit.ts';
import { aged, DAY_MS, exportReferences, HOUR_MS, runAudit } from '../../support/audit.ts';
import { runInDuck, statementsOf } from '../../support/audit-sql.ts';
import { uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';
import { recordRequests } from '../../support/s3.ts';

const postgres = usePostgres();
const BUCKET = 'airflow-xcom';
const INVENTORIES = 'inventories';
const signal = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), 'audit-planted-'));
const PARQUET = join(folder, 'objects.parquet');

interface Planted {
  readonly location: string;
  readonly bytes: number;
  readonly lastModified: number;
  readonly storageClass: string;
}

let stage: Stage;
let storage: Storage;
let connection: S3Connection;
let store: ObjectStore;
const objects = new Map<string, Planted>();
const orphans = { old: [] as string[], young: [] as string[], fresh: [] as string[] };
const missing: string[] = [];
const unreadable: string[] = [];
const named: string[] = [];
const others: string[] = [];

/** `AUDIT_SERVER=weed` runs these tests on another of the servers of test/s3. */
beforeAll(async () => {
  stage = await openStage(postgres(), '3.3.2');
  const server = SERVERS.find(({ name }) => name === process.env['AUDIT_SERVER']);
  storage =
    server === undefined
      ? await startStorage(folder, 21_000 + (process.pid % 10_000))
      : await startAsStorage(server);
  for (const bucket of [BUCKET, INVENTORIES]) await storage.createBucket(bucket);
  const { accessKeyId, secretAccessKey, region, port } = storage;
  connection = {
    region,
    endpoint: `http://127.0.0.1:${port}`,
    accessKeyId,
    secretAccessKey: secret(secretAccessKey),
    sessionToken: null,
    profile: null,
    role: null,
    forcePathStyle: true,
    authorities: null,
    proxies: NO_PROXIES,
    identityProxies: NO_PROXIES,
    sendsChecksums: true,
    asker: 'workers',
    variants: {},
    agent: null,
    profileKeys: null,
  };
  store = openObjectStore(connection, { observer: recordRequests(), log: pino({ level: 'silent' }) });
  await plant();
});
afterAll(async () => {
  store.close();
  await stage.close();
  await storage.stop();
  rmSync(folder, { recursive: true });
});

/** The embedded server loses keys of mixed case from its listings. */
const isExact = () => storage.name !== 'fauxqs';

async function put(key: string, { days = 30, storageClass = 'STANDARD' } = {}): Promise<string> {
  const location = `${BUCKET}/${key}`;
  const answer = await store.put({ bucket: BUCKET, key, body: Buffer.alloc(1_000, 'x') }, signal);
  if (answer.kind !== 'done') throw new Error(`${key}: ${answer.reason} ${answer.detail}`);
  objects.set(location, { location, bytes: 1_000, lastModified: Date.now() - days * DAY_MS, storageClass });
  return location;
}

/** Plants every kind of row and object, each at least once. */
async function plant(): Promise<void> {
  const month = { agoSeconds: 30 * 86_400 };
  const dags = isExact() ? ['etl', 'Reports Ü 😀', 'a+b%20c'] : ['etl', 'reports', 'a+b%20c'];
  for (const dagId of dags) {
    const run = await stage.addRun({
      dagId,
      runId: 'manual__2026-01-01T00:00:00+00:00',
      state: 'success',
      ...month,
    });
    const below = (base: string, taskId: string) => `${base}/${run.dagId}/${run.runId}/${taskId}`;
    const row = async (key: string, taskId: string, name = 'return_value') => {
      await stage.push({
        run,
        taskId,
        key: name,
        stored: JSON.stringify(`s3://aws@${BUCKET}/${key}`),
        ...month,
      });
      return `${BUCKET}/${key}`;
    };
    for (const [index, suffix] of ['', '.gz', '.zst'].entries()) {
      const key = `${below('base', 'load')}/${uuid4()}${suffix}`;
      named.push(await put(key, { days: 40 + index }));
      await row(key, 'load', `k${index}`);
      // A leaked path: another task was handed it in place of the value.
      if (index === 0) await row(key, 'leaked');
    }
    const cold = `${below('base', 'cold')}/${uuid4()}`;
    unreadable.push(await put(cold, { storageClass: 'GLACIER' }));
    await row(cold, 'cold');
    missing.push(await row(`${below('base', 'lost')}/${uuid4()}`, 'lost'));
    // The configured path was a different one earlier.
    const moved = `${below('older/path', 'load')}/${uuid4()}`;
    named.push(await put(moved, { days: 300 }));
    await row(moved, 'load', 'moved');

    orphans.old.push(
      await put(`${below('base', 'load')}/${uuid4()}`),
      await put(`${below('base', 'load')}/${uuid4()}.gz`, { days: 8, storageClass: 'STANDARD_IA' }),
      await put(`${below('older/path', 'load')}/${uuid4()}`, { days: 200 }),
      await put(`base/deleted dag/run/task/${uuid4()}`),
    );
    orphans.young.push(await put(`${below('base', 'load')}/${uuid4()}`, { days: 3 }));
    orphans.fresh.push(await put(`${below('base', 'load')}/${uuid4()}`, { days: 0 }));
    const state = `base/${encodeURIComponent(run.dagId)}/${encodeURIComponent(run.runId)}/load/-1/cursor`;
    named.push(await put(state));
    await stage.writer.query(
      `INSERT INTO task_state_store (dag_run_id, task_id, map_index, key, dag_id, run_id, value, updated_at)
       VALUES ($1, 'load', -1, 'cursor', $2, $3, $4, now() - interval '30 days')`,
      [
        run.id,
        run.dagId,
        run.runId,
        JSON.stringify({ __airflow_state_ref__: `s3://aws@${BUCKET}/${state}` }),
      ],
    );
    others.push(
      await put(`base/${run.dagId}/run/load/-1/${uuid4()}`),
      await put(`base/${run.dagId}/notes ${others.length}.csv`),
      await put(`base/assets/${run.dagId}/${uuid4()}`),
    );
    const kept = `${below('base', 'cleaned')}/${uuid4()}`;
    named.push(await put(kept, { days: 500 }));
    await row(kept, 'cleaned');
  }
  await stage.writer.query(
    `CREATE TABLE _airflow_deleted__xcom__20260101000000 AS SELECT * FROM xcom WHERE task_id = 'cleaned'`,
  );
  await stage.writer.query(`DELETE FROM xcom WHERE task_id = 'cleaned'`);
  const run = await stage.addRun({ dagId: 'far', runId: 'r', state: 'success', ...month });
  await stage.push({ run, taskId: 't', stored: JSON.stringify(`s3://nowhere/far/r/t/${uuid4()}`), ...month });
}

function audited(changes: Partial<RunOptions> = {}) {
  return runAudit({
    url: stage.url,
    store: aged(store, objects),
    connection,
    configured: [{ bucket: BUCKET, prefix: 'base', connection: 'aws' }],
    ...changes,
  });
}

/** Checks what must be true however the objects were found. */
function expectTruth(result: Awaited<ReturnType<typeof audited>>): void {
  const { lists, deletions, figures, unlisted, confirmed } = result;
  const locations = (rows: readonly Readonly<Record<string, unknown>>[]) =>
    rows.map(({ bucket, key }) => `${String(bucket)}/${String(key)}`).sort();
  expect(locations(lists.orphaned)).toEqual([...orphans.old, ...orphans.young].sort());
  expect(deletions.flat().sort()).toEqual(orphans.old.toSorted());
  expect(locations(lists.missing)).toEqual(missing.toSorted());
  expect(locations(lists.unreadable)).toEqual(unreadable.toSorted());
  expect(unlisted).toMatchObject([{ bucket: 'nowhere', prefix: '' }]);
  expect(confirmed).toMatchObject({
    absent: missing.length,
    looked: missing.length,
    missing: missing.length,
  });
  expect(figures.references).toMatchObject({
    absent: missing.length,
    unreadable: [{ storageClass: 'GLACIER', references: unreadable.length }],
    outside: 1,
    archived: 3,
    live: 3 * 3 + 3 + 3,
  });
  expect(figures.undecided).toEqual([{ place: 's3://nowhere/far/', why: 'outside', references: 1 }]);
  expect(figures.objects.named).toMatchObject({ objects: named.length + unreadable.length });
  expect(figures.objects.other).toMatchObject({ objects: others.length, bytes: others.length * 1_000 });
  expect(figures.objects.orphaned.bytes).toBe((orphans.old.length + orphans.young.length) * 1_000);
  expect(figures.objects.deletable).toMatchObject({
    objects: orphans.old.length,
    bytes: orphans.old.length * 1_000,
  });
  expect(figures.byClass.map(({ storageClass, orphaned }) => [storageClass, orphaned.objects])).toEqual(
    expect.arrayContaining([
      ['GLACIER', 0],
      ['STANDARD_IA', 3],
    ]),
  );
  expect(figures.byDag.find(({ dag }) => dag === 'deleted dag')).toMatchObject({
    all: { objects: 3 },
    orphaned: { objects: 3 },
  });
  expect(figures.oldest).toMatchObject({ kind: 'archive' });
}

test('everything planted is said by LIST, and nothing else', async () => {
  const result = await audited();
  expectTruth(result);
  expect(result.figures.objects.young.objects).toBe(orphans.fresh.length);
  expect(result.safe).toMatchObject({ days: null });
});

test('a younger age asks for more, an older one for less', async () => {
  const younger = await audited({ olderThanMs: DAY_MS });
  expect(younger.deletions.flat().sort()).toEqual([...orphans.old, ...orphans.young].sort());
  const older = await audited({ olderThanMs: 100 * DAY_MS });
  expect(older.deletions.flat()).toHaveLength(3);
  expect(older.lists.orphaned).toHaveLength(orphans.old.length + orphans.young.length);
});

test('of a bucket that is a path as a whole only what is of a known dag is to be deleted', async () => {
  const alien = await put(`another program/a/b/${uuid4()}`);
  const ours = await put(`etl/run/task/${uuid4()}`);
  const result = await audited({ configured: [{ bucket: BUCKET, prefix: '', connection: 'aws' }] });
  const expected = [...orphans.old, ...orphans.young, alien, ours];
  expect(result.lists.orphaned.map(({ key }) => `${BUCKET}/${String(key)}`).sort()).toEqual(expected.sort());
  expect(result.deletions.flat().sort()).toEqual([...orphans.old, ours].sort());
  for (const location of [alien, ours]) {
    await store.delete({ bucket: BUCKET, key: location.slice(BUCKET.length + 1) }, signal);
    objects.delete(location);
  }
});

test('a bucket that may not be listed as a whole hides nothing of the path within it', async () => {
  const run = await stage.addRun({ dagId: 'root', runId: 'r', state: 'success' });
  await stage.push({ run, taskId: 't', stored: JSON.stringify(`s3://${BUCKET}/root/r/t/${uuid4()}`) });
  const denied = unknown('denied', 'AccessDenied (403)', 's3');
  const result = await audited({
    store: {
      ...aged(store, objects),
      list: (target, aborted) =>
        target.prefix === '' ? Promise.resolve(denied) : aged(store, objects).list(target, aborted),
    },
  });
  await stage.deleteRun(run);
  expect(result.unlisted.map(({ bucket, reason }) => [bucket, reason]).sort()).toEqual([
    [BUCKET, 'denied'],
    ['nowhere', 'denied'],
  ]);
  expect(result.figures.references.outside).toBe(2);
  expect(result.lists.orphaned).toHaveLength(orphans.old.length + orphans.young.length);
  expect(result.lists.missing).toHaveLength(missing.length);
});

describe.each(['CSV', 'Parquet'] as const)('by an inventory in %s', (format) => {
  const createdAt = Date.now() - 2 * HOUR_MS;
  const inventory = (change?: (file: Buffer) => Buffer) => putInventory({ format, createdAt, change });

  test('the same is said, and nothing of what is younger', async () => {
    // The name of the folder is no pattern, and no column of the files in it.
    const work = join(folder, 'bucket=other', '[1]*', 'work');
    const result = await audited({ inventory: await inventory(), work });
    expectTruth(result);
    expect(result.figures.objects.young.objects).toBe(0);
  });

  test('a file that was cut off, or is another, is refused', async () => {
    const address = await inventory((file) => file.subarray(0, file.length - 20));
    await expect(audited({ inventory: address })).rejects.toThrow(/its size or MD5 is another/);
  });
});

test('the SQL for Athena and Trino says the same of the same inventory', async () => {
  const createdAt = Date.now() - 2 * HOUR_MS;
  const address = await putInventory({ format: 'Parquet', createdAt });
  const references = join(folder, 'references');
  const configured = [{ bucket: BUCKET, prefix: 'base', connection: 'aws' }];
  await exportReferences({ url: stage.url, store, connection, configured }, references);
  const inventoryObjects = statementsOf('audit-tables.sql').at(-1) ?? '';
  const dt = '2026-11-28-01-00';
  const made = "TIMESTAMP '2026-11-28 01:00:00'";
  expect([inventoryObjects.includes(dt), inventoryObjects.includes(made)]).toEqual([true, true]);
  const answers = await runInDuck([
    ...['xcom_references', 'xcom_places'].map(
      (table) => `CREATE VIEW ${table} AS FROM '${join(references, table, table)}.parquet'`,
    ),
    `CREATE VIEW inventory AS SELECT *, '${dt}' AS dt FROM read_parquet('${PARQUET}', binary_as_string = true)`,
    inventoryObjects.replace(made, `make_timestamp_ms(${createdAt})`),
    ...statementsOf('audit-join.sql'),
  ]);
  const [objectsBy, referencesBy, dags, orphaned, lost] = answers.slice(-5);
  const locations = (rows: typeof orphaned = []) => rows.map(([bucket, key]) => `${bucket}/${key}`).sort();
  expect(locations(orphaned)).toEqual([...orphans.old, ...orphans.young].sort());
  expect(locations(lost)).toEqual(missing.toSorted());
  const { figures } = await audited({ inventory: address });
  const amounts = (['named', 'orphaned', 'other', 'young'] as const).map((verdict) => [
    verdict,
    String(figures.objects[verdict].objects),
    String(figures.objects[verdict].bytes),
  ]);
  expect(objectsBy).toEqual(amounts.filter(([, count]) => count !== '0'));
  const { archived, foreign, live, absent, outside, unreadable: cold } = figures.references;
  expect(referencesBy).toEqual(
    [
      ['archive', archived],
      ['foreign', foreign],
      ['live', live],
      ['missing', absent],
      ['outside', outside],
      ['unreadable', cold.reduce((sum, one) => sum + one.references, 0)],
    ].map(([verdict, count]) => [verdict, String(count)]),
  );
  const byDag = figures.byDag.filter((one) => one.orphaned.objects > 0);
  expect(dags?.map(([dag, count, bytes]) => [dag, count, bytes]).sort()).toEqual(
    byDag
      .map(({ dag, orphaned: of }) => [dag, String(of.objects), String(of.bytes)] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
});

interface Report {
  readonly format: 'CSV' | 'Parquet';
  readonly createdAt: number;
  readonly change?: ((file: Buffer) => Buffer) | undefined;
}

/** Puts the inventory's files into the bucket of the inventories; gives the address of its manifest. */
async function putInventory({ format, createdAt, change = (file) => file }: Report): Promise<string> {
  const there = [...objects.values()].filter(({ lastModified }) => lastModified < createdAt);
  const name = format === 'CSV' ? `${uuid4()}.csv.gz` : `${uuid4()}.parquet`;
  const half = Math.floor(there.length / 2);
  // Two files may have one name in two folders.
  const parts =
    format === 'CSV' ? [csv(there.slice(0, half)), csv(there.slice(half))] : [await parquet(there)];
  const files = parts.map((file, part) => ({ file, key: `airflow-xcom/weekly/data/${part}/${name}` }));
  for (const { file, key } of files)
    await store.put({ bucket: INVENTORIES, key, body: change(file) }, signal);
  const manifest = {
    sourceBucket: BUCKET,
    destinationBucket: `arn:aws:s3:::${INVENTORIES}`,
    version: '2016-11-30',
    creationTimestamp: String(createdAt),
    fileFormat: format,
    fileSchema: 'Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, StorageClass',
    files: files.map(({ file, key }) => ({
      key,
      size: file.length,
      MD5checksum: createHash('md5').update(file).digest('hex'),
    })),
  };
  const at = `airflow-xcom/weekly/${name}/manifest.json`;
  await store.put({ bucket: INVENTORIES, key: at, body: Buffer.from(JSON.stringify(manifest)) }, signal);
  return `s3://${INVENTORIES}/${at}`;
}

/**
 * The file as S3 writes it: every field in quotes, keys URL-encoded with a plus for a space. It also has an old
 * version and a delete marker.
 */
function csv(there: readonly Planted[]): Buffer {
  const line = (fields: readonly (string | number)[]) => fields.map((field) => `"${field}"`).join(',');
  const encode = (key: string) =>
    key
      .split('/')
      .map((part) => encodeURIComponent(part).replaceAll('%20', '+'))
      .join('/');
  const lines = there.flatMap(({ location, bytes, lastModified, storageClass }) => {
    const key = encode(location.slice(BUCKET.length + 1));
    const at = new Date(lastModified).toISOString();
    return [
      line([BUCKET, key, 'v2', 'true', 'false', bytes, at, storageClass]),
      line([BUCKET, key, 'v1', 'false', 'false', 5, at, 'GLACIER']),
    ];
  });
  const gone = line([
    BUCKET,
    `base/etl/r/t/${uuid4()}`,
    'v3',
    'true',
    'true',
    '',
    new Date(0).toISOString(),
    '',
  ]);
  return gzipSync(`${[...lines, gone].join('\n')}\n`);
}

async function parquet(there: readonly Planted[]): Promise<Buffer> {
  const json = join(folder, 'objects.json');
  const file = PARQUET;
  writeFileSync(json, there.map((object) => JSON.stringify(object)).join('\n'));
  const instance = await DuckDBInstance.create(':memory:');
  const on = await instance.connect();
  await on.run(`COPY (SELECT encode('${BUCKET}') AS bucket, encode(substr(location, ${BUCKET.length + 2})) AS key, 'v1' AS version_id,
    true AS is_latest, false AS is_delete_marker, bytes::BIGINT AS size, make_timestamp_ms(lastModified::BIGINT) AS last_modified_date,
    storageClass AS storage_class FROM read_json('${json}')) TO '${file}' (FORMAT parquet)`);
  on.closeSync();
  instance.closeSync();
  expect(statSync(file).size).toBeGreaterThan(0);
  return readFileSync(file);
}
