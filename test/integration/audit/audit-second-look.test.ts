import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openDuck } from '../../../src/audit/duck.ts';
import { sampleOf } from '../../../src/audit/looks.ts';
import { auditCode, auditDocument, auditText } from '../../../src/audit/summary.ts';
import { auditResult } from '../../../src/commands/audit-result.ts';
import type { HeadAnswer, PeekAnswer } from '../../../src/s3/client.ts';
import { unknown } from '../../../src/s3/failure.ts';
import type { Audited, RunOptions } from '../../support/audit.ts';
import { aged, DAY_MS, runAudit } from '../../support/audit.ts';
import type { SmallStore } from '../../support/audit-small.ts';
import { addGone, addRow, connectionAt, storeOf, writeInventory } from '../../support/audit-small.ts';
import { uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';

const postgres = usePostgres();
const folder = mkdtempSync(join(tmpdir(), 'audit-second-look-'));
const MONTH_MS = 30 * DAY_MS;
const DENIED = unknown('denied', 'no code (403)', 's3');
let stage: Stage;
let objects: SmallStore;

beforeAll(async () => {
  stage = await openStage(postgres(), '3.3.2');
});
afterAll(async () => {
  await stage.close();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  await stage.clear();
  objects = new Map();
});

function put(location: string, age = MONTH_MS): string {
  objects.set(location, Date.now() - age);
  return location;
}
const orphanIn = (place: string) => put(`${place}/sales/run/task/${uuid4()}`);
const place = (bucket: string) => ({ bucket, prefix: 'xcom', connection: '' });

function audited(changes: Partial<RunOptions> = {}): Promise<Audited> {
  return runAudit({
    url: stage.url,
    store: storeOf(objects),
    connection: connectionAt('http://one'),
    configured: [place('bucket')],
    ...changes,
  });
}
const textOf = (result: Audited) => auditText(result, { folder: '', plain: (name) => name });
const heldBy = (result: Audited) =>
  (auditDocument(result, { folder: '', version: '' }) as { held_back: unknown }).held_back;

describe('an object that a HEAD finds and the listing lacks', () => {
  /** The server keeps, lists and finds `a//b` as `a/b`. */
  const fold = (key: string) => key.replaceAll('//', '/').replaceAll('/./', '/');
  const folding = (): RunOptions['store'] => {
    const { head, ...store } = storeOf(objects);
    return { ...store, head: (target, signal) => head({ ...target, key: fold(target.key) }, signal) };
  };

  const SPELT =
    '1 of its objects that nothing names have the key of a reference but for slashes, so it may have objects in use under other names';

  test('holds back its bucket, since a row may name what looks orphaned', async () => {
    put(fold(await addRow(stage, 'bucket/xcom//team')));
    orphanIn('bucket/xcom');
    const elsewhere = orphanIn('other/xcom');
    const result = await audited({ store: folding(), configured: [place('bucket'), place('other')] });
    const why = SPELT;
    expect(result.lists.orphaned).toHaveLength(3);
    expect(result.deletions).toEqual([[elsewhere]]);
    expect(heldBy(result)).toEqual([
      { place: 's3://bucket/xcom', reason: why },
      { place: 's3://bucket/xcom//team', reason: why },
    ]);
    expect(result.confirmed.doubts).toEqual([{ bucket: 'bucket', references: 1, why }]);
    expect(auditCode(result)).toBe(2);
    expect(textOf(result)).toMatch(/^Not all could be found out\.\n/);
    expect(textOf(result)).toContain(`\nNothing in s3://bucket is to be deleted: ${why}.\n`);
  });

  test('holds back nothing if it was put after the rows were read', async () => {
    const late = put(await addRow(stage, 'bucket/xcom'), 0);
    const orphan = orphanIn('bucket/xcom');
    const before = new Map(objects);
    before.delete(late);
    const result = await audited({ store: { ...storeOf(objects), list: storeOf(before).list } });
    expect(result.confirmed).toMatchObject({ present: 1, doubts: [] });
    expect([auditCode(result), result.deletions]).toEqual([0, [[orphan]]]);
  });

  /** Only the HEAD of a key with two slashes gets this answer. */
  const butOfTwoSlashes = (answer: HeadAnswer): RunOptions['store'] => {
    const { head, ...store } = folding();
    return {
      ...store,
      head: (target, signal) => (target.key.includes('//') ? Promise.resolve(answer) : head(target, signal)),
    };
  };

  test.each([DENIED, unknown('timeout', 'no answer in 7000 ms', 'network')])(
    'is not excluded by what other HEADs say, if its own is not answered ($reason)',
    async (answer) => {
      const inUse = put(fold(await addRow(stage, 'bucket/xcom//team')));
      await addRow(stage, 'bucket/xcom');
      const result = await audited({ store: butOfTwoSlashes(answer) });
      expect(result.lists.orphaned.map(({ key }) => `bucket/${String(key)}`)).toEqual([inUse]);
      expect(result.deletions).toEqual([]);
      const why = SPELT;
      expect(result.confirmed).toMatchObject({
        missing: 1,
        unknown: 1,
        doubts: [{ bucket: 'bucket', references: 1, why }],
      });
      expect(textOf(result)).toContain(`\nNothing in s3://bucket is to be deleted: ${why}.\n`);
    },
  );

  test('is not excluded where a path may be listed and not read, and the summary says what to do', async () => {
    for (let row = 0; row < 20; row += 1) await addRow(stage, 'bucket/former//team');
    put(await addRow(stage, 'bucket/xcom'));
    orphanIn('bucket/xcom');
    const result = await audited({ store: butOfTwoSlashes(DENIED) });
    expect([auditCode(result), result.deletions]).toEqual([2, []]);
    expect(textOf(result)).toContain(
      '\nNot confirmed: references without a connection (20): denied: object storage answered no code (403). Allow s3:GetObject on the path to the credentials of the connection.\n',
    );
    expect(textOf(result)).toContain(
      'Nothing in s3://bucket is to be deleted: the listing lacks the objects of 20 references, and no HEAD of them was answered (denied),',
    );
  });

  test.each([
    ['not known here', false],
    // Two host names may lead to one server.
    ['to another server', true],
  ])('is not excluded if the row has a connection that nobody can ask, $0', async (_, isKnown) => {
    const named = await addRow(stage, 'elsewhere@bucket/xcom//team');
    put(fold(named.replace('elsewhere@', '')));
    const result = await audited({
      store: folding(),
      isKnown: (id) => isKnown || id !== 'elsewhere',
      connectionOf: (id) => connectionAt(id === 'elsewhere' ? 'http://two' : 'http://one'),
    });
    expect(result.confirmed.doubts).toEqual([{ bucket: 'bucket', references: 1, why: SPELT }]);
    expect(result.deletions).toEqual([]);
  });

  test.each([
    ['not known here', false],
    ['to another server', true],
  ])('may have any other name if the connection of its row is $0', async (_, isKnown) => {
    await addRow(stage, 'elsewhere@bucket/xcom/team');
    const orphan = orphanIn('bucket/xcom');
    const result = await audited({
      isKnown: (id) => isKnown || id !== 'elsewhere',
      connectionOf: (id) => connectionAt(id === 'elsewhere' ? 'http://two' : 'http://one'),
    });
    const why =
      'the listing lacks the objects of 1 references, and no HEAD of them was answered (unknown connection), so it may have objects in use under other names';
    // If it is known to lead elsewhere, its object is no object of this bucket.
    expect(result.confirmed.doubts).toEqual(isKnown ? [] : [{ bucket: 'bucket', references: 1, why }]);
    expect(result.deletions).toEqual(isKnown ? [[orphan]] : []);
  });

  test.each([
    [
      'a row of an archive',
      ['CREATE TABLE _airflow_deleted__xcom__1 AS SELECT * FROM xcom', 'DELETE FROM xcom'],
    ],
    ['a value that was encoded again', ['UPDATE xcom SET value = to_jsonb(value::text)']],
  ])('is not excluded where only $0 names it', async (_, statements) => {
    put(fold(await addRow(stage, 'bucket/xcom//team')));
    for (const statement of statements) await stage.writer.query(statement);
    put(await addRow(stage, 'bucket/xcom'));
    const result = await audited({ store: folding() });
    await stage.writer.query('DROP TABLE IF EXISTS _airflow_deleted__xcom__1');
    expect(result.deletions).toEqual([]);
    expect(result.confirmed.doubts).toEqual([{ bucket: 'bucket', references: 1, why: SPELT }]);
    expect(auditCode(result)).toBe(2);
  });

  test('is found by its name among more references than are asked about', async () => {
    await addGone(stage, 6_000);
    put(fold(await addRow(stage, 'bucket/xcom', { runId: 'manual/./1' })));
    const result = await audited({ store: folding() });
    expect(result.confirmed.looked).toBe(2_000);
    expect(result.deletions).toEqual([]);
    expect(result.confirmed.doubts).toEqual([{ bucket: 'bucket', references: 1, why: SPELT }]);
  });

  test.each([
    ['by another name', '/xcom', SPELT],
    [
      'by no name that is known',
      'former',
      '1 references name objects in places of it that were not listed, so it may have objects in use under other names',
    ],
  ])('is not excluded if its row is in a place that may not be listed, $0', async (_, refused, why) => {
    put(fold(await addRow(stage, `bucket/${refused}`)));
    put(await addRow(stage, 'bucket/xcom'));
    orphanIn('bucket/xcom');
    const { list, ...store } = folding();
    const result = await audited({
      store: {
        ...store,
        list: (target, signal) =>
          target.prefix.startsWith(refused) ? Promise.resolve(DENIED) : list(target, signal),
      },
    });
    expect(result.figures.references.outside).toBe(1);
    expect(result.deletions).toEqual([]);
    expect(result.confirmed.doubts).toMatchObject([{ bucket: 'bucket', why }]);
  });

  test('holds back no other bucket by a HEAD that is not answered', async () => {
    await addRow(stage, 'bucket/xcom//team');
    const elsewhere = orphanIn('other/xcom');
    const configured = [place('bucket'), place('other')];
    const result = await audited({ store: butOfTwoSlashes(DENIED), configured });
    expect(result.deletions).toEqual([[elsewhere]]);
  });

  test('leaves no safe number of days, since its age is in no listing', async () => {
    // The inventory has a prefix, which its manifest does not say.
    put(await addRow(stage, 'bucket/xcom'), 200 * DAY_MS);
    const young = put(await addRow(stage, 'bucket/xcom'), 3 * DAY_MS);
    const inventory = writeInventory(folder, {
      bucket: 'bucket',
      objects: new Map([[young, objects.get(young) ?? 0]]),
    });
    const result = await audited({ inventory });
    expect(result.safe).toEqual({
      days: null,
      reason:
        '1 references name objects that the listing lacks and that are or may be there, so their age is not known',
    });
    expect(auditCode(result)).toBe(2);
  });
});

test('a sample does not speak for the references that nobody asked about', async () => {
  await addGone(stage, 2_500);
  put(await addRow(stage, 'bucket/xcom'), 20 * DAY_MS);
  const result = await audited();
  expect(result.confirmed).toMatchObject({ absent: 2_500, looked: 2_000, missing: 2_000 });
  expect(result.figures.references).toMatchObject({ live: 1, absent: 2_500, undated: 500 });
  expect(result.safe.days).toBeNull();
  expect(auditResult(result, 0).missing).toBeNull();
  expect(result.lists.missing.map((one) => one['asked_for']).filter((asked) => asked === false)).toHaveLength(
    500,
  );
  expect(textOf(result)).toContain(
    '  missing        2,500 by the listing; 2,000 of 2,000 that were asked for one by one are\n  not known      500\n',
  );
});

test('a sample of too many references has some of every place', async () => {
  const duck = await openDuck({
    file: join(folder, 'audit.duckdb'),
    temporary: join(folder, 'spill'),
    memoryBytes: 2 ** 29,
  });
  try {
    await duck.run(`CREATE TABLE absent AS SELECT concat('bucket/', CASE WHEN n = 4000 THEN 'few' ELSE 'many' END, '/', n) AS location,
      '' AS connection, 'xcom' AS source, '1' AS owner, 'missing' AS verdict FROM range(6000) numbers (n)`);
    const bases = ['many', 'few'].map((prefix) => ({ bucket: 'bucket', prefix, connection: '' }));
    const sample = await sampleOf({ duck, table: 'absent', listed: 'missing' }, bases);
    expect(new Set(sample.map(({ location }) => location)).size).toBe(2_000);
    expect(sample.map(({ location }) => location)).toContain('bucket/few/4000');
  } finally {
    await duck.close();
  }
});

describe('an object that the listing has in an archive class', () => {
  const GLACIER = { storageClass: 'GLACIER' };
  const inGlacier = () => aged(storeOf(objects), new Map([...objects.keys()].map((key) => [key, GLACIER])));

  test('is unreadable if storage says so', async () => {
    const cold = put(await addRow(stage, 'bucket/xcom'));
    const result = await audited({ store: inGlacier() });
    expect(result.lists.unreadable.map(({ key }) => `bucket/${String(key)}`)).toEqual([cold]);
    expect(result.figures.references).toMatchObject({
      live: 0,
      unsure: 0,
      unreadable: [{ storageClass: 'GLACIER', references: 1 }],
    });
    expect(auditCode(result)).toBe(1);
  });

  test('is live if it was restored, or the server keeps no archive', async () => {
    put(await addRow(stage, 'bucket/xcom'));
    const result = await audited({ store: { ...storeOf(objects), list: inGlacier().list } });
    expect(result.lists.unreadable).toEqual([]);
    expect(result.figures.references).toMatchObject({ live: 1, unsure: 0, unreadable: [] });
    expect(auditCode(result)).toBe(0);
  });

  /** Counts what it is asked to read. */
  const reading = (answer: PeekAnswer) => {
    const tried: string[] = [];
    const peek: RunOptions['store']['peek'] = ({ key }) => {
      tried.push(key);
      return Promise.resolve(answer);
    };
    return { tried, store: { ...inGlacier(), peek } };
  };

  test.each<[string, PeekAnswer, number, object]>([
    [
      'live if the server hands out what it calls archived',
      { kind: 'readable' },
      3,
      { live: 5, unsure: 0, unreadable: [] },
    ],
    [
      'unreadable if the first of its place is not handed out',
      { kind: 'archived' },
      1,
      { live: 0, unsure: 0, unreadable: [{ storageClass: 'GLACIER', references: 5 }] },
    ],
    ['neither if that is not answered', DENIED, 3, { live: 0, unsure: 5, unreadable: [] }],
    ['neither if it is gone by now', { kind: 'missing' }, 5, { live: 0, unsure: 5, unreadable: [] }],
  ])('is %s', async (_, answer, tries, expected) => {
    for (let row = 0; row < 5; row += 1) put(await addRow(stage, 'bucket/xcom'));
    const { tried, store } = reading(answer);
    const result = await audited({ store });
    expect(result.figures.references).toMatchObject(expected);
    expect(tried).toHaveLength(tries);
  });

  test('is asked for again if the first of its place gets no answer', async () => {
    for (let row = 0; row < 5; row += 1) put(await addRow(stage, 'bucket/xcom'));
    let asked = 0;
    const peek = () => Promise.resolve((asked += 1) === 1 ? DENIED : ({ kind: 'archived' } as const));
    const result = await audited({ store: { ...inGlacier(), peek } });
    expect(result.figures.references).toMatchObject({
      unsure: 1,
      unreadable: [{ storageClass: 'GLACIER', references: 4 }],
    });
    expect(asked).toBe(2);
  });

  test('is neither if storage gives no answer', async () => {
    put(await addRow(stage, 'bucket/xcom'));
    const result = await audited({ store: { ...inGlacier(), head: () => Promise.resolve(DENIED) } });
    expect(result.lists.unreadable).toEqual([]);
    expect(result.figures.references).toMatchObject({ live: 0, unsure: 1, unreadable: [] });
    expect(auditCode(result)).toBe(2);
    expect(textOf(result)).toContain(
      '\nNot confirmed: references without a connection (1): denied: object storage answered no code (403). Allow s3:GetObject on the path to the credentials of the connection.\n',
    );
    expect(textOf(result)).toContain(
      '\nNot known: 1 references below s3://bucket/xcom/ are in an archive class, and storage did not say whether they can be read.\n',
    );
  });

  test('may be one of INTELLIGENT_TIERING, which is said', async () => {
    const tiered = put(await addRow(stage, 'bucket/xcom'));
    const said = new Map([[tiered, { storageClass: 'INTELLIGENT_TIERING' }]]);
    expect(textOf(await audited({ store: aged(storeOf(objects), said) }))).toContain(
      '\nNamed objects in INTELLIGENT_TIERING count as live: no listing shows which of them are in an archive tier.\n',
    );
  });
});
