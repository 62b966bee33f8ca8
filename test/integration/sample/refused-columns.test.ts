import { afterEach, describe, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import { checkCode, checkVerdict } from '../../../src/status/check-document.ts';
import { BASE, BUCKET, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { PROBED } from '../../support/probed.ts';
import { useS3 } from '../../support/s3.ts';
import type { Stage, StageCycle } from '../../support/seed.ts';
import { listShapes, openCycle, openStage } from '../../support/seed.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);

let stage: Stage;
let cycle: StageCycle;
let role = '';

afterEach(async () => {
  await cycle.close();
  await stage.writer.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  await stage.close();
});

/** Opens a stage of a release, and a cycle whose role may read all that the release has except for `refused`. */
async function openAs(
  release: string,
  refused: { table: string; columns: readonly string[] },
): Promise<void> {
  stage = await openStage(postgres(), release);
  role = `limited_${uuid4().slice(0, 8)}`;
  await stage.writer.query(
    `CREATE ROLE ${role} LOGIN PASSWORD 'limited'; GRANT USAGE ON SCHEMA public TO ${role}`,
  );
  await stage.writer.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}`);
  await stage.writer.query(`REVOKE SELECT ON ${refused.table} FROM ${role}`);
  const columns = await stage.writer.query<{ column: string }>(
    `SELECT quote_ident(attname) AS "column" FROM pg_attribute
     WHERE attrelid = '${refused.table}'::regclass AND NOT attisdropped`,
  );
  const granted = columns.filter(({ column }) => !refused.columns.includes(column));
  if (refused.columns.length > 0)
    await stage.writer.query(
      `GRANT SELECT (${granted.map(({ column }) => column).join(', ')}) ON ${refused.table} TO ${role}`,
    );
  const url = new URL(stage.url);
  Object.assign(url, { username: role, password: 'limited' });
  cycle = openCycle({ ...stage, url: url.href }, { endpoint: s3().endpoint });
}

const pass = (): Promise<Report> => cycle.run(PROBED, new AbortController().signal);
const checked = (report: Report) => ({ report, probed: PROBED, warnings: [], version: '0' });

async function push(taskId: string, { bytes }: { readonly bytes: number }): Promise<void> {
  const run = await stage.addRun({ dagId: 'etl', runId: `of ${taskId}` });
  const text = JSON.stringify('x'.repeat(bytes));
  await stage.push({ run, taskId, stored: stage.source.value === 'bytea' ? Buffer.from(text) : text });
}

describe.each(listShapes())('$shape', ({ release }) => {
  test('a table that only a fault asks for is missed while all is quiet', async () => {
    await openAs(release, { table: 'task_instance', columns: [] });
    await push('small', { bytes: 1 });
    const refused = await pass();
    expect(refused.databaseFailure).toEqual({
      reason: 'denied',
      detail: expect.stringContaining(
        'the role may not read task_instance; docs/sql/role.sql grants',
      ) as string,
    });
    expect(checkCode(checked(refused))).toBe(2);

    await stage.writer.query(`GRANT SELECT ON task_instance TO ${role}`);
    expect(await pass()).toMatchObject({ databaseFailure: null, window: { rows: { db: 1 } } });
  });

  test('so is a single column of it', async () => {
    await openAs(release, { table: 'task_instance', columns: ['hostname', 'queue'] });
    const { databaseFailure } = await pass();
    const words = databaseFailure?.detail ?? '';
    expect(words).toContain('may not read task_instance.');
    expect(words).toContain('task_instance.hostname');
    expect(words).toContain('task_instance.queue');
    expect(words).not.toContain('operator');
  });

  test('so are the rows of it that a policy hides', async () => {
    await openAs(release, { table: 'log', columns: [] });
    await stage.writer.query('ALTER TABLE task_instance ENABLE ROW LEVEL SECURITY');
    expect((await pass()).databaseFailure).toEqual({
      reason: 'denied',
      detail:
        'Cannot read the database: row-level security may hide rows of task_instance from the role; ALTER ROLE … BYPASSRLS lets it read them all, and docs/sql/role.sql keeps that',
    });

    await stage.writer.query(`ALTER ROLE ${role} BYPASSRLS`);
    expect((await pass()).databaseFailure).toBeNull();
  });
});

test('rows are counted without the executor, which came with 2.10, and nobody is told that all is well', async () => {
  await openAs('2.10.5', { table: 'task_instance', columns: ['executor'] });
  await pass();
  await push('small', { bytes: 1 });
  await push('large', { bytes: 5_000 });
  const report = await pass();
  expect(report).toMatchObject({
    databaseFailure: null,
    backend: { airflow: '2.10-2.11' },
    window: { rows: { db: 2 } },
    unreadColumns: ['task_instance.executor'],
  });
  expect(report.window?.oversizeRows).toBe(1);
  expect(checkVerdict(checked(report)).notes).toContain(
    'Not all is known: the role may not read task_instance.executor. Run docs/sql/role.sql again.',
  );

  await stage.writer.query(`GRANT SELECT ON task_instance TO ${role}`);
  expect((await pass()).unreadColumns).toEqual([]);
});

test('an object of a row from before 3.4 is not missed while its owner may not be read', async () => {
  await openAs('3.4.0b2', { table: 'legacy_task_data_owner', columns: [] });
  const run = await stage.addRun({ dagId: 'etl', runId: 'r' });
  const stored = JSON.stringify(`${BASE}/etl/r/extract/${uuid4()}`);
  await stage.push({ run, taskId: 'extract', stored, table: 'xcom_v1' });
  const report = await pass();
  expect(report).toMatchObject({
    databaseFailure: null,
    coverage: 0,
    window: { broken: { missing: null } },
    unreadColumns: ['legacy_task_data_owner'],
  });
  expect(report.states.objects_missing).not.toBe('raised');

  await stage.writer.query(`GRANT SELECT ON legacy_task_data_owner TO ${role}`);
  expect(await pass()).toMatchObject({ window: { broken: { missing: 1 } }, unreadColumns: [] });
});

/** Tasks of before 3.4 that were cleared and ran well: `path` is what each had left. */
async function pushPast(paths: Readonly<Record<string, { key?: string; path: string }>>): Promise<void> {
  const run = await stage.addRun({ dagId: 'etl', runId: 'r', agoSeconds: 7_200 });
  for (const [taskId, { key, path }] of Object.entries(paths)) {
    const old = { agoSeconds: 3_600, table: 'xcom_v1' as const, run };
    await stage.push({ ...old, taskId, ...(key && { key }), stored: JSON.stringify(path) });
    await stage.clearTask({ run, taskId });
    const now = `${BASE}/etl/r/${taskId}/${uuid4()}`;
    await put(now);
    await stage.push({ run, taskId, stored: JSON.stringify(now) });
  }
}

async function put(path: string): Promise<void> {
  const url = `${s3().endpoint}/${path.slice(path.indexOf(BUCKET))}`;
  expect((await fetch(url, { method: 'PUT', body: 'x'.repeat(2_000) })).ok).toBe(true);
}

test('no fault of a row from before 3.4 is said or ruled out while its owner may not be read', async () => {
  await openAs('3.4.0b2', { table: 'legacy_task_data_owner', columns: [] });
  const moved = `s3://aws_xcom@${BUCKET}/moved/etl/r/moved/${uuid4()}`;
  const branch = `${BASE}/etl/r/branch/${uuid4()}`;
  await put(moved);
  await put(branch);
  await pushPast({
    moved: { path: moved },
    handed: { path: moved },
    local: { path: `/etl/r/local/${uuid4()}` },
    branch: { key: 'skipmixin_key', path: branch },
  });
  const codes = ['path_mismatch', 'path_leaked', 'local_path', 'skip_decision_offloaded'] as const;
  const report = await pass();
  expect(codes.map((code) => report.states[code])).toEqual(codes.map(() => 'unknown'));
  expect(report.undecided.path_leaked).toMatch(
    /^1 row from before Airflow 3.4 has this fault, .*run docs\/sql\/role.sql again/,
  );
  expect(report.window?.broken).toMatchObject({ path_mismatch: null, leaked: null, missing: 0 });
  // The reader of a row of now is known.
  const run = await stage.addRun({ dagId: 'etl', runId: 'now' });
  await stage.push({ run, taskId: 'handed', stored: JSON.stringify(moved) });
  expect((await pass()).states.path_leaked).toBe('raised');
  await stage.remove({ run, taskId: 'handed' });

  await stage.writer.query(`GRANT SELECT ON legacy_task_data_owner TO ${role}`);
  const told = await pass();
  expect(codes.map((code) => told.states[code])).toEqual(codes.map(() => 'clear'));
  expect(told.window?.broken).toMatchObject({ path_mismatch: 0, leaked: 0 });
});

test('owners that a policy hides are no owners that are not there, and are told like hidden rows', async () => {
  await openAs('3.4.0b2', { table: 'log', columns: [] });
  await stage.writer.query('ALTER TABLE legacy_task_data_owner ENABLE ROW LEVEL SECURITY');
  expect((await pass()).databaseFailure?.detail).toContain(
    'row-level security may hide rows of legacy_task_data_owner from the role',
  );
  await stage.writer.query(`ALTER ROLE ${role} BYPASSRLS`);
  expect((await pass()).databaseFailure).toBeNull();
});
