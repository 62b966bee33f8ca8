import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { mayBeWritten } from '../../../src/airflow/written-out.ts';
import type { Query, Statement } from '../../../src/postgres/client.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { betweenQueries } from '../../support/between-queries.ts';
import { usePostgres } from '../../support/postgres.ts';
import { PROBED } from '../../support/probed.ts';
import { useS3 } from '../../support/s3.ts';
import type { Run, Stage, StageCycle } from '../../support/seed.ts';
import { openCycle, openStage, sumUp } from '../../support/seed.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');

afterEach(() => {
  vi.restoreAllMocks();
});

type Measuring = (statement: Statement, query: Query) => Promise<void> | void;

/** A cycle that calls `measuring` before each statement that measures a value. */
function openMeasuring(
  stage: Stage,
  measuring: Measuring,
  {
    restored = null,
    window = '24h',
    threshold = '1000',
  }: { readonly restored?: LedgerState | null; readonly window?: string; readonly threshold?: string } = {},
): StageCycle {
  return openCycle(stage, {
    endpoint: s3().endpoint,
    env: { XCOM_EXPORTER_WINDOW: window, AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: threshold },
    restored,
    through: (database) =>
      betweenQueries(database, (query) => async (statement) => {
        if (statement.name.startsWith('measure_')) await measuring(statement, query);
        return query(statement);
      }),
  });
}

/** Airflow 3 with one live run, and an exporter that has seen the window empty. */
async function start(measuring: Measuring) {
  const stage = await openStage(postgres(), '3.1.8');
  const cycle = openMeasuring(stage, measuring);
  await cycle.pass();
  return {
    stage,
    cycle,
    run: await stage.addRun({ dagId: 'large', runId: 'large' }),
    [Symbol.asyncDispose]: async () => {
      await cycle.close();
      await stage.close();
    },
  };
}

/** Pushes a JSON text of so many characters, which Postgres stores in a hundredth of them. */
async function push(stage: Stage, run: Run, task: { taskId: string; characters: number }): Promise<void> {
  await stage.push({ run, taskId: task.taskId, stored: JSON.stringify('x'.repeat(task.characters - 2)) });
}

const namesTask = ({ values }: Statement, taskId: string) =>
  values.some((list) => Array.isArray(list) && list.includes(taskId));

test('a value that takes the server too long three times stands with its stored size, and keeps no other from being counted', async () => {
  let tries = 0;
  await using it = await start(async (statement, query) => {
    if (!namesTask(statement, 'slow')) return;
    tries += 1;
    await query({ name: 'hurry', text: 'SET LOCAL statement_timeout = 1', values: [] });
  });
  await push(it.stage, it.run, { taskId: 'slow', characters: 20_000_000 });
  await push(it.stage, it.run, { taskId: 'small', characters: 10_000 });

  const first = await it.cycle.pass();
  expect(sumUp(first.increments).counters).toMatchObject({
    'rows_total large db': 1,
    'bytes_total db': 10_000,
  });
  expect(first.coverage).toBeLessThan(1);
  expect(sumUp((await it.cycle.pass()).increments).counters).toEqual({});
  const { counters } = sumUp((await it.cycle.pass()).increments);
  expect(counters['rows_total large db']).toBe(1);
  expect(counters['bytes_total db']).toBeGreaterThan(50_000);
  expect(counters['bytes_total db']).toBeLessThan(1_000_000);
  // The value is not measured again either.
  expect(sumUp((await it.cycle.pass()).increments).counters).toEqual({});
  expect(tries).toBe(3);
});

test.each([1, 2])(
  '%d values that come in one slow moment of the server are counted at their size',
  async (count) => {
    let isSlow = true;
    await using it = await start(async (_, query) => {
      if (isSlow) await query({ name: 'hurry', text: 'SET LOCAL statement_timeout = 1', values: [] });
    });
    for (let at = 0; at < count; at += 1)
      await push(it.stage, it.run, { taskId: `task_${at}`, characters: 5_000_000 });
    expect((await it.cycle.pass()).increments).toEqual([]);
    isSlow = false;
    const report = await it.cycle.pass();
    expect(sumUp(report.increments).counters['bytes_total db']).toBe(count * 5_000_000);
    expect(report).toMatchObject({ coverage: 1, window: { oversizeRows: count } });
  },
);

