import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { auditCode, auditDocument, auditText } from '../../../src/audit/summary.ts';
import { compareKeys } from '../../../src/s3/key-order.ts';
import type { RunOptions, TestStore } from '../../support/audit.ts';
import { DAY_MS, runAudit } from '../../support/audit.ts';
import { writeInventory } from '../../support/audit-small.ts';
import { uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';
import { connectionTo, useS3 } from '../../support/s3.ts';

const postgres = usePostgres();
const s3 = useS3('bkt');
const MONTH_MS = 30 * DAY_MS;
const signal = new AbortController().signal;
let stage: Stage;
beforeAll(async () => {
  stage = await openStage(postgres(), '3.3.2');
});
afterAll(() => stage.close());

/** The objects of one server, all of them a month old. A server that answers to an ARN cannot be had here. */
interface Server {
  readonly store: TestStore;
  readonly asked: string[];
  readonly listed: string[];
  put(location: string): string;
}

function startServer(): Server {
  const objects = new Set<string>();
  const asked: string[] = [];
  const listed: string[] = [];
  return {
    asked,
    listed,
    put(location) {
      objects.add(location);
      return location;
    },
    store: {
      list: ({ bucket, prefix, startAfter = '' }) => {
        listed.push(`${bucket}/${prefix}`);
        return Promise.resolve({
          kind: 'listed',
          objects: [...objects]
            .filter((location) => location.startsWith(`${bucket}/${prefix}`))
            .map((location) => ({
              key: location.slice(bucket.length + 1),
              bytes: 1_000,
              lastModified: Date.now() - MONTH_MS,
              storageClass: 'STANDARD',
            }))
            .filter(({ key }) => compareKeys(key, startAfter) > 0)
            .sort((a, b) => compareKeys(a.key, b.key)),
          next: null,
        });
      },
      head: ({ bucket, key }) => {
        asked.push(`${bucket} ${key}`);
        return Promise.resolve(
          objects.has(`${bucket}/${key}`)
            ? { kind: 'present', bytes: 1_000, archive: null, lastModified: Date.now() - MONTH_MS }
            : { kind: 'missing' },
        );
      },
      peek: ({ bucket, key }) =>
        Promise.resolve({ kind: objects.has(`${bucket}/${key}`) ? 'readable' : 'missing' }),
    },
  };
}

let server: Server;
beforeEach(async () => {
  await stage.clear();
  server = startServer();
});

let rows = 0;
/** Writes a row of a task whose value is an address below `start`, laid out as Airflow does. Gives the location. */
async function row(start: string, { ending = '' } = {}): Promise<string> {
  rows += 1;
  const run = await stage.addRun({ dagId: `dag${rows}`, runId: 'r', state: 'success' });
  const address = `s3://${start}/${run.dagId}/r/t/${uuid4()}${ending}`;
  await stage.push({ run, taskId: 't', stored: JSON.stringify(address), agoSeconds: MONTH_MS / 1_000 });
  return address.replace(/^s3:\/\/([^/]*@)?/, '');
}

/** The location of an object that no row names, below `start`. */
const unnamed = (start: string) => `${start}/sales/2024-01-01/export/${uuid4()}.gz`;

function audited(changes: Partial<RunOptions> = {}) {
  return runAudit({
    url: stage.url,
    store: server.store,
    connection: connectionTo(s3().endpoint, s3()),
    configured: [{ bucket: 'bkt', prefix: 'xcom', connection: '' }],
    signal,
    ...changes,
  });
}
type Result = Awaited<ReturnType<typeof audited>>;

const orphansOf = ({ lists }: Result) =>
  lists.orphaned.map(({ bucket, key }) => `${String(bucket)}/${String(key)}`).sort();
const reasonsOf = ({ lists }: Result) => [...new Set(lists.orphaned.map((one) => one['why_not']))];
const heldBy = (result: Result) =>
  (auditDocument(result, { folder: '', version: '' }) as { held_back: unknown }).held_back;

const A_TASKS =
  'xcom.path does not name this place, and the files may be of a task that laid them out itself';

test('files that a task laid out as Airflow does are not to be deleted, and the summary says so', async () => {
  server.put(await row('bkt/exports', { ending: '.gz' }));
  const exported = server.put(unnamed('bkt/exports'));
  const ours = server.put(unnamed('bkt/xcom'));
  const result = await audited();
  expect(orphansOf(result)).toEqual([exported, ours].sort());
  expect(result.deletions.flat()).toEqual([ours]);
  expect(result.figures.objects.deletable.objects).toBe(1);
  expect(heldBy(result)).toEqual([{ place: 's3://bkt/exports', reason: A_TASKS }]);
  const text = auditText(result, { folder: '', plain: (name) => name });
  expect(text).toContain('Places that were judged\n  s3://bkt/xcom\n  s3://bkt/exports\n\n');
  expect(text).toContain(`Places whose orphans are not to be deleted\n  s3://bkt/exports: ${A_TASKS}\n\n`);
});

test.each(['xcom', ''])(
  'neither are those that a task laid out below the path "%s" of Airflow',
  async (prefix) => {
    const start = prefix === '' ? 'bkt' : `bkt/${prefix}`;
    server.put(await row(`${start}/exports`));
    server.put(unnamed(`${start}/exports`));
    const result = await audited({ configured: [{ bucket: 'bkt', prefix, connection: '' }] });
    expect(orphansOf(result)).toHaveLength(1);
    expect([result.deletions, reasonsOf(result)]).toEqual([[], [A_TASKS]]);
  },
);

test('a former path is judged if rows name it by the connection of the path, or if it is configured', async () => {
  server.put(await row('aws@bkt/former'));
  // Another row may name the same place without the connection, before or after.
  server.put(await row('bkt/former'));
  server.put(await row('bkt/older'));
  const locations = [server.put(unnamed('bkt/former')), server.put(unnamed('bkt/older'))];
  const path = { bucket: 'bkt', prefix: 'xcom', connection: 'aws' };
  const byConnection = await audited({ configured: [path] });
  expect(byConnection.deletions.flat()).toEqual(locations.slice(0, 1));
  const configured = [path, { ...path, prefix: 'older' }];
  const both = await audited({ configured });
  expect(both.deletions.flat().sort()).toEqual(locations);
  expect(heldBy(both)).toEqual([]);
});

test('a folder that only a value of a task names is no dag of a path that is a whole bucket', async () => {
  const run = await stage.addRun({ dagId: 'etl', runId: 'r', state: 'success' });
  await stage.push({ run, taskId: 't', stored: JSON.stringify(`s3://bkt/exports/a/b/c/${uuid4()}`) });
  await stage.writer.query(`CREATE TABLE _airflow_deleted__xcom__20260101000000 AS SELECT * FROM xcom`);
  const ours = server.put(`bkt/etl/r/t/${uuid4()}`);
  server.put(unnamed('bkt/exports'));
  const result = await audited({ configured: [{ bucket: 'bkt', prefix: '', connection: '' }] });
  await stage.writer.query('DROP TABLE _airflow_deleted__xcom__20260101000000');
  expect(orphansOf(result)).toHaveLength(2);
  expect(result.deletions.flat()).toEqual([ours]);
});

const ACCESS_POINT = 'arn:aws:s3:eu-central-1:123456789012:accesspoint/ap';

test.each([ACCESS_POINT, 'ap-abc123-s3alias'])(
  'nothing is to be deleted that rows may name as %s, another name of the bucket',
  async (alias) => {
    const named = await row(`${alias}/xcom`);
    const live = named.replace(alias, 'bkt');
    server.put(named);
    server.put(live);
    server.put(unnamed('bkt/xcom'));
    const result = await audited();
    expect(orphansOf(result)).toContain(live);
    expect(result.deletions).toEqual([]);
    expect(reasonsOf(result)).toEqual([
      `${alias} is an access point, so rows may name an object here by another name of its bucket`,
    ]);
    // A path that was encoded once more names an object and no place.
    await stage.writer.query('UPDATE xcom SET value = to_jsonb(value::text)');
    expect((await audited()).deletions).toEqual([]);
  },
);

test('an access point that is the only name of its bucket is taken apart at its own slash', async () => {
  server.put(await row(`${ACCESS_POINT}/xcom`));
  const lost = await row(`${ACCESS_POINT}/xcom`);
  const orphan = server.put(unnamed(`${ACCESS_POINT}/xcom`));
  const key = (location: string) => location.slice(ACCESS_POINT.length + 1);
  const result = await audited({ configured: [{ bucket: ACCESS_POINT, prefix: 'xcom', connection: '' }] });
  expect(result.lists.orphaned).toMatchObject([{ bucket: ACCESS_POINT, key: key(orphan), dag_id: 'sales' }]);
  expect(result.deletions).toEqual([[orphan]]);
  expect(server.asked).toEqual([`${ACCESS_POINT} ${key(lost)}`]);
  expect(result.lists.missing).toMatchObject([{ bucket: ACCESS_POINT, key: key(lost) }]);
});

/** Two servers, and the connections that lead to them. */
function openTwo(): { aws: Server; minio: Server; options: Pick<RunOptions, 'storeOf' | 'connectionOf'> } {
  const aws = startServer();
  const minio = startServer();
  const isMinio = (id: string) => id.startsWith('minio');
  const connection = connectionTo(s3().endpoint, s3());
  return {
    aws,
    minio,
    options: {
      storeOf: (id) => (isMinio(id) ? minio : aws).store,
      connectionOf: (id) => ({ ...connection, endpoint: isMinio(id) ? 'http://minio:9000' : null }),
    },
  };
}
const AWS_PATH = { bucket: 'bkt', prefix: 'xcom', connection: 'aws' };
const NOT_JUDGED = /^Not judged: .*$/gm;
const NOT_LISTED = /^Not listed: .*$/gm;
const textOf = (result: Result) => auditText(result, { folder: '', plain: (name) => name });
const notJudged = (result: Result) => textOf(result).match(NOT_JUDGED);
const notListed = (result: Result) => textOf(result).match(NOT_LISTED);
const notListedOnMinio = (place: string) =>
  `Not listed: s3://${place} with the connection minio: there is a bucket of this name on another server, and the audit compared that one. Run an audit of its own for this place: give it as xcom.path.`;

test('a reference to another server with a bucket of the same name is unknown, never missing', async () => {
  const { aws, minio, options } = openTwo();
  minio.put(await row('minio@bkt/xcom'));
  await row('minio@bkt/xcom');
  const result = await audited({ ...options, configured: [AWS_PATH] });
  expect(result.lists.missing).toEqual([]);
  expect(result.confirmed).toMatchObject({ absent: 0, missing: 0, unknown: 2 });
  expect([auditCode(result), aws.asked]).toEqual([2, []]);
  expect(notJudged(result)).toEqual([
    'Not judged: references to s3://bkt/xcom/ with the connection minio (2): this connection leads to minio:9000, and the place was listed at AWS.',
  ]);
});

test('neither is one with a connection that only rows name and that is not known', async () => {
  await row('nobodys@bkt/xcom');
  const lost = await row('aws@bkt/xcom');
  const result = await audited({ configured: [AWS_PATH], isKnown: (id) => id !== 'nobodys' });
  expect(result.lists.missing.map(({ key }) => `bkt/${String(key)}`)).toEqual([lost]);
  expect(result.confirmed).toMatchObject({ absent: 1, missing: 1, unknown: 1 });
  expect(notJudged(result)).toEqual([
    'Not judged: references to s3://bkt/xcom/ with the connection nobodys (1): this connection is not known here: give AIRFLOW_CONN_NOBODYS.',
  ]);
});

test('an object of the same name on the server that was listed is not the object of such a reference', async () => {
  const { aws, options } = openTwo();
  aws.put(await row('aws@bkt/xcom'));
  const copy = aws.put(await row('minio@bkt/xcom'));
  const orphan = aws.put(unnamed('bkt/xcom'));
  const result = await audited({ ...options, configured: [AWS_PATH] });
  expect(result.figures.references).toMatchObject({ live: 1, unjudged: 1, absent: 0 });
  expect(auditCode(result)).toBe(2);
  expect(notJudged(result)).toEqual([
    'Not judged: references to s3://bkt/xcom/ with the connection minio (1): this connection leads to minio:9000, and the place was listed at AWS.',
  ]);
  expect(result.safe).toEqual({
    days: null,
    reason:
      '1 references have a connection that is not known here or leads to another server, so the age of their objects is not known',
  });
  // It may be the object in use: the listing does not show whose it is.
  expect(orphansOf(result)).not.toContain(copy);
  expect(result.deletions).toEqual([[orphan]]);
});

test('neither is it that of a reference whose connection is not known, in an archive class or not', async () => {
  server.put(await row('nobodys@bkt/xcom'));
  const { store } = server;
  const list: typeof store.list = async (target, aborted) => {
    const answer = await store.list(target, aborted);
    if (answer.kind !== 'listed') return answer;
    return { ...answer, objects: answer.objects.map((one) => ({ ...one, storageClass: 'GLACIER' })) };
  };
  for (const listing of [store, { ...store, list }]) {
    const result = await audited({
      store: listing,
      configured: [AWS_PATH],
      isKnown: (id) => id !== 'nobodys',
    });
    expect(result.figures.references).toMatchObject({ live: 0, unjudged: 1, unreadable: [], unsure: 0 });
    expect([auditCode(result), result.lists.unreadable, server.asked]).toEqual([2, [], []]);
  }
});

test('an object is asked for with the connection of its row, not of a place whose name begins alike', async () => {
  const { aws, minio, options } = openTwo();
  const lost = await row('minio@bkt-old/xcom');
  const result = await audited({ ...options, configured: [{ ...AWS_PATH, prefix: '' }] });
  expect([minio.asked, aws.asked]).toEqual([[lost.replace('/', ' ')], []]);
  expect(result.lists.missing).toHaveLength(1);
});

test.each(['', 'xcom-old', 'former'])(
  'a former place "%s" in a bucket of that name on another server takes no place of the path, and is not listed',
  async (prefix) => {
    const { aws, minio, options } = openTwo();
    const start = prefix === '' ? 'bkt' : `bkt/${prefix}`;
    minio.put(await row(`minio@${start}`));
    await row(`minio@${start}`);
    aws.put(await row('aws@bkt/xcom'));
    const orphan = aws.put(unnamed('bkt/xcom'));
    const result = await audited({ ...options, configured: [AWS_PATH] });
    expect([aws.listed, minio.listed, minio.asked]).toEqual([['bkt/xcom/'], [], []]);
    expect(result.places).toEqual([AWS_PATH]);
    expect(result.figures.references).toMatchObject({ live: 1, absent: 0, unjudged: 0, outside: 2 });
    expect([orphansOf(result), result.deletions]).toEqual([[orphan], [[orphan]]]);
    expect([auditCode(result), notListed(result)]).toEqual([2, [notListedOnMinio(`bkt/${prefix}`)]]);
  },
);

test('a bucket that only rows name, on two servers, is listed at one of them', async () => {
  const { aws, minio, options } = openTwo();
  minio.put(await row('minio@former/xcom'));
  aws.put(await row('aws@former/xcom/team'));
  const result = await audited({ ...options, configured: [AWS_PATH] });
  expect([aws.listed, minio.listed]).toEqual([['bkt/xcom/'], ['former/xcom/']]);
  expect(result.figures.references).toMatchObject({ live: 1, unjudged: 1, absent: 0 });
  expect([auditCode(result), result.lists.missing]).toEqual([2, []]);
});

test('a place that rows name on both servers is listed at the one of the path', async () => {
  const { aws, minio, options } = openTwo();
  minio.put(await row('minio@bkt/former'));
  aws.put(await row('aws@bkt/former'));
  const result = await audited({ ...options, configured: [AWS_PATH] });
  expect([aws.listed, minio.listed]).toEqual([['bkt/xcom/', 'bkt/former/'], []]);
  expect(result.figures.references).toMatchObject({ live: 1, unjudged: 1 });
  expect([auditCode(result), notListed(result)]).toEqual([2, null]);
});

test.each(['a copy of the object', 'nothing'])(
  'an inventory of the bucket of the path, with %s, says nothing of a bucket of that name on another server',
  async (copied) => {
    const { aws, minio, options } = openTwo();
    const objects = new Map<string, number>();
    const put = (location: string) => objects.set(aws.put(location), Date.now() - MONTH_MS);
    put(await row('aws@bkt/xcom'));
    const orphan = unnamed('bkt/xcom');
    put(orphan);
    const there = await row('minio@bkt/former');
    if (copied === 'nothing') minio.put(there);
    else put(there);
    const folder = mkdtempSync(join(tmpdir(), 'audit-places-'));
    const inventory = writeInventory(folder, { bucket: 'bkt', objects });
    const result = await audited({ ...options, configured: [AWS_PATH], inventory });
    rmSync(folder, { recursive: true });
    expect(result.figures.references).toMatchObject({ live: 1, absent: 0, outside: 1 });
    expect(result.confirmed).toMatchObject({ missing: 0, doubts: [] });
    expect([auditCode(result), minio.asked]).toEqual([2, []]);
    expect(notListed(result)).toEqual([notListedOnMinio('bkt/former')]);
    expect(result.deletions).toEqual([[orphan]]);
    expect(result.safe.days).toBeNull();
  },
);

test('a place that is configured with two connections to one server is one place', async () => {
  server.put(await row('aws@bkt/xcom'));
  const orphan = server.put(unnamed('bkt/xcom'));
  const result = await audited({ configured: [AWS_PATH, { ...AWS_PATH, connection: 'aws_too' }] });
  expect(result.deletions).toEqual([[orphan]]);
  expect(result.figures.objects.all.objects).toBe(2);
  expect(result.places).toEqual([AWS_PATH]);
});

test('a bucket of one name on two servers is refused', async () => {
  const { options } = openTwo();
  const configured = [AWS_PATH, { ...AWS_PATH, prefix: 'other', connection: 'minio' }];
  await expect(audited({ ...options, configured })).rejects.toThrow(
    'xcom.path names a bucket bkt on AWS and one on minio:9000: run an audit for each',
  );
});
