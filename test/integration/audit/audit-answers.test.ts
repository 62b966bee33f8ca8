import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { monthlyDollars } from '../../../src/audit/prices.ts';
import { auditCode, auditDocument, auditText } from '../../../src/audit/summary.ts';
import type { HeadAnswer } from '../../../src/s3/client.ts';
import { unknown } from '../../../src/s3/failure.ts';
import type { RunOptions } from '../../support/audit.ts';
import { DAY_MS } from '../../support/audit.ts';
import { runInDuck } from '../../support/audit-sql.ts';
import type { SmallStore } from '../../support/audit-small.ts';
import { addRow, auditSmall, connectionAt, storeOf, writeInventory } from '../../support/audit-small.ts';
import { uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';

const postgres = usePostgres();
let stage: Stage;
let objects: SmallStore;

beforeAll(async () => {
  stage = await openStage(postgres(), '3.3.2');
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.clear();
  objects = new Map();
});

function audited(changes: Partial<RunOptions> = {}) {
  return auditSmall(stage, objects, changes);
}
type Result = Awaited<ReturnType<typeof audited>>;

const linesOf = (result: Result, begin: string) =>
  auditText(result, { folder: '', plain: (name) => name })
    .split('\n')
    .filter((line) => line.startsWith(begin));
const documentOf = (result: Result) =>
  auditDocument(result, { folder: '', version: '' }) as Readonly<Record<string, unknown>>;

test('why object storage does not say of an object is counted by who said it, with what to do', async () => {
  const locations: string[] = [];
  for (let index = 0; index < 4; index += 1) locations.push(await addRow(stage, 'aws@bucket/xcom'));
  const throttled = locations[0]?.replace('aws@bucket/', '');
  const answer = (key: string): HeadAnswer =>
    key === throttled
      ? unknown('throttled', 'no code (503)', 's3')
      : unknown('denied', 'no code (403)', 's3');
  const result = await audited({
    store: { ...storeOf(objects), head: ({ key }) => Promise.resolve(answer(key)) },
  });
  expect([auditCode(result), result.confirmed.unknown]).toEqual([2, 4]);
  expect(documentOf(result)['confirmed']).toMatchObject({
    unanswered: [
      { connection: 'aws', reason: 'denied', by: 's3', detail: 'no code (403)', references: 3 },
      { connection: 'aws', reason: 'throttled', by: 's3', detail: 'no code (503)', references: 1 },
    ],
  });
  expect(linesOf(result, 'Not confirmed')).toEqual([
    'Not confirmed: references with the connection aws (3): denied: object storage answered no code (403). Allow s3:GetObject on the path to the credentials of the connection.',
    'Not confirmed: references with the connection aws (1): throttled: object storage answered no code (503). Run the audit again with a lower --requests-per-second.',
  ]);
});

/** Everything that is asked, as `connection bucket`. */
function watched(): { asked: string[]; options: Partial<RunOptions> } {
  const asked: string[] = [];
  const store = storeOf(objects);
  const storeFor = (id: string): RunOptions['store'] => ({
    ...store,
    list: (target, signal) => {
      asked.push(`${id} ${target.bucket}`);
      return store.list(target, signal);
    },
    head: (target, signal) => {
      asked.push(`${id} ${target.bucket}`);
      return store.head(target, signal);
    },
  });
  return { asked, options: { storeOf: storeFor, isKnown: (id) => id !== 'old_minio' } };
}

test('a place whose connection is not known is not asked of the server of another one', async () => {
  // The other server has a bucket of that name, too.
  objects.set((await addRow(stage, 'old_minio@former/xcom')).replace('old_minio@', ''), 0);
  await addRow(stage, 'old_minio@former/older');
  // A place within the path is listed with the path.
  await addRow(stage, 'old_minio@bucket/xcom/team');
  const { asked, options } = watched();
  const result = await audited(options);
  expect(asked).toEqual([' bucket']);
  expect(result.places.map(({ bucket }) => bucket)).toEqual(['bucket']);
  const whose = { connection: 'old_minio', reason: 'unknown_connection', by: null, detail: null };
  expect(documentOf(result)['not_listed']).toMatchObject([
    { place: 's3://former/xcom', ...whose },
    { place: 's3://former/older', ...whose },
  ]);
  expect(linesOf(result, 'Not listed')).toEqual([
    'Not listed: s3://former/xcom and 1 more (summary.json) with the connection old_minio: this connection is not known here. Give AIRFLOW_CONN_OLD_MINIO.',
  ]);
  expect(linesOf(result, 'Not judged')).toEqual([
    'Not judged: references to s3://bucket/xcom/ with the connection old_minio (1): this connection is not known here: give AIRFLOW_CONN_OLD_MINIO.',
  ]);
  expect([auditCode(result), result.figures.references.outside]).toEqual([2, 2]);
});

test('an inventory is no listing of a place whose connection is not known, and is not fetched with one', async () => {
  await addRow(stage, 'old_minio@bucket/former');
  await addRow(stage, 'elsewhere/xcom');
  const folder = mkdtempSync(join(tmpdir(), 'audit-answers-'));
  const inventory = join(folder, 'manifest.json');
  const manifest = {
    sourceBucket: 'bucket',
    destinationBucket: 'arn:aws:s3:::inventories',
    version: '2016-11-30',
    creationTimestamp: String(Date.now() - DAY_MS),
    fileFormat: 'CSV',
    fileSchema: 'Bucket, Key, Size, LastModifiedDate, StorageClass',
    files: [],
  };
  writeFileSync(inventory, JSON.stringify(manifest));
  const { options } = watched();
  const result = await audited({ ...options, inventory });
  rmSync(folder, { recursive: true });
  expect(result.places.map(({ prefix }) => prefix)).toEqual(['xcom']);
  expect(linesOf(result, 'Not listed')).toEqual([
    'Not listed: s3://elsewhere/xcom without a connection: the inventory is of another bucket. Run an audit without --inventory, or with an inventory of this bucket.',
    'Not listed: s3://bucket/former with the connection old_minio: this connection is not known here. Give AIRFLOW_CONN_OLD_MINIO.',
  ]);
  const address = 's3://old_minio@inventories/manifest.json';
  await expect(audited({ ...options, inventory: address })).rejects.toThrow(
    '--inventory: the connection old_minio is not known here: give AIRFLOW_CONN_OLD_MINIO',
  );
});

/** The store, but its objects are in this class. */
function inClass(storageClass: string): RunOptions['store'] {
  const store = storeOf(objects);
  return {
    ...store,
    list: async (target, signal) => {
      const answer = await store.list(target, signal);
      if (answer.kind === 'unknown') return answer;
      const [first, ...rest] = answer.objects;
      return first === undefined ? answer : { ...answer, objects: [{ ...first, storageClass }, ...rest] };
    },
  };
}

test('dollars are said only if the price of every object is known', async () => {
  const onAws = { ...connectionAt(''), endpoint: null };
  for (let index = 0; index < 2; index += 1)
    objects.set(await addRow(stage, 'bucket/xcom'), Date.now() - 30 * DAY_MS);
  const costOf = async (changes: Partial<RunOptions>) => {
    const { byClass, byMonth, objects: sums } = (await audited({ connection: onAws, ...changes })).figures;
    return [
      sums.all.dollars,
      sums.orphaned.dollars,
      byMonth.map(({ all }) => all.dollars),
      byClass.map(({ storageClass, dollars }) => [storageClass, dollars]).sort(),
    ];
  };
  const one = expect.any(Number) as number;
  expect(await costOf({})).toEqual([one, 0, [one], [['STANDARD', one]]]);
  expect(await costOf({ store: inClass('EXPRESS_ONEZONE') })).toEqual([
    null,
    0,
    [null],
    [
      ['EXPRESS_ONEZONE', null],
      ['STANDARD', one],
    ],
  ]);
  // A former place on another server is in the same sums.
  await addRow(stage, 'minio@former/xcom');
  const connectionOf = (id: string) => (id === 'minio' ? connectionAt('http://minio:9000') : onAws);
  expect(await costOf({ connectionOf })).toEqual([null, null, [null], [['STANDARD', null]]]);
});

test('a small object in an archive costs most for its name, at the price of STANDARD', async () => {
  const prices = ['GLACIER', 'DEEP_ARCHIVE'].map(
    (name) => `SELECT round(1e6 * ${monthlyDollars('2000', `'${name}'`)}, 3)`,
  );
  expect(await runInDuck(prices)).toEqual([[['0.292']], [['0.208']]]);
});

test('nothing is called known of references without an answer', async () => {
  for (let row = 0; row < 5; row += 1) await addRow(stage, 'bucket/xcom');
  const head = () => Promise.resolve(unknown('denied', 'no code (403)', 's3'));
  const result = await audited({ store: { ...storeOf(objects), head } });
  expect(linesOf(result, '  missing')).toEqual(['  missing        0 known']);
  expect(linesOf(result, '  not known')).toEqual(['  not known      5']);
});

test('an inventory without storage classes does not show that an object can be read', async () => {
  objects.set(await addRow(stage, 'bucket/xcom'), Date.now() - 30 * DAY_MS);
  const folder = mkdtempSync(join(tmpdir(), 'audit-classes-'));
  try {
    const inventory = writeInventory(folder, { bucket: 'bucket', objects, storageClass: null });
    const result = await audited({ inventory });
    expect(result.figures.references).toMatchObject({ live: 0, unsure: 1 });
    expect(result.figures.byClass.map(({ storageClass }) => storageClass)).toEqual(['not told']);
    expect(auditCode(result)).toBe(2);
    expect(linesOf(result, 'The inventory')).toEqual([
      'The inventory does not tell storage classes, so no object is known to be readable: let it have StorageClass.',
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a key and its secret in place of an id are not shown', async () => {
  for (const start of ['bucket/xcom', 'former/xcom']) await addRow(stage, `AKIAEXAMPLE:hushhush@${start}`);
  await addRow(stage, 'AKIAEXAMPLE%3Ahushhush@bucket/xcom');
  const result = await audited({ isKnown: (id) => id === '' });
  const said = `${linesOf(result, '').join('\n')}${JSON.stringify(documentOf(result))}`;
  expect(said).toContain('with the connection (an id that is not shown)');
  expect(said).toContain('put the id of a connection in place of the key and the secret that the path has');
  expect(said).not.toMatch(/hush|AKIA/i);
});

test('a configured place is not compared through what stands in for its connection', async () => {
  objects.set(`bucket/xcom/theirs/run/task/${uuid4()}`, 0);
  const { asked, options } = watched();
  await expect(
    audited({ ...options, configured: [{ bucket: 'bucket', prefix: 'xcom', connection: 'old_minio' }] }),
  ).rejects.toThrow(
    'xcom.path: the connection old_minio is not known here, so s3://bucket/xcom cannot be compared: give AIRFLOW_CONN_OLD_MINIO, or an empty one, aws://, if the workers use a role',
  );
  expect(asked).toEqual([]);
});
