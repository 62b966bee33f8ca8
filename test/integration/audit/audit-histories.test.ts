import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditOptions } from '../../../src/audit/audit.ts';
import type { Statement } from '../../../src/postgres/client.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { Audited } from '../../support/audit.ts';
import { aged, DAY_MS, HOUR_MS, runAudit } from '../../support/audit.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Run, Stage } from '../../support/seed.ts';
import { listShapes, openStage } from '../../support/seed.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');
/** `npm run test:histories` plays a hundred. */
const histories = Number(process.env['HISTORIES'] ?? 3);
const BUCKET = 'airflow-xcom';
const MINUTE_MS = 60_000;
const signal = new AbortController().signal;

describe.each(listShapes())('$shape (Airflow $release), while Airflow writes and deletes', ({ release }) => {
  let stage: Stage;
  let store: ObjectStore;
  beforeAll(async () => {
    stage = await openStage(postgres(), release);
    store = openObjectStore(connectionTo(s3().endpoint, s3()), {
      observer: recordRequests(),
      log: pino({ level: 'silent' }),
    });
  });
  afterAll(async () => {
    store.close();
    await stage.close();
  });

  test('nothing that is in use is to be deleted, and nothing that is there is missing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat({ max: 999 })), async (chance) => {
        const world = await openWorld({ stage, store, chance: () => Number(chance.next().value) });
        for (let step = 0; step < 60; step += 1) await world.act();
        const planted = await world.plant();
        const audited = await world.audit();
        // When a missing reference was last looked for, a row still named it and its object did not exist.
        const namedThen = await world.named();
        const missing = audited.lists.missing.map(locationOf);
        expect(missing.filter((location) => !namedThen.has(location) || world.isThere(location))).toEqual([]);
        await world.settle();

        const named = await world.named();
        const { deletions, lists } = audited;
        expect(deletions.flat().filter((location) => named.has(location))).toEqual([]);
        expect(deletions.flat().filter((location) => !world.wasOld(location))).toEqual([]);
        // The audit must report everything that was true all the time.
        expect(deletions.flat()).toEqual(expect.arrayContaining(planted.orphans));
        expect(missing).toEqual(expect.arrayContaining(planted.missing));
        expect(lists.orphaned.map(locationOf)).toEqual(expect.arrayContaining(planted.orphans));
        await world.clear();
      }),
      { numRuns: histories },
    );
  }, 600_000);
});

function locationOf({ bucket, key }: Readonly<Record<string, unknown>>): string {
  return `${String(bucket)}/${String(key)}`;
}

interface Place {
  readonly run: Run;
  readonly taskId: string;
  readonly key: string;
}
interface Pending {
  readonly at: number;
  readonly end: () => Promise<void>;
}

interface World {
  /** Lets Airflow do something, begin something or end something. */
  act(): Promise<void>;
  /** Adds what stays as it is: old orphans, and rows whose object never existed. */
  plant(): Promise<{ orphans: string[]; missing: string[] }>;
  audit(): Promise<Audited>;
  /** Ends everything that has begun. */
  settle(): Promise<void>;
  /** All locations that the rows of any table name. */
  named(): Promise<Set<string>>;
  wasOld(location: string): boolean;
  isThere(location: string): boolean;
  clear(): Promise<void>;
}