test('values that take the server too long together are not tried one by one, but in groups of half the size in the next cycle', async () => {
  const named: number[] = [];
  let most = 0;
  await using it = await start(async ({ values: [runs] }, query) => {
    const { length } = runs as unknown[];
    named.push(length);
    if (length > most) await query({ name: 'hurry', text: 'SET LOCAL statement_timeout = 1', values: [] });
  });
  const pushMore = async (count: number, name: string) => {
    for (let at = 0; at < count; at += 1)
      await push(it.stage, it.run, { taskId: `${name}_${at}`, characters: 1_000_000 });
  };
  await pushMore(6, 'task');

  const slow = await it.cycle.pass();
  expect(sumUp(slow.increments).counters).toEqual({});
  expect(slow.states.exporter_behind).toBe('raised');
  most = 1;
  expect(sumUp((await it.cycle.pass()).increments).counters).toEqual({});
  expect(sumUp((await it.cycle.pass()).increments).counters['bytes_total db']).toBe(6_000_000);
  expect(named).toEqual([6, 3, 1, 1, 1, 1, 1, 1]);

  // The groups grow again, by one value in each cycle.
  named.length = 0;
  most = Infinity;
  await pushMore(5, 'more');
  expect(sumUp((await it.cycle.pass()).increments).counters['bytes_total db']).toBe(5_000_000);
  await pushMore(4, 'yet_more');
  expect(sumUp((await it.cycle.pass()).increments).counters['bytes_total db']).toBe(4_000_000);
  expect(named).toEqual([2, 2, 1, 3, 1]);
});

test('a value too large to be written out is large for certain, and counted once at the size that it unpacks to', async () => {
  let tries = 0;
  const note = () => {
    tries += 1;
  };
  await using it = await start(note);
  await push(it.stage, it.run, { taskId: 'huge', characters: 20_000_000 });

  const report = await it.cycle.pass();
  const { counters } = sumUp(report.increments);
  expect(counters['oversize_in_db_total large default']).toBe(1);
  expect(counters['bytes_total db']).toBe(20_000_010);
  expect(report.coverage).toBe(0);
  expect(report.states.exporter_behind).toBe('raised');
  expect(sumUp((await it.cycle.pass()).increments).counters).toEqual({});
  expect(tries).toBe(1);

  // An exporter that starts has the value in its baseline.
  const late = openMeasuring(it.stage, note);
  try {
    for (let at = 0; at < 3; at += 1)
      expect((await late.pass()).window).toMatchObject({ bytes: { db: 20_000_010 }, oversizeRows: 1 });
    expect(tries).toBe(2);
  } finally {
    await late.close();
  }
});

const NUMBERS = 'SELECT jsonb_agg(1e300::numeric) FROM generate_series(1, 60000)';

test.each([
  ['numbers of 18 MB', `(${NUMBERS})`, false],
  ['an object around them', `(SELECT jsonb_build_object('rows', jsonb_build_array(1, (${NUMBERS}))))`, false],
  ['the smallest numbers', `(SELECT jsonb_agg(1e-300::numeric) FROM generate_series(1, 60000))`, false],
  [
    'short lists of them',
    `(SELECT jsonb_agg(n) FROM (SELECT (${NUMBERS.replace('60000', '60')}) AS n FROM generate_series(1, 1000)) q)`,
    false,
  ],
  ['numbers of 16 MB', `(${NUMBERS.replace('60000', '55000')})`, true],
  ['a long text', `to_jsonb(repeat('x', 16000000))`, true],
  ['a text that is too long', `to_jsonb(repeat('x', 17000000))`, false],
  ['a number', `'1e4000'::jsonb`, true],
])('%s: whether they are written out is known before they are', async (_, value, written) => {
  const stage = await openStage(postgres(), '3.1.8');
  const condition = mayBeWritten('u.value');
  const [answer] = await stage.writer.query<{ written: boolean }>(
    `SELECT ${condition} AS written FROM (SELECT ${value} #> '{}' AS value OFFSET 0) u`,
  );
  expect(answer?.written).toBe(written);
  await stage.close();
});

