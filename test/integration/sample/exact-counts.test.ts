import { betweenQueries } from '../../support/between-queries.ts';
import { PROBED } from '../../support/probed.ts';
import fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import type { Database } from '../../../src/postgres/client.ts';
import { APPLICATION_NAME } from '../../../src/postgres/database-url.ts';
import { openStateFile } from '../../../src/state/file.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { eventually } from '../../support/daemon.ts';
import { BASE, BUCKET, noise, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { listShapes, openCycle, openStage, sumUp } from '../../support/seed.ts';
import type { Run, Stage, StageCycle } from '../../support/seed.ts';
import { WHOLE } from '../../support/whole.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);
const folder = mkdtempSync(join(tmpdir(), 'exact-counts-'));

afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe.each(listShapes())('$shape (Airflow $release)', ({ release }) => {
  let stage: Stage;
  let open: StageCycle[] = [];
  beforeAll(async () => {
    stage = await openStage(postgres(), release);
  });
  beforeEach(async () => {
    await stage.clear();
    return async () => {
      await Promise.all(open.map((cycle) => cycle.close()));
      open = [];
    };
  });
  afterAll(() => stage.close());

  interface Options {
    readonly restored?: LedgerState | null;
    readonly window?: string;
    readonly through?: (database: Database) => Pick<Database, 'read'>;
  }
  function start({ window = '24h', ...options }: Options = {}): StageCycle {
    const cycle = openCycle(stage, {
      endpoint: s3().endpoint,
      env: { XCOM_EXPORTER_WINDOW: window },
      ...options,
    });
    open.push(cycle);
    return cycle;
  }

  /** Opens a cycle that has had its baseline, and adds a run after it. */
  async function begin(options: Options = {}): Promise<{ cycle: StageCycle; run: Run }> {
    const cycle = start(options);
    expect((await cycle.pass()).increments).toEqual([]);
    return { cycle, run: await stage.addRun({ dagId: 'etl', runId: `run ${uuid4()}` }) };
  }

  const json = (value: string) => (stage.source.value === 'bytea' ? Buffer.from(`"${value}"`) : `"${value}"`);
  const xcom = (run: Run, key = 'return_value') => ({ run, taskId: 'extract', key, stored: json('value') });

  test('a retry deletes and inserts the same key: each is one more', async () => {
    const { cycle, run } = await begin();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await stage.push(xcom(run));
      expect(newRows(await cycle.pass())).toBe(1);
      expect(newRows(await cycle.pass())).toBe(0);
    }
    // Only the last of several pushes between two cycles can be seen.
    await stage.push(xcom(run));
    await stage.push(xcom(run));
    const report = await cycle.pass();
    expect(newRows(report)).toBe(1);
    expect(report.window?.rows.db).toBe(1);
  });

  test('how many there were unseen is what Postgres says, less what was counted', async () => {
    // Sessions hand in their counts of earlier writes when it suits them. No session has written to this database
    // before.
    const own = await openStage(postgres(), release);
    const cycle = openCycle(own, { endpoint: s3().endpoint });
    const { table } = own.source;
    try {
      expect((await cycle.pass()).writes).toMatchObject({ [table]: 0 });
      const run = await own.addRun({ dagId: 'etl', runId: 'run' });
      const session = await own.connect();
      for (let attempt = 0; attempt < 3; attempt += 1) await own.push(xcom(run), session);
      await session.query('BEGIN');
      await own.push(xcom(run), session);
      await session.query('ROLLBACK');
      expect(newRows(await cycle.pass())).toBe(1);
      await session.close();
      await eventually(async () => {
        expect((await cycle.pass()).writes).toMatchObject({ [table]: 4 });
      });
      await own.writer.query(
        `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_counts = off', current_database()); END $$`,
      );
      const uncounted = openCycle(own, { endpoint: s3().endpoint });
      expect((await uncounted.pass()).writes).toEqual({});
      await uncounted.close();
    } finally {
      await cycle.close();
      await own.close();
    }
  });

  test('an update in place keeps the timestamp and is one more, also in a run that has ended', async () => {
    const { cycle, run } = await begin();
    await stage.push(xcom(run));
    expect(newRows(await cycle.pass())).toBe(1);
    await stage.patch({ ...xcom(run), stored: json('patched') });
    expect(newRows(await cycle.pass())).toBe(1);
    await stage.setState(run, 'success');
    expect(newRows(await cycle.pass())).toBe(0);
    await stage.patch({ ...xcom(run), stored: json('patched again') });
    const report = await cycle.pass();
    expect(newRows(report)).toBe(1);
    expect(report.window?.bytes.db).toBe('"patched again"'.length);
  });

  test('the clock of a writer may be five minutes off, either way', async () => {
    const { cycle, run } = await begin();
    await stage.push({ ...xcom(run, 'behind'), agoSeconds: 300 });
    await stage.push({ ...xcom(run, 'ahead'), agoSeconds: -300 });
    expect(newRows(await cycle.pass())).toBe(2);
    await stage.push({ ...xcom(run, 'behind too'), agoSeconds: 300 });
    expect(newRows(await cycle.pass())).toBe(1);
    expect(newRows(await cycle.pass())).toBe(0);
  });

  test('a transaction that commits after later ones have been counted', async () => {
    const { cycle, run } = await begin();
    await stage.addTask({ run, taskId: 'extract' });
    const late = await stage.connect();
    await late.query('BEGIN');
    await stage.push(xcom(run, 'late'), late);
    await stage.push(xcom(run, 'early'));
    expect(newRows(await cycle.pass())).toBe(1);
    expect(newRows(await cycle.pass())).toBe(0);
    await stage.setState(run, 'success');
    expect(newRows(await cycle.pass())).toBe(0);
    await late.query('COMMIT');
    expect(newRows(await cycle.pass())).toBe(1);
    expect(newRows(await cycle.pass())).toBe(0);
  });

  test('a run that becomes visible after a younger one, and has ended by then', async () => {
    const { cycle } = await begin();
    const late = await stage.connect();
    await late.query('BEGIN');
    const older = await stage.addRun({ dagId: 'etl', runId: 'older' }, late);
    const younger = await stage.addRun({ dagId: 'etl', runId: 'younger' });
    await stage.push(xcom(younger));
    expect(newRows(await cycle.pass())).toBe(1);
    expect(newRows(await cycle.pass())).toBe(0);
    await late.query('COMMIT');
    await stage.push(xcom(older));
    await stage.setState(older, 'success');
    expect(newRows(await cycle.pass())).toBe(1);
    expect(newRows(await cycle.pass())).toBe(0);
  });

  test('a database that goes away before it has said who wrote a large value', async () => {
    const breaking = { on: false };
    const { cycle, run } = await begin({
      through: (database) => cuttingBefore(database, /^workers/, breaking),
    });
    await stage.addTask({ run, taskId: 'extract', queue: 'gpu' });
    await stage.push({ ...xcom(run), stored: json(noise(5_000)) });
    breaking.on = true;
    const failed = await cycle.run(PROBED, new AbortController().signal);
    expect(failed.databaseFailure).not.toBeNull();
    expect(failed.increments).toEqual([]);
    const report = await cycle.pass();
    expect(newRows(report)).toBe(1);
    expect(report.increments).toContainEqual({
      metric: 'oversize_in_db_total',
      dagId: 'etl',
      queue: 'gpu',
      by: 1,
    });
  });

  test('savepoints: what was rolled back is not seen, what was released is one more', async () => {
    const { cycle, run } = await begin();
    await stage.addTask({ run, taskId: 'extract' });
    const other = await stage.connect();
    await other.query('BEGIN');
    await stage.push(xcom(run, 'a'), other);
    await other.query('SAVEPOINT one');
    await stage.push(xcom(run, 'b'), other);
    await other.query('ROLLBACK TO one');
    await other.query('SAVEPOINT two');
    await stage.push(xcom(run, 'c'), other);
    await stage.push(xcom(run, 'beside'));
    expect(newRows(await cycle.pass())).toBe(1);
    await other.query('RELEASE two');
    await other.query('COMMIT');
    const report = await cycle.pass();
    expect(newRows(report)).toBe(2);
    expect(report.window?.rows.db).toBe(3);
  });

  test('runs that are deleted between two cycles leave the window and take nothing back', async () => {
    const { cycle, run } = await begin();
    const ended = await stage.addRun({ dagId: 'etl', runId: 'ended' });
    for (const one of [run, ended]) await stage.push(xcom(one));
    await stage.setState(ended, 'failed');
    expect(newRows(await cycle.pass())).toBe(2);
    for (const one of [run, ended]) await stage.deleteRun(one);
    // In this stage no foreign key holds the rows of xcom_v1; the rows of the table for new rows go with their task.
    const report = await cycle.pass();
    expect(report.increments).toEqual([]);
    expect(report.window?.rows.db).toBe(0);
    const again = await stage.addRun({ dagId: 'etl', runId: run.runId });
    await stage.push(xcom(again));
    expect(newRows(await cycle.pass())).toBe(1);
  });

  test('an old run that is cleared: what it writes anew is counted, what it still holds is not', async () => {
    const old = await stage.addRun({ dagId: 'etl', runId: 'old', state: 'success', agoSeconds: 3 * 86_400 });
    await stage.push({ ...xcom(old, 'kept'), agoSeconds: 3 * 86_400 });
    await stage.push({ ...xcom(old), agoSeconds: 3 * 86_400 });
    const { cycle } = await begin();
    await stage.setState(old, 'queued');
    expect(newRows(await cycle.pass())).toBe(0);
    await stage.setState(old, 'running');
    await stage.push(xcom(old));
    await stage.setState(old, 'success');
    const report = await cycle.pass();
    expect(newRows(report)).toBe(1);
    expect(report.window?.rows.db).toBe(1);
    expect(newRows(await cycle.pass())).toBe(0);
  });

  test('an old run that is cleared and ends again while nobody looks', async () => {
    const old = await stage.addRun({ dagId: 'etl', runId: 'old', state: 'success', agoSeconds: 3 * 86_400 });
    // The run's id is now further back than the ids that a cycle looks at again.
    await stage.writer.query(`ALTER SEQUENCE dag_run_id_seq RESTART WITH ${old.id + 1_000}`);
    const { cycle } = await begin();
    expect(newRows(await cycle.pass())).toBe(0);
    const state = cycle.state();
    await stage.push(xcom(old));
    await stage.writer.query('UPDATE dag_run SET start_date = now(), end_date = now() WHERE id = $1', [
      old.id,
    ]);
    if (state.lastReading !== null) state.lastReading = { ...state.lastReading, at: Date.now() - 3_600_000 };
    const later = start({ restored: state });
    const report = await later.pass();
    expect(newRows(report)).toBe(1);
    expect(report.window?.rows.db).toBe(1);
    expect(newRows(await later.pass())).toBe(0);
  });

  test('rows that are deleted from a run that has ended leave the window', async () => {
    const { cycle, run } = await begin();
    for (const key of ['a', 'b', 'c']) await stage.push(xcom(run, key));
    await stage.setState(run, 'success');
    expect(newRows(await cycle.pass())).toBe(3);
    await stage.remove(xcom(run, 'b'));
    const report = await cycle.pass();
    expect(report.increments).toEqual([]);
    expect(report.window?.rows.db).toBe(2);
  });

  test('a row falls out of the window, and its key is written anew', async () => {
    const { cycle, run } = await begin({ window: '4s' });
    await stage.push(xcom(run, 'a'));
    await stage.push({ ...xcom(run, 'stays'), agoSeconds: -3600 });
    expect(newRows(await cycle.pass())).toBe(2);
    await delay(4_200);
    const later = await cycle.pass();
    expect(later.increments).toEqual([]);
    expect(later.window?.rows.db).toBe(1);
    await stage.push(xcom(run, 'a'));
    await stage.remove(xcom(run, 'stays'));
    const report = await cycle.pass();
    expect(newRows(report)).toBe(1);
    expect(report.window?.rows.db).toBe(1);
  });

  test('a row that is older than the window from the start hides no deletion', async () => {
    const { cycle, run } = await begin();
    for (const key of ['a', 'b']) await stage.push(xcom(run, key));
    expect(newRows(await cycle.pass())).toBe(2);
    await stage.push({ ...xcom(run, 'old'), agoSeconds: 2 * 86_400 });
    expect(newRows(await cycle.pass())).toBe(0);
    await stage.remove(xcom(run, 'a'));
    expect((await cycle.pass()).window?.rows.db).toBe(1);
  });

  test('a row that is written again with a time before the window leaves it', async () => {
    const { cycle, run } = await begin();
    await stage.push(xcom(run));
    expect(newRows(await cycle.pass())).toBe(1);
    await stage.push({ ...xcom(run), agoSeconds: 2 * 86_400 });
    expect((await cycle.pass()).window?.rows.db).toBe(0);
  });

  test('a restart with the state file loses and repeats nothing; without, what is there is the baseline', async () => {
    const { cycle, run } = await begin();
    await stage.push(xcom(run, 'before'));
    expect(newRows(await cycle.pass())).toBe(1);
    const path = join(folder, `${uuid4()}.json`);
    await openStateFile(path, WHOLE).write({ window: cycle.state(), problems: {}, cleared: [] });
    await cycle.close();
    await stage.push(xcom(run, 'while away'));
    const young = await stage.addRun({ dagId: 'etl', runId: 'young' });
    await stage.push(xcom(young));
    await stage.setState(young, 'success');
    await stage.patch(xcom(run, 'before'));

    const restored = start({ restored: (await openStateFile(path, WHOLE).read())?.window ?? null });
    expect(newRows(await restored.pass())).toBe(3);
    expect(newRows(await restored.pass())).toBe(0);

    const anew = start();
    const first = await anew.pass();
    expect(first.increments).toEqual([]);
    expect(first.window?.rows.db).toBe(3);
    await stage.push(xcom(run, 'after'));
    expect(newRows(await anew.pass())).toBe(1);
  });

  test('a state from further on than the database: it was put back from a copy, and goes on from there', async () => {
    const { cycle, run } = await begin();
    for (const key of ['a', 'b']) await stage.push(xcom(run, key));
    expect(newRows(await cycle.pass())).toBe(2);
    const state = cycle.state();
    const ahead = (horizon: string) => String((Number(horizon) + 1_000_000) % 2 ** 32);
    for (const one of state.runs.values()) one.horizon = ahead(one.horizon ?? '');
    const restored = start({ restored: state });
    await stage.patch({ ...xcom(run, 'a'), stored: json('patched') });
    expect(newRows(await restored.pass())).toBe(1);
    await stage.push(xcom(run, 'b'));
    expect(newRows(await restored.pass())).toBe(1);
  });

  test('a table that is written anew: every row has another version, and only what is new is counted', async () => {
    const { cycle, run } = await begin();
    const { table } = stage.source;
    for (const key of ['a', 'b', 'c']) await stage.push(xcom(run, key));
    expect(newRows(await cycle.pass())).toBe(3);
    await stage.push(xcom(run, 'a'));
    await stage.push(xcom(run, 'd'));
    await stage.remove(xcom(run, 'c'));
    await stage.writer.query(`ALTER TABLE ${table} ADD COLUMN extra float DEFAULT random()`);
    try {
      const report = await cycle.pass();
      expect(newRows(report)).toBe(2);
      expect(report.window?.rows.db).toBe(3);
      expect(newRows(await cycle.pass())).toBe(0);
      await stage.patch({ ...xcom(run, 'b'), stored: json('patched') });
      expect(newRows(await cycle.pass())).toBe(1);
    } finally {
      await stage.writer.query(`ALTER TABLE ${table} DROP COLUMN extra`);
    }
    await stage.writer.query(`VACUUM FULL ${table}`);
    expect(newRows(await cycle.pass())).toBe(0);
    await stage.push(xcom(run, 'e'));
    expect(newRows(await cycle.pass())).toBe(1);
  });

  test('a table that is put back from a copy', async () => {
    const { cycle, run } = await begin();
    const { table } = stage.source;
    for (const key of ['a', 'b', 'c']) await stage.push(xcom(run, key));
    await stage.writer.query(`CREATE TABLE copied (LIKE ${table} INCLUDING ALL)`);
    await stage.writer.query(`INSERT INTO copied SELECT * FROM ${table}`);
    expect(newRows(await cycle.pass())).toBe(3);
    await stage.push(xcom(run, 'lost with the original'));
    expect(newRows(await cycle.pass())).toBe(1);
    await stage.writer.query(
      `ALTER TABLE ${table} RENAME TO original; ALTER TABLE copied RENAME TO ${table}`,
    );
    try {
      await stage.push(xcom(run, 'since'));
      const report = await cycle.pass();
      expect(newRows(report)).toBe(1);
      expect(report.window?.rows.db).toBe(4);
      expect(newRows(await cycle.pass())).toBe(0);
    } finally {
      await stage.writer.query(`DROP TABLE ${table}; ALTER TABLE original RENAME TO ${table}`);
    }
  });

  test('a dump that takes long to be put back: no part of it is taken for all, and nothing of it is counted', async () => {
    const { cycle, run } = await begin();
    const { table } = stage.source;
    const keys = ['a', 'b', 'c'];
    for (const key of keys) await stage.push(xcom(run, key));
    expect(newRows(await cycle.pass())).toBe(keys.length);
    await stage.writer.query(
      `ALTER TABLE ${table} RENAME TO original; CREATE TABLE ${table} (LIKE original)`,
    );
    try {
      const without = await cycle.run(PROBED, new AbortController().signal);
      expect(without.databaseFailure?.reason).toBe('conflict');
      expect(without.window?.rows.db).toBe(keys.length);
      // The dump can also put back its rows alone, into tables that have all their keys and indexes already.
      await stage.writer.query(`DROP TABLE ${table}; CREATE TABLE ${table} (LIKE original INCLUDING ALL)`);
      expect((await cycle.pass()).window?.rows.db).toBe(0);
      const path = join(folder, `${uuid4()}.state`);
      await openStateFile(path, WHOLE).write({ window: cycle.state(), problems: {}, cleared: [] });
      await stage.writer.query(`INSERT INTO ${table} SELECT * FROM original`);
      await stage.push(xcom(run, 'since'));
      for (const one of [
        cycle,
        start({ restored: (await openStateFile(path, WHOLE).read())?.window ?? null }),
      ]) {
        const report = await one.pass();
        expect(newRows(report)).toBe(1);
        expect(report.window?.rows.db).toBe(keys.length + 1);
        expect(newRows(await one.pass())).toBe(0);
      }
    } finally {
      await stage.writer.query(`DROP TABLE ${table}; ALTER TABLE original RENAME TO ${table}`);
    }
  });

  test('a table that is written anew while it is read: no reading takes it for empty', async () => {
    const { cycle, run } = await begin();
    const { table } = stage.source;
    for (const key of ['a', 'b']) await stage.push(xcom(run, key));
    expect((await cycle.pass()).window?.rows.db).toBe(2);
    const holder = await stage.connect();
    await holder.query(`BEGIN; ALTER TABLE ${table} ADD COLUMN extra float DEFAULT random()`);
    const waiting = cycle.run(PROBED, new AbortController().signal);
    await delay(500);
    await holder.query('COMMIT');
    try {
      const report = await waiting;
      expect(report.databaseFailure?.reason).toBe('conflict');
      expect(report.window?.rows.db).toBe(2);
      const next = await cycle.pass();
      expect(next.increments).toEqual([]);
      expect(next.window?.rows.db).toBe(2);
    } finally {
      await stage.writer.query(`ALTER TABLE ${table} DROP COLUMN extra`);
    }
  });

  test('the state of another database: the window is found, and what was in it before is not counted', async () => {
    const { cycle, run } = await begin();
    await stage.push(xcom(run));
    expect(newRows(await cycle.pass())).toBe(1);
    const state = cycle.state();
    state.lastRunId = (state.lastRunId ?? 0) + 1_000;
    state.origin = { tables: 'others', files: '' };
    const ended = await stage.addRun({ dagId: 'other', runId: 'ended', state: 'success', agoSeconds: 600 });
    for (const key of ['a', 'b']) await stage.push({ ...xcom(ended, key), agoSeconds: 600 });
    // Another run now has the id of the run that the state remembers.
    await stage.deleteRun(run);
    const elsewhere = await stage.addRun({ dagId: 'etl', runId: 'elsewhere' });
    await stage.writer.query('UPDATE dag_run SET id = $1 WHERE id = $2', [run.id, elsewhere.id]);
    await stage.push(xcom({ ...elsewhere, id: run.id }, 'c'));
    const restored = start({ restored: state });
    const report = await restored.pass();
    expect(newRows(report)).toBe(1);
    const [held] = await stage.writer.query<{ rows: number }>(
      `SELECT count(*)::int AS rows FROM ${stage.source.table}`,
    );
    expect(report.window?.rows.db).toBe(held?.rows);
    expect(newRows(await restored.pass())).toBe(0);
    expect([...restored.ledger.runs().values()].map(({ runId }) => runId)).not.toContain(run.runId);
  });

  test('a window that is made longer shows what was there before and does not count it', async () => {
    const { cycle, run } = await begin({ window: '1h' });
    await stage.push({ ...xcom(run, 'old'), agoSeconds: 7_200 });
    await stage.push(xcom(run, 'new'));
    expect(newRows(await cycle.pass())).toBe(1);
    const longer = start({ restored: cycle.state() });
    const report = await longer.pass();
    expect(report.increments).toEqual([]);
    expect(report.window?.rows.db).toBe(2);
    await stage.push(xcom(run, 'newer'));
    expect(newRows(await longer.pass())).toBe(1);
    await stage.patch({ ...xcom(run, 'newer'), stored: json('patched') });
    expect(newRows(await start({ restored: longer.state(), window: '36h' }).pass())).toBe(1);
  });

  test('the connection is killed before each statement in turn: the next cycle makes up for it', async () => {
    let statements = 0;
    let killed: readonly unknown[] = [];
    let killBefore = Number.POSITIVE_INFINITY;
    const killer = await stage.connect();
    const { cycle, run } = await begin({
      through: (database) =>
        betweenQueries(database, (query) => async (statement) => {
          statements += 1;
          if (statements === killBefore) killed = await endSessions(killer);
          return query(statement);
        }),
    });
    let rows = 0;
    const reports: Report[] = [];
    for (let at = 1; ; at += 1) {
      // There is something to attribute and something to confirm, so that every statement is sent.
      await stage.push({ ...xcom(run, `large ${at}`), stored: json('x'.repeat(2_000)) });
      const path = `${BASE}/${run.dagId}/${run.runId}/extract/${uuid4()}`;
      await stage.push({ ...xcom(run, `reference ${at}`), stored: json(path) });
      rows += 2;
      statements = 0;
      killBefore = at;
      const broken = await cycle.run(PROBED, new AbortController().signal);
      const sent = statements;
      killBefore = Number.POSITIVE_INFINITY;
      reports.push(broken, await cycle.pass());
      expect(reports.at(-1)?.window?.rows).toEqual({ db: rows / 2, s3: rows / 2, other: 0 });
      if (sent < at) break;
      expect(killed).toHaveLength(1);
      expect(broken.databaseFailure, `killed before statement ${at}`).not.toBeNull();
    }
    expect(reports.length).toBeGreaterThan(10);
    const { counters } = sumUp(reports.flatMap(({ increments }) => increments));
    expect(counters).toMatchObject({
      'rows_total etl db': rows / 2,
      'rows_total etl s3': rows / 2,
      'oversize_in_db_bytes_total etl': (rows / 2) * 2_002,
      references_checked_total: rows / 2,
      'references_broken_total etl missing': rows / 2,
      'write_failures_total missing': rows / 2,
    });
  });

  test('more large values than one cycle unpacks: the following ones take the rest, none is left at its packed size', async () => {
    const { cycle, run } = await begin();
    // The value is packed, but not so small that it is unpacked at once on a Postgres before 14, which does not tell
    // which values are packed.
    const packed = json(`${noise(1_700)}${'x'.repeat(3_300)}`);
    await stage.push({ ...xcom(run, 'key'), stored: packed });
    await stage.multiply('key', 1_049);
    const first = await cycle.pass();
    await stage.setState(run, 'success');
    const second = await cycle.pass();
    const third = await cycle.pass();
    if (stage.source.value === 'jsonb') {
      expect(newRows(first)).toBe(1_000);
      expect(first.coverage).toBeLessThan(1);
      expect(second.coverage).toBe(1);
    }
    expect(third.increments).toEqual([]);
    const { counters } = sumUp([...first.increments, ...second.increments]);
    expect(counters).toMatchObject({
      'rows_total etl db': 1_050,
      'bytes_total db': 1_050 * 5_002,
      'oversize_in_db_bytes_total etl': 1_050 * 5_002,
    });
    expect(third.window?.oversizeRows).toBe(1_050);
  });

  test('an upgrade of Airflow rewrites and renames, and nobody has written anything', async () => {
    const { cycle, run } = await begin();
    // More runs than are looked at again in one cycle.
    for (let i = 0; i < 230; i += 1) {
      const ended = await stage.addRun({ dagId: 'etl', runId: `ended ${i}`, state: 'success' });
      await stage.push(xcom(ended));
    }
    await stage.push(xcom(run, 'a'));
    await stage.push(xcom(run, 'b'));
    expect(newRows(await cycle.pass())).toBe(232);

    const old = stage.shape.sources[0]?.table ?? '';
    let deleted: string = stage.source.table;
    const undo: string[] = [];
    if (stage.source.value === 'bytea') {
      await stage.writer.query(
        `ALTER TABLE xcom ALTER COLUMN value TYPE jsonb USING convert_from(value, 'UTF8')::jsonb`,
      );
      undo.push(`ALTER TABLE xcom ALTER COLUMN value TYPE bytea USING convert_to(value::text, 'UTF8')`);
    } else {
      const next = old === 'xcom' ? 'xcom_v1' : 'xcom';
      if (deleted === old) deleted = next;
      await stage.writer.query(`ALTER TABLE ${old} RENAME TO ${next}`);
      undo.push(`ALTER TABLE ${next} RENAME TO ${old}`);
    }
    try {
      const after = await cycle.pass();
      expect(after.increments).toEqual([]);
      expect(after.window?.rows.db).toBe(232);
      for (let i = 0; i < 3; i += 1) {
        const report = await cycle.pass();
        expect(report.increments).toEqual([]);
        expect(report.window?.rows.db).toBe(232);
      }
      // A deletion makes the exporter read the run whole.
      await stage.writer.query(`DELETE FROM ${deleted} WHERE key = 'a'`);
      const report = await cycle.pass();
      expect(report.increments).toEqual([]);
      expect(report.window?.rows.db).toBe(231);
    } finally {
      for (const statement of undo) await stage.writer.query(statement);
    }
    const back = await cycle.pass();
    expect(back.increments).toEqual([]);
    expect(back.window?.rows.db).toBe(231);
    await stage.push(xcom(run, 'c'));
    expect(newRows(await cycle.pass())).toBe(1);
  });

  test(
    'any history: the counters say what was to be seen, the window what is there',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(STEP, { minLength: 30, maxLength: 60 }), async (steps) => {
          await play(steps);
        }),
        // `npm run test:histories` plays as many histories as it is told to, and different ones each time.
        HISTORIES === null ? { seed: 20_260_101, numRuns: 8 } : { numRuns: HISTORIES },
      );
    },
    HISTORIES === null ? 240_000 : HISTORIES * 60_000,
  );

  /** Plays a history against the database and a model of it. The two are compared at every cycle. */
  async function play(steps: readonly Step[]): Promise<void> {
    await stage.clear();
    const late = await stage.connect();
    const killer = await stage.connect();
    const path = join(folder, `${uuid4()}.state`);
    let file = openStateFile(path, WHOLE);
    /** The session ends before the statement of a cycle with this number. */
    let cutBefore = Infinity;
    let statements = 0;
    const through = (database: Database): Pick<Database, 'read'> =>
      betweenQueries(database, (query) => async (statement) => {
        statements += 1;
        if (statements === cutBefore) await endSessions(killer);
        return query(statement);
      });
    let cycle = start({ through });
    await cycle.pass();
    await file.write({ window: cycle.state(), problems: {}, cleared: [] });
    /** The rows that can be seen; `waiting` has those that the open transaction would add. */
    const visible = new Map<string, Version>();
    let waiting: Map<string, Version> | null = null;
    const seen = new Set<number>();
    const counted = { rows: 0, bytes: 0 };
    const expected = { rows: 0, bytes: 0 };
    let versions = 0;
    const version = (bytes: number): Version => ({ id: (versions += 1), bytes });
    const value = (bytes: number) => json('v'.repeat(bytes - 2));
    const runs: Run[] = [];
    const place = async (at: number) => {
      const run = await stage.addRun({ dagId: 'etl', runId: `run ${at}` });
      await stage.addTask({ run, taskId: 'extract' });
      runs[at] = run;
    };
    for (let at = 0; at < RUNS; at += 1) await place(at);

    const note = async (report: Report) => {
      counted.rows += newRows(report);
      for (const one of report.increments) if (one.metric === 'bytes_total') counted.bytes += one.by;
      await file.write({ window: cycle.state(), problems: {}, cleared: [] });
    };
    const look = async () => {
      const report = await cycle.pass();
      for (const one of visible.values()) {
        if (seen.has(one.id)) continue;
        seen.add(one.id);
        expected.rows += 1;
        expected.bytes += one.bytes;
      }
      await note(report);
      expect(counted).toEqual(expected);
      const [plain] = await stage.writer.query(
        /* SQL */ `SELECT count(*)::int AS rows, coalesce(sum(length), 0)::int AS bytes FROM (${stage.shape.sources
          .map(({ table, value: type }) =>
            type === 'bytea'
              ? `SELECT octet_length(value) AS length FROM ${table}`
              : `SELECT octet_length(value::text) AS length FROM ${table}`,
          )
          .join(' UNION ALL ')}) AS everything`,
      );
      expect({ rows: report.window?.rows.db, bytes: report.window?.bytes.db }).toEqual(plain);
    };

    try {
      for (const step of steps) {
        const run = runs[step.run];
        if (run === undefined) continue;
        const slot = `${step.run} ${step.key}`;
        const target = { ...xcom(run, step.key), stored: value(step.bytes), agoSeconds: step.agoSeconds };
        switch (step.kind) {
          case 'write':
            await stage.push(target);
            visible.set(slot, version(step.bytes));
            break;
          case 'patch':
            await stage.patch(target);
            if (visible.has(slot)) visible.set(slot, version(step.bytes));
            break;
          case 'remove':
            await stage.remove(target);
            visible.delete(slot);
            break;
          case 'end':
            await stage.setState(run, 'success');
            break;
          case 'clear':
            await stage.setState(run, 'queued');
            break;
          case 'drop':
            // An open transaction holds the task that its rows belong to.
            if (waiting !== null) break;
            await stage.deleteRun(run);
            for (const one of [...visible.keys()]) if (one.startsWith(`${step.run} `)) visible.delete(one);
            await place(step.run);
            break;
          case 'late write':
            if (waiting === null) await late.query('BEGIN');
            waiting ??= new Map();
            await late.query('SAVEPOINT inner_one');
            await stage.push({ ...target, key: 'late' }, late);
            if (step.bytes % 3 === 0) await late.query('ROLLBACK TO inner_one');
            else waiting.set(`${step.run} late`, version(step.bytes));
            break;
          case 'late commit':
            if (waiting === null) break;
            await late.query('COMMIT');
            for (const [key, one] of waiting) visible.set(key, one);
            waiting = null;
            break;
          case 'late rollback':
            if (waiting !== null) await late.query('ROLLBACK');
            waiting = null;
            break;
          case 'cycle':
            await look();
            break;
          case 'cut': {
            statements = 0;
            cutBefore = 1 + (step.bytes % 9);
            const report = await cycle.run(PROBED, new AbortController().signal);
            cutBefore = Infinity;
            await note(report);
            // The rows that a cycle has read are taken in as a whole or not at all.
            const open = [...visible.values()].filter(({ id }) => !seen.has(id));
            if (report.databaseFailure !== null && newRows(report) === 0) break;
            for (const one of open) {
              seen.add(one.id);
              expected.rows += 1;
              expected.bytes += one.bytes;
            }
            expect(counted).toEqual(expected);
            break;
          }
          case 'kill': {
            // This process writes nothing any more. Another one goes on from the file, as after a restart or on a
            // standby.
            await cycle.close();
            file = openStateFile(path, WHOLE);
            cycle = start({ restored: (await file.read())?.window ?? null, through });
            break;
          }
        }
      }
      if (waiting !== null) await late.query('COMMIT');
      for (const [key, one] of waiting ?? []) visible.set(key, one);
      await look();
      expect((await cycle.pass()).increments).toEqual([]);
    } finally {
      await Promise.all([late.close(), killer.close(), cycle.close()]);
    }
  }
});

