import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import { parseShard } from '../../../src/settings/shard.ts';
import { openStateFile } from '../../../src/state/file.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { BUCKET, dumps, plant } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { listShapes, openCycle, openStage, sumUp } from '../../support/seed.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);
const SHARDS = 2;
const THRESHOLD = 1_000;
const ENABLED = { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: String(THRESHOLD) };

describe.each(listShapes())('$shape', ({ release }) => {
  test('what the shards count adds up to what one exporter counts, and no dag is in two', async () => {
    const stage = await openStage(postgres(), release);
    const open = (shard: string) =>
      openCycle(stage, {
        endpoint: s3().endpoint,
        env: {
          ...ENABLED,
          XCOM_EXPORTER_SHARD: shard,
        },
      });
    const whole = open('0/1');
    const shards = Array.from({ length: SHARDS }, (_, index) => open(`${index}/${SHARDS}`));
    try {
      for (const cycle of [whole, ...shards]) await cycle.pass();
      const run = (dagId: string) => stage.addRun({ dagId, runId: `run of ${dagId.slice(0, 9)}` });
      const runs = {
        plain: await run('etl'),
        many: await run('billing'),
        hostile: await run(`<img src=x>"\n`),
        long: await run('d'.repeat(250)),
      };
      for (const row of plant(stage, { threshold: THRESHOLD, runs })) await stage.push(row);
      const expected = await whole.pass();
      const parts: Report[] = [];
      for (const cycle of shards) parts.push(await cycle.pass());

      expect(sumUp(parts.flatMap(({ increments }) => increments))).toEqual(sumUp(expected.increments));
      const dags = parts.map(dagsOf);
      expect(dags.flat().sort()).toEqual(dagsOf(expected).sort());
      for (const own of dags) expect(own.length).toBeGreaterThan(0);
      const sum = (figure: (report: Report) => number) =>
        parts.reduce((total, report) => total + figure(report), 0);
      expect(sum(rowsOf)).toBe(rowsOf(expected));
      expect(sum(({ window }) => window?.oversizeBytes ?? NaN)).toBe(expected.window?.oversizeBytes);
    } finally {
      for (const cycle of [whole, ...shards]) await cycle.close();
      await stage.close();
    }
  });
});

test('a shard does not say that the backend is inactive: the dags of another one may have references', async () => {
  const release = listShapes().at(-1)?.release ?? '';
  const stage = await openStage(postgres(), release);
  const open = (shard: string) =>
    openCycle(stage, { endpoint: s3().endpoint, env: { XCOM_EXPORTER_SHARD: shard, ...ENABLED } });
  const [own, whole] = [open(`0/${SHARDS}`), open('0/1')];
  try {
    const run = await stage.addRun({ dagId: 'etl', runId: 'run' });
    for (const key of ['a', 'b', 'c'])
      await stage.push({ run, taskId: 'task', mapIndex: -1, key, stored: dumps('v'.repeat(THRESHOLD)) });
    const { states, problems } = await own.pass();
    expect([states.backend_inactive, states.oversize_in_db]).toEqual(['unknown', 'raised']);
    expect(problems.map(({ code }) => code)).toEqual(['oversize_in_db']);
    expect((await whole.pass()).states.backend_inactive).toBe('raised');
  } finally {
    await own.close();
    await whole.close();
    await stage.close();
  }
});

test('a state file of another shard is refused, and stays as it is', async () => {
  const path = join(tmpdir(), `xcom-state-${randomUUID()}`);
  try {
    await openStateFile(path, parseShard('0/2')).write({ window: emptyState(), problems: {}, cleared: [] });
    await expect(openStateFile(path, parseShard('1/2')).read()).rejects.toThrow(
      'it is of shard 0/2, and this exporter is 1/2',
    );
    expect(await openStateFile(path, parseShard('0/2')).read()).not.toBeNull();
  } finally {
    await rm(path, { force: true });
  }
});

test('a state file of another number of shards is set aside when the first of this number is written', async () => {
  const path = join(tmpdir(), `xcom-state-${randomUUID()}`);
  const state = { window: emptyState(), problems: {}, cleared: [] };
  try {
    await openStateFile(path, parseShard('0/3')).write(state);
    const left = await readFile(path);
    const next = openStateFile(path, parseShard('0/4'));
    expect(await next.read()).toBeNull();
    expect(next.unused()).toBe(
      `The state file ${path} is of shard 0/3, and this exporter is 0/4. It will be set aside as ${path}.old, and what is then in the window forms the baseline`,
    );
    expect(await readFile(path)).toEqual(left);
    await next.write(state);
    expect(await readFile(`${path}.old`)).toEqual(left);
    const after = openStateFile(path, parseShard('0/4'));
    expect(await after.read()).not.toBeNull();
    expect(after.unused()).toBeNull();
  } finally {
    await rm(path, { force: true });
    await rm(`${path}.old`, { force: true });
  }
});

function dagsOf({ increments }: Report): string[] {
  return [
    ...new Set(increments.flatMap((one) => (one.metric === 'rows_total' && one.by > 0 ? [one.dagId] : []))),
  ];
}

function rowsOf({ window }: Report): number {
  return Object.values(window?.rows ?? {}).reduce((sum, rows) => sum + rows, 0);
}