async function openWorld(options: {
  readonly stage: Stage;
  readonly store: ObjectStore;
  readonly chance: () => number;
}): Promise<World> {
  const { stage, store, chance } = options;
  const { writer, source } = stage;
  await clearTables(stage);
  let now = Date.UTC(2026, 0, 1);
  let startedAt = Infinity;
  let pushes: Pending[] = [];
  let purges: Pending[] = [];
  const objects = new Map<string, { lastModified: number }>();
  const runs: Run[] = [];
  for (let index = 0; index < 8; index += 1) {
    const dagId = index % 2 === 0 ? 'etl' : 'dag of two';
    runs.push(await stage.addRun({ dagId, runId: `manual__${index} a+b`, state: 'success' }));
  }
  let made = 0;

  const uuid = () => {
    made += 1;
    return `00000000-0000-4000-8000-${String(made * 1000 + chance()).padStart(12, '0')}`;
  };
  const pick = <Item>(items: readonly Item[]): Item => {
    const item = items[chance() % items.length];
    if (item === undefined) throw new Error('Nothing to choose from');
    return item;
  };
  const place = (): Place => ({
    run: pick(runs),
    taskId: pick(['a', 'b', 'c.d']),
    key: pick(['x', 'y', 'return_value']),
  });

  async function keyOf({ run, taskId, key }: Place): Promise<string> {
    const folder = `base/${run.dagId}/${run.runId}/${taskId}`;
    if (source.table !== 'xcom_v2') return `${folder}/${uuid()}`;
    await stage.addTask({ run, taskId });
    const [task] = await writer.query<{ id: string }>(
      `SELECT id::text FROM task_instance WHERE dag_id = $1 AND run_id = $2 AND task_id = $3`,
      [run.dagId, run.runId, taskId],
    );
    return chance() % 4 === 0
      ? `${folder}/write-${uuid()}/${key}.json`
      : `${folder}/ti-${task?.id ?? ''}/${key}.json`;
  }
  async function put(key: string): Promise<void> {
    await store.put({ bucket: BUCKET, key, body: Buffer.from('"value"') }, signal);
    objects.set(`${BUCKET}/${key}`, { lastModified: now });
  }
  const stored = (key: string) => {
    const text = JSON.stringify(`s3://aws@${BUCKET}/${key}`);
    return source.value === 'bytea' ? Buffer.from(text) : text;
  };
  async function spelled(at: Place): Promise<string[]> {
    const rows = await writer.query<{ text: string }>(
      `SELECT ${source.value === 'bytea' ? `encode(value, 'escape')` : 'value::text'} AS text FROM ${source.table} x
       WHERE key = $1 AND ${
         source.table === 'xcom_v2'
           ? `task_instance_id IN (SELECT id FROM task_instance WHERE dag_id = $2 AND run_id = $3 AND task_id = $4)`
           : 'dag_id = $2 AND run_id = $3 AND task_id = $4'
       }`,
      [at.key, at.run.dagId, at.run.runId, at.taskId],
    );
    return rows.flatMap(({ text }) => keysIn(text));
  }
  const remove = (at: Place) => stage.remove({ ...at });

  /** Writes the object first, and its row some time later. */
  async function push(): Promise<void> {
    const at = place();
    const key = await keyOf(at);
    await put(key);
    const end = () => stage.push({ ...at, stored: stored(key) });
    if (chance() % 3 > 0) await end();
    else pushes.push({ at: now, end });
  }
  /** Deletes the object first, and its row some time later. */
  async function purge(): Promise<void> {
    const at = place();
    const keys = await spelled(at);
    for (const key of keys) {
      await store.delete({ bucket: BUCKET, key }, signal);
      objects.delete(`${BUCKET}/${key}`);
    }
    if (keys.length === 0) return;
    const end = async () => {
      // Deletes the row only if its object was purged: another push may have come in between.
      if ((await spelled(at)).every((key) => keys.includes(key) && !objects.has(`${BUCKET}/${key}`)))
        await remove(at);
    };
    if (chance() % 3 > 0) await end();
    else purges.push({ at: now, end });
  }
  let archives = 0;
  /** Does as `airflow db clean`: copies rows, and deletes them later. */
  async function clean(): Promise<void> {
    archives += 1;
    const table = `_airflow_deleted__${source.table}__2026010100${String(archives).padStart(4, '0')}`;
    const id = source.table === 'xcom_v2' ? 'id' : 'dag_run_id, task_id, map_index, key, value';
    await writer.query(
      `CREATE TABLE ${table} AS SELECT * FROM ${source.table} x
       WHERE hashtext(x.key || x.timestamp::text) % 3 = ${chance() % 3} AND key NOT IN ('gone', 'lost')`,
    );
    const end = async () => {
      await writer.query(`DELETE FROM ${source.table} WHERE (${id}) IN (SELECT ${id} FROM ${table})`);
    };
    if (chance() % 2 > 0) await end();
    else pushes.push({ at: now, end });
  }
  async function endOf(pending: Pending[], isDue: (one: Pending) => boolean): Promise<Pending[]> {
    for (const one of pending) if (isDue(one)) await one.end();
    return pending.filter((one) => !isDue(one));
  }

  async function act(): Promise<void> {
    now += (1 + (chance() % 10)) * MINUTE_MS * (startedAt === Infinity ? 30 : 1);
    // No act takes as long as an hour.
    pushes = await endOf(pushes, ({ at }) => now - at > 40 * MINUTE_MS || chance() % 4 === 0);
    purges = await endOf(purges, ({ at }) => now - at > 40 * MINUTE_MS || chance() % 6 === 0);
    const what = chance() % 20;
    // Moves rows while the audit reads them, often enough that some history has this case.
    if (startedAt < Infinity && what > 14 && archives < 8) await clean();
    else if (what < 11) await push();
    else if (what < 15) await purge();
    else if (what < 18) await remove(place());
    else if (what === 18 && archives < 3) await clean();
  }

  return {
    act,
    async plant() {
      const [run] = runs;
      if (run === undefined) throw new Error('There is no run');
      const orphans: string[] = [];
      const missing: string[] = [];
      for (const taskId of ['gone', 'lost']) {
        const key = `base/${run.dagId}/${run.runId}/${taskId}/${uuid()}`;
        await put(key);
        objects.set(`${BUCKET}/${key}`, { lastModified: now - 20 * DAY_MS });
        orphans.push(`${BUCKET}/${key}`);
        const lost = `base/${run.dagId}/${run.runId}/broken/${uuid()}`;
        await stage.push({ run, taskId: 'broken', key: taskId, stored: stored(lost) });
        missing.push(`${BUCKET}/${lost}`);
      }
      return { orphans, missing };
    },
    async audit() {
      let isSettled = false;
      const meanwhile: AuditOptions['pages'] = async () => {
        if (!isSettled && chance() % 3 === 0) await act();
      };
      const connection = connectionTo(s3().endpoint, s3());
      const agedStore = aged(store, objects);
      return runAudit({
        url: stage.url,
        connection,
        configured: [{ bucket: BUCKET, prefix: 'base', connection: '' }],
        // Pages have three keys and chunks three rows, so that something happens between any two of them.
        store: {
          ...agedStore,
          list: (target, aborted) => agedStore.list({ ...target, maxKeys: 3 }, aborted),
        },
        database: (database) => ({
          read: (read, aborted) =>
            database.read(
              (query) =>
                read(async (statement) => {
                  const rows = await query(inSmallPieces(statement));
                  if (statement.name !== 'role') return rows as never;
                  startedAt = Math.min(startedAt, now);
                  return rows.map((row) => ({ ...(row as object), now })) as never;
                }),
              aborted,
            ),
        }),
        pages: meanwhile,
        requests: meanwhile,
        concurrency: 1,
        olderThanMs: 2 * HOUR_MS,
        settle: async () => {
          purges = await endOf(purges, () => true);
          isSettled = true;
        },
      });
    },
    async settle() {
      pushes = await endOf(pushes, () => true);
      purges = await endOf(purges, () => true);
      for (let step = 0; step < 10; step += 1) await act();
      pushes = await endOf(pushes, () => true);
      purges = await endOf(purges, () => true);
    },
    async named() {
      const tables = await writer.query<{ name: string; type: string }>(
        `SELECT c.relname AS name, format_type(a.atttypid, NULL) AS type FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE a.attname = 'value' AND c.relkind = 'r' AND c.relname ~ 'xcom' AND c.relnamespace = 'public'::regnamespace`,
      );
      const locations = new Set<string>();
      for (const { name, type } of tables) {
        const rows = await writer.query<{ text: string }>(
          `SELECT ${type === 'bytea' ? `convert_from(value, 'UTF8')` : 'value::text'} AS text FROM ${name}`,
        );
        for (const { text } of rows) for (const key of keysIn(text)) locations.add(`${BUCKET}/${key}`);
      }
      return locations;
    },
    wasOld: (location) => (objects.get(location)?.lastModified ?? 0) <= startedAt - 2 * HOUR_MS,
    isThere: (location) => objects.has(location),
    async clear() {
      for (const location of objects.keys())
        await store.delete({ bucket: BUCKET, key: location.slice(BUCKET.length + 1) }, signal);
      await clearTables(stage);
    },
  };
}

function keysIn(text: string): string[] {
  const [, key] = /s3:\/\/aws@airflow-xcom\/([^"]+)"/.exec(text) ?? [];
  return key === undefined ? [] : [key];
}

function inSmallPieces(statement: Statement): Statement {
  return statement.name.startsWith('audit_bound_')
    ? { ...statement, text: statement.text.replace(/OFFSET \d+ LIMIT 1/, 'OFFSET 2 LIMIT 1') }
    : statement;
}

async function clearTables(stage: Stage): Promise<void> {
  await stage.clear();
  const archives = await stage.writer.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relname LIKE '\\_airflow\\_deleted%' AND relkind = 'r'`,
  );
  for (const { name } of archives) await stage.writer.query(`DROP TABLE ${name}`);
}
