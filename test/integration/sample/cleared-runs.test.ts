import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import { openStateFile } from '../../../src/state/file.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { BUCKET } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import type { Run, Stage, StageCycle } from '../../support/seed.ts';
import { listShapes, openCycle, openStage } from '../../support/seed.ts';
import { WHOLE } from '../../support/whole.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);

const DAY = 86_400;
/** More runs than two pages of the first reading, and how many cycles it takes to look at all of them. */
const BETWEEN = 10_100;
const ROUND = Math.ceil(BETWEEN / 500) + 1;

describe.each(listShapes())('a run that was cleared, $shape (Airflow $release)', ({ release }) => {
  let stage: Stage;
  const open: StageCycle[] = [];
  beforeAll(async () => {
    stage = await openStage(postgres(), release);
  });
  beforeEach(() => stage.clear());
  afterAll(async () => {
    await Promise.all(open.map((cycle) => cycle.close()));
    await stage.close();
  });

  function start(restored: LedgerState | null = null): StageCycle {
    const cycle = openCycle(stage, {
      endpoint: s3().endpoint,
      restored,
      env: { XCOM_EXPORTER_WINDOW: '24h' },
    });
    open.push(cycle);
    return cycle;
  }

  const large = (): Buffer | string => {
    const text = JSON.stringify('x'.repeat(5_000));
    return stage.source.value === 'bytea' ? Buffer.from(text) : text;
  };

  /** An old run, with many younger ones that left the window as well. */
  async function addOld(): Promise<Run> {
    const old = await stage.addRun({ dagId: 'etl', runId: 'old', state: 'success', agoSeconds: 3 * DAY });
    const columns = await stage.writer.query<{ name: string }>(
      `SELECT column_name AS name FROM information_schema.columns WHERE table_name = 'dag_run' AND column_name <> 'id'`,
    );
    const values = columns.map(({ name }) => {
      if (name === 'run_id') return `'younger ' || n`;
      return name === 'logical_date' || name === 'execution_date'
        ? `${name} + n * interval '1 second'`
        : `"${name}"`;
    });
    await stage.writer.query(
      `INSERT INTO dag_run (${columns.map(({ name }) => `"${name}"`).join(', ')})
       SELECT ${values.join(', ')} FROM dag_run, generate_series(1, ${BETWEEN}) n WHERE id = $1`,
      [old.id],
    );
    await stage.addRun({ dagId: 'etl', runId: 'recent', state: 'success', agoSeconds: 60 });
    return old;
  }

  test('and ended again between two cycles is read, and each of its rows counts once', async () => {
    const old = await addOld();
    const cycle = start();
    await cycle.pass();
    await stage.setState(old, 'running');
    await stage.push({ run: old, taskId: 'extract', stored: large() });
    await stage.setState(old, 'success');
    const { report, counted } = await passes(cycle, ROUND * 2);
    expect({ counted, oversize: report.window?.oversizeRows }).toEqual({ counted: 1, oversize: 1 });
  });

  /** An old run that was cleared and has ended again before the first cycle, in the window. */
  async function addCleared(): Promise<Run> {
    const old = await addOld();
    await stage.push({ run: old, taskId: 'extract', stored: large(), agoSeconds: 3_600 });
    await stage.writer.query(
      `UPDATE dag_run SET queued_at = now() - interval '2 hours', start_date = now() - interval '2 hours',
         end_date = now() - interval '1 hour' WHERE id = $1`,
      [old.id],
    );
    return old;
  }

  test('and ended before the first cycle is in the window, and in no counter', async () => {
    await addCleared();
    const cycle = start();
    await cycle.pass();
    const { report, counted } = await passes(cycle, ROUND * 2);
    expect({ counted, oversize: report.window?.oversizeRows }).toEqual({ counted: 0, oversize: 1 });
  });

  test('and ended before the first cycle is in no counter after a restart either', async () => {
    await addCleared();
    const first = start();
    await first.pass();
    const cycle = start(await throughFile(first.state()));
    const { report, counted } = await passes(cycle, ROUND * 2);
    expect({ counted, oversize: report.window?.oversizeRows }).toEqual({ counted: 0, oversize: 1 });
  });

  test('before the first cycle and once more counts the rows that it has written since', async () => {
    const old = await addCleared();
    const cycle = start();
    await cycle.pass();
    await stage.setState(old, 'running');
    await stage.push({ run: old, taskId: 'load', stored: large() });
    const { report, counted } = await passes(cycle, 1);
    expect({ counted, oversize: report.window?.oversizeRows }).toEqual({ counted: 1, oversize: 2 });
  });

  test('is found at once where a row tells when it was made', async ({ skip }) => {
    skip(stage.source.keyedBy === 'dag_run', 'there a row only tells its run');
    const old = await addOld();
    const cycle = start();
    await cycle.pass();
    await stage.setState(old, 'running');
    await stage.push({ run: old, taskId: 'extract', stored: large() });
    await stage.setState(old, 'success');
    // One cycle finds the row, the next one reads its run.
    expect((await passes(cycle, 2)).counted).toBe(1);
  });
});

/** The state that an exporter finds after a restart. */
async function throughFile(window: LedgerState): Promise<LedgerState | null> {
  const path = join(tmpdir(), `xcom-state-${randomUUID()}`);
  try {
    await openStateFile(path, WHOLE).write({ window, problems: {}, cleared: [] });
    return (await openStateFile(path, WHOLE).read())?.window ?? null;
  } finally {
    await rm(path, { force: true });
  }
}

/** Runs some cycles: the last report, and how many rows they counted together. */
async function passes(
  cycle: StageCycle,
  cycles: number,
): Promise<{ readonly report: Report; readonly counted: number }> {
  let counted = 0;
  for (let left = cycles; ; left -= 1) {
    const report = await cycle.pass();
    for (const one of report.increments) if (one.metric === 'rows_total') counted += one.by;
    if (left === 1) return { report, counted };
  }
}
