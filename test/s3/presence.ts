import { randomUUID } from 'node:crypto';
import { lookUp } from '../../src/objects/look-up.ts';
import type { Stores } from '../../src/s3/stores.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import { unknown } from '../../src/s3/failure.ts';
import { compareKeys } from '../../src/s3/key-order.ts';
import { recordRequests, storesOf } from '../support/s3.ts';
import type { Case, Cell } from './case.ts';
import { tally, wordOf } from './case.ts';
import type { World } from './world.ts';
import { never, pathOf } from './world.ts';

const RUN = 'scheduled__2026-01-01T00:00:00+00:00';

/** Names that Airflow accepts for a task: letters of any script, in upper and lower case. */
const TASKS = ['Load', 'extract', 'LOAD_2', 'load.all', 'Äther', 'ｚ', '𐐀', 'a-b', 'a_b', 'Z'];

export const PRESENCE: readonly Case[] = [
  { name: 'written by s3fs, found and read', run: asAirflow },
  { name: '2,500 keys in a folder', run: manyKeys },
  { name: 'odd keys', run: oddKeys },
  { name: 'missing and empty', run: missingAndEmpty },
];

async function asAirflow({ writers, newBucket, open }: World): Promise<Cell> {
  const bucket = await newBucket();
  const store = open();
  const said: string[] = [];
  const seen: string[] = [];
  for (const writer of writers) {
    const keys = TASKS.map((task) => `xcom/Dag/${RUN}/${task}/${randomUUID()}`);
    const wrote = await writer.write({ bucket, keys }, '"value"');
    seen.push(...wrote.map(({ ok, text }) => (ok ? 'written' : (text ?? ''))));
    for (const key of keys) {
      const head = await store.head({ bucket, key }, never);
      const got = await store.get({ bucket, key }, never);
      const same = got.kind === 'got' && Buffer.from(got.body).toString() === '"value"';
      said.push(
        head.kind === 'present' && head.bytes === 7 && same ? 'present, 7 bytes, read' : wordOf(head),
      );
    }
  }
  const right = said.every((word) => word === 'present, 7 bytes, read');
  return { seen: tally(seen), said: tally(said), right };
}

async function manyKeys(world: World): Promise<Cell> {
  const bucket = await world.newBucket();
  const keys = Array.from(
    { length: 2_500 },
    (_, at) => `xcom/Dag/${RUN}/${TASKS[at % TASKS.length] ?? ''}/${randomUUID()}`,
  );
  const wrote = await world.writer.fill({ bucket, keys }, '"value"');
  const failed = wrote.filter(({ ok }) => !ok);
  const listed = await listAll(world.open(), bucket, 'xcom/');
  const inOrder = listed.every((key, at) => at === 0 || compareKeys(listed[at - 1] ?? '', key) < 0);
  const distinct = new Set(listed);
  const byList = await present(world, { bucket, keys, mayList: true });
  const byHead = await present(world, { bucket, keys, mayList: false });
  return {
    seen: `${keys.length - failed.length} written; pages give ${distinct.size}${listed.length > distinct.size ? `, ${listed.length - distinct.size} twice` : ''}, ${inOrder ? 'in the order of bytes' : '**in another order**'}`,
    said: `by LIST ${byList.words} (${byList.requests}); by HEAD ${byHead.words} (${byHead.requests})`,
    right: byList.words === '2500 present' && byHead.words === '2500 present' && failed.length === 0,
  };
}

async function listAll(store: ObjectStore, bucket: string, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let after: string | null = null;
  do {
    const page = await store.list({ bucket, prefix, after }, never);
    if (page.kind === 'unknown') throw new Error(page.detail);
    keys.push(...page.objects.map(({ key }) => key));
    after = page.next;
  } while (after !== null);
  return keys;
}