interface Version {
  readonly id: number;
  readonly bytes: number;
}

interface Step {
  readonly kind: (typeof KINDS)[number];
  readonly run: number;
  readonly key: string;
  readonly bytes: number;
  readonly agoSeconds: number;
}

const RUNS = 3;
const HISTORIES = process.env['HISTORIES'] === undefined ? null : Number(process.env['HISTORIES']);
/** Each kind stands in the list as often as it is to come up. */
const KINDS = [
  'write',
  'write',
  'write',
  'patch',
  'remove',
  'remove',
  'end',
  'clear',
  'drop',
  'late write',
  'late write',
  'late commit',
  'late rollback',
  'cycle',
  'cycle',
  'cycle',
  'cut',
  'kill',
  'kill',
] as const;
const STEP: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...KINDS),
  run: fc.nat({ max: RUNS - 1 }),
  key: fc.constantFrom('a', 'b', 'c'),
  bytes: fc.integer({ min: 2, max: 60 }),
  agoSeconds: fc.constantFrom(0, 0, 300, -300, 3_600),
});

/** Ends the exporter's sessions in the database of this writer; gives the sessions that were ended. */
async function endSessions(writer: Awaited<ReturnType<Stage['connect']>>): Promise<readonly unknown[]> {
  const sessions = (what: string) =>
    writer.query(
      `SELECT ${what} FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1`,
      [APPLICATION_NAME],
    );
  const ended = await sessions('pg_terminate_backend(pid)');
  // Before Postgres 14 the server cannot wait for the end of a session.
  while ((await sessions('pid')).length > 0) await delay(5);
  return ended;
}

function newRows({ increments }: Report): number {
  return increments.reduce((sum, one) => sum + (one.metric === 'rows_total' ? one.by : 0), 0);
}

/** Ends the exporter's session once, in place of the next statement whose name matches. */
function cuttingBefore(database: Database, name: RegExp, breaking: { on: boolean }): Pick<Database, 'read'> {
  return betweenQueries(database, (query) => (statement) => {
    if (!breaking.on || !name.test(statement.name)) return query(statement);
    breaking.on = false;
    return query({ name: 'cut', text: 'SELECT pg_terminate_backend(pg_backend_pid())', values: [] });
  });
}