// Only Linux tells the memory of a backend.
test.runIf(process.platform === 'linux')(
  'numbers that would be 60 MB of text take a backend little memory',
  async () => {
    const pids: number[] = [];
    await using it = await start(async (_, query) => {
      for (const { pid } of await query<{ pid: number }>({
        name: 'pid',
        text: 'SELECT pg_backend_pid() AS pid',
        values: [],
      }))
        pids.push(pid);
    });
    await it.stage.push({ run: it.run, taskId: 'numbers', stored: '1' });
    await it.stage.writer.query(`UPDATE xcom SET value = (${NUMBERS.replace('60000', '200000')})`);
    expect((await it.cycle.pass()).coverage).toBe(0);
    expect(pids).toHaveLength(1);
    const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pids[0] ?? 0}/status`, 'utf8')) ?? [];
    expect(Number(kilobytes)).toBeLessThan(100_000);
  },
);

test('a Postgres that cannot tell what is compressed writes out no value that only its stored size makes short', async () => {
  const stage = await openStage(postgres(), '3.1.8');
  const measured: unknown[] = [];
  const shown = new Map<string, number | null>();
  const cycle = openCycle(stage, {
    endpoint: s3().endpoint,
    through: (database) =>
      betweenQueries(database, (query) => async <Row>(statement: Statement) => {
        if (statement.name.startsWith('measure_')) measured.push(statement.values[1]);
        const rows = await query<Row>(statement);
        // As before release 14.
        if (statement.name === 'instant') return rows.map((row) => ({ ...row, knowsCompression: false }));
        if (statement.name === 'fetch')
          for (const { taskId, bytes } of rows as { taskId?: string; bytes?: number | null }[])
            if (taskId !== undefined) shown.set(taskId, bytes ?? null);
        return rows;
      }),
  });
  await cycle.pass();
  const run = await stage.addRun({ dagId: 'large', runId: 'large' });
  for (const [taskId, characters] of [
    ['short', 1_400],
    ['compressed', 3_000],
    ['long', 100_000],
  ] as const)
    await push(stage, run, { taskId, characters });
  const reference = `s3://aws_xcom@airflow-xcom/xcom/large/large/path/${randomUUID()}`;
  await stage.push({ run, taskId: 'path', stored: JSON.stringify(reference) });
  const { counters } = sumUp((await cycle.pass()).increments);
  expect(counters).toMatchObject({ 'bytes_total db': 104_400, 'rows_total large s3': 1 });
  expect(Object.fromEntries(shown)).toMatchObject({ short: 1_400, compressed: 3_000, long: null });
  expect(measured).toEqual([['long']]);
  await cycle.close();
  await stage.close();
});

test('a value that takes more in Postgres than Airflow measured is not called large before it is measured', async () => {
  const sleep = slowly();
  const stage = await openStage(postgres(), '3.1.8');
  const run = await stage.addRun({ dagId: 'digits', runId: 'digits' });
  await pushSix({ stage, run });
  await stage.push({ run, taskId: 'digits', stored: '1' });
  await stage.writer.query(
    `UPDATE xcom SET value = (SELECT jsonb_agg(n % 10) FROM generate_series(1, 330000) n) WHERE task_id = 'digits'`,
  );
  const [size] = await stage.writer.query<{ stored: number }>(
    `SELECT pg_column_size(value) AS stored FROM xcom WHERE task_id = 'digits'`,
  );
  expect(size?.stored).toBeGreaterThan(3_900_000);
  const cycle = openMeasuring(
    stage,
    () => {
      sleep(5_000);
    },
    { threshold: '1000000' },
  );
  try {
    const coverages: number[] = [];
    for (let at = 0; at < 5; at += 1) {
      const report = await cycle.pass();
      coverages.push(report.coverage ?? Number.NaN);
      expect(report.window?.oversizeRows).toBe(0);
      expect(report.problems.map(({ code }) => code)).not.toContain('backend_inactive');
    }
    expect(coverages[0]).toBeLessThan(1);
    expect(coverages.at(-1)).toBe(1);
  } finally {
    await cycle.close();
    await stage.close();
  }
});

test('a value that the server cannot unpack keeps no other that is asked for with it from being counted', async () => {
  await using it = await start(async (statement, query) => {
    // As if a part of the value were lost: the server fails over it alone and over every group with it.
    if (namesTask(statement, 'broken')) await query({ name: 'broken', text: 'SELECT 1 / 0', values: [] });
  });
  for (const taskId of ['broken', 'sound', 'another'])
    await push(it.stage, it.run, { taskId, characters: 50_000 });

  const report = await it.cycle.pass();
  const { counters } = sumUp(report.increments);
  expect(counters['rows_total large db']).toBe(3);
  expect(counters['bytes_total db']).toBeGreaterThan(100_000);
  expect(counters['bytes_total db']).toBeLessThan(110_000);
  expect(sumUp((await it.cycle.pass()).increments).counters).toEqual({});
});

test('runs that take the server too long to count fail the cycle at once, and the next one counts them', async () => {
  const stage = await openStage(postgres(), '3.1.8');
  const counted: number[] = [];
  let isSlow = true;
  const cycle = openCycle(stage, {
    endpoint: s3().endpoint,
    through: (database) =>
      betweenQueries(database, (query) => async (statement) => {
        if (!statement.name.startsWith('counts_')) return query(statement);
        const [runs] = statement.values as [readonly number[]];
        counted.push(runs.length);
        if (!isSlow) return query(statement);
        await query({ name: 'hurry', text: 'SET LOCAL statement_timeout = 1', values: [] });
        return query({ ...statement, text: 'SELECT pg_sleep(1), $1::int[], $2::text' });
      }),
  });
  const runs = [];
  for (const runId of ['one', 'two', 'three']) runs.push(await stage.addRun({ dagId: 'many', runId }));
  await cycle.pass();
  for (const run of runs) await push(stage, run, { taskId: 'small', characters: 10 });

  // The daemon then leaves out cycles (daemon/breaker.test.ts). Smaller groups would hold the snapshot all that time.
  expect((await cycle.run(PROBED, new AbortController().signal)).databaseFailure?.reason).toBe(
    'statement_timeout',
  );
  expect(counted).toEqual([3]);
  isSlow = false;
  expect(sumUp((await cycle.pass()).increments).counters['rows_total many db']).toBe(3);
  expect(counted).toEqual([3, 3]);
  await cycle.close();
  await stage.close();
});