/** The result of a look-up of these references. */
async function present(
  world: World,
  { bucket, keys, mayList }: { bucket: string; keys: readonly string[]; mayList: boolean },
): Promise<{ words: string; requests: string }> {
  const observer = recordRequests();
  const store = world.open({}, observer);
  // AWS refuses a client that may not list, and the client then has only HEAD.
  const denied = unknown('denied', 'AccessDenied (403)', 's3');
  const used = mayList ? store : { ...store, list: () => Promise.resolve(denied) };
  const stores: Pick<Stores, 'of' | 'sent'> = storesOf(used, observer);
  const waiting = keys.map((key) => ({ item: key, key, at: 0, asked: false }));
  const location = { connection: '', bucket, prefix: 'xcom', folder: `xcom/Dag/${RUN}/` };
  const looked = await lookUp(
    [{ location, runId: RUN, waiting, settled: 0, others: 0 }],
    { stores, ceiling: 10_000, until: performance.now() + 120_000, now: Date.now() },
    never,
  );
  const words = [
    ...looked.found.map(({ finding }) => finding.kind),
    ...looked.unanswered.map(({ unknown: answer }) => wordOf(answer)),
    ...looked.left.map(() => 'left'),
  ];
  return { words: tally(words), requests: `${observer.requests.list} LIST, ${observer.requests.head} HEAD` };
}

const ODD = [
  ['//', '/d//r/t/'],
  ['%2F', '/d/a%2Fb/t/'],
  ['+', '/d/a+b/t/'],
  ['space', '/d/a b/t/'],
  ['quotes', '/d/a"b\'c/t/'],
  ['unicode', '/d/Ünï-日本-𐐀/t/'],
  ['?&=#', '/d/a?b&c=d#e/t/'],
  ['backslash', '/d/a\\b/t/'],
  ['~!*()', '/d/~a!b*(c)/t/'],
  [':', '/d/a:b@c;d,e/t/'],
] as const;

/** A key counts as present if Airflow's task could read it: the exporter must call exactly these keys present. */
async function oddKeys(world: World): Promise<Cell> {
  const bucket = await world.newBucket();
  const store = world.open();
  const odd = ODD.map(([name, middle]) => ({ name, key: `xcom${middle}${randomUUID()}` }));
  const below = `xcom/d/r/t/${randomUUID()}`;
  const named = [...odd, { name: 'beside its prefix', key: below }, { name: 'below it', key: `${below}/x` }];
  const keys = named.map(({ key }) => key);
  await world.writer.write({ bucket, keys }, '"value"');
  const reads = await world.writer.read({ bucket, keys });
  const listed = new Set(await listAll(store, bucket, 'xcom/').catch(() => []));
  const unread: string[] = [];
  const unlisted: string[] = [];
  const wrong: string[] = [];
  for (const [at, { name, key }] of named.entries()) {
    const isRead = reads[at]?.text === '"value"';
    const head = await store.head({ bucket, key }, never);
    const word = wordOf(head);
    if (!isRead) unread.push(`${name} (${word})`);
    if (isRead && !listed.has(key)) unlisted.push(name);
    if (isRead !== (head.kind === 'present')) wrong.push(`${name}: ${word}`);
  }
  const readable = keys.filter((_, at) => reads[at]?.text === '"value"');
  const looked = await present(world, { bucket, keys: readable, mayList: true });
  return {
    seen: `${readable.length} of ${keys.length} can be read${unlisted.length === 0 ? '' : `; LIST lacks ${unlisted.join(', ')}`}${unread.length === 0 ? '' : `; cannot be written: ${unread.join(', ')}`}`,
    said: wrong.length === 0 ? `${looked.words}, none other` : wrong.join('; '),
    right: wrong.length === 0 && looked.words === `${readable.length} present`,
  };
}

async function missingAndEmpty(world: World): Promise<Cell> {
  const bucket = await world.newBucket();
  const store = world.open();
  const keys = [randomUUID(), randomUUID(), randomUUID()].map((leaf) => `xcom/Dag/${RUN}/t/${leaf}`);
  const [full = '', empty = '', missing = ''] = keys;
  await world.writer.write({ bucket, keys: [full] }, '"value"');
  await world.putEmpty(bucket, [empty]);
  const folder = `xcom/Dag/${RUN}/t`;
  const asked = [full, empty, missing, folder];
  const seen = await Promise.all(asked.map((key) => world.status('HEAD', pathOf(bucket, key))));
  const said = await Promise.all(asked.map(async (key) => wordOf(await store.head({ bucket, key }, never))));
  return {
    seen: `HEAD ${seen.join(', ')} (full, empty, missing, folder)`,
    said: said.join(', '),
    right: said.slice(0, 3).join() === 'present,empty,missing' && said[3] === 'missing',
  };
}