test('what takes longer than a cycle may is counted in the next ones, each at its size', async () => {
  const named: number[] = [];
  const sleep = slowly();
  await using it = await start(({ values: [runs] }) => {
    named.push((runs as unknown[]).length);
    sleep(4_000);
  });
  await pushSix(it);

  const first = await it.cycle.pass();
  expect(sumUp(first.increments).counters).toMatchObject({
    'rows_total large db': 4,
    'bytes_total db': 240_000,
  });
  expect(first.coverage).toBeLessThan(1);
  const second = await it.cycle.pass();
  expect(sumUp(second.increments).counters).toMatchObject({
    'rows_total large db': 2,
    'bytes_total db': 120_000,
  });
  expect(second.coverage).toBe(1);
  expect(named).toEqual([2, 2, 2]);
});

test('the window of an exporter that starts is shown exactly, as soon as there is time', async () => {
  const sleep = slowly();
  await using it = await start(() => undefined);
  await pushSix(it);
  const late = openMeasuring(it.stage, () => {
    sleep(5_000);
  });
  try {
    // Two are measured in each cycle.
    for (const coverage of [1 / 3, 2 / 3, 1]) {
      const report = await late.pass();
      expect(report.increments).toEqual([]);
      expect(report.coverage).toBeCloseTo(coverage);
    }
    expect((await late.pass()).window).toMatchObject({ bytes: { db: 360_000 }, oversizeRows: 6 });
  } finally {
    await late.close();
  }
});

test.each(['VACUUM FULL', 'a longer window'])(
  'new values for which there is no time are counted later, each once and at its size, also after %s',
  async (change) => {
    const sleep = slowly();
    await using it = await start(() => undefined);
    await it.cycle.pass();
    await pushSix(it);
    if (change === 'VACUUM FULL') await it.stage.writer.query('VACUUM FULL xcom');
    const late = openMeasuring(
      it.stage,
      () => {
        sleep(4_000);
      },
      { restored: it.cycle.state(), window: change === 'VACUUM FULL' ? '24h' : '25h' },
    );
    try {
      const reports = [await late.pass(), await late.pass(), await late.pass()];
      expect(reports.map(({ increments }) => sumUp(increments).counters['bytes_total db'])).toEqual([
        240_000,
        120_000,
        undefined,
      ]);
      expect(reports.map(({ window }) => window?.oversizeRows)).toEqual([4, 6, 6]);
    } finally {
      await late.close();
    }
  },
);

test('values of an old run that comes back are in no counter, although there is no time for them at once', async () => {
  const sleep = slowly();
  const stage = await openStage(postgres(), '3.1.8');
  const run = await stage.addRun({ dagId: 'old', runId: 'old', state: 'success', agoSeconds: 172_800 });
  await stage.addRun({ dagId: 'old', runId: 'live' });
  await pushSix({ stage, run });
  const cycle = openMeasuring(stage, () => {
    sleep(5_000);
  });
  try {
    expect((await cycle.pass()).window?.rows.db).toBe(0);
    await stage.setState(run, 'queued');
    for (let at = 0; at < 4; at += 1) expect((await cycle.pass()).increments).toEqual([]);
    expect((await cycle.pass()).window).toMatchObject({ bytes: { db: 360_000 }, oversizeRows: 6 });
  } finally {
    await cycle.close();
    await stage.close();
  }
});

/** Moves the clock on at once, in place of a wait. */
function slowly(): (ms: number) => void {
  const now = performance.now.bind(performance);
  let slept = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now() + slept);
  return (ms) => {
    slept += ms;
  };
}

/** Pushes six values that are stored as they are: two of them fit in one statement. */
async function pushSix({ stage, run }: { readonly stage: Stage; readonly run: Run }): Promise<void> {
  await stage.writer.query('ALTER TABLE xcom ALTER value SET STORAGE EXTERNAL');
  for (let at = 0; at < 6; at += 1) await push(stage, run, { taskId: `task_${at}`, characters: 60_000 });
}
