import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DAY_MS, HOUR_MS, readDeletions, readList } from '../support/audit.ts';
import type { SmallAirflow } from '../support/daemon.ts';
import { eventually, startAirflow, startDaemon, workerEnv } from '../support/daemon.ts';
import { usePostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const postgres = usePostgres();
const s3 = useS3('airflow-xcom');

const ROWS = 6_000;
const OBJECTS = 12_500;
const FILES = 12;

let airflow: SmallAirflow;
let env: Record<string, string>;
const folder = mkdtempSync(join(tmpdir(), 'audit-cli-'));

beforeAll(async () => {
  airflow = await startAirflow(postgres(), s3(), 'xcom');
  env = Object.fromEntries(
    Object.entries(workerEnv(airflow, s3())).filter(([name]) => name.startsWith('AIRFLOW')),
  );
  await airflow.writer.query(
    `INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, try_number, pool, pool_slots)
     SELECT gen_random_uuid(), 'extract', 'orders', 'manual__1', i, 1, 'default_pool', 1 FROM generate_series(0, ${ROWS - 1}) i`,
  );
  await airflow.writer.query(
    `INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)
     SELECT r.id, 'extract', i, 'return_value', 'orders', 'manual__1',
       to_jsonb('s3://aws_xcom@airflow-xcom/' || 'xcom/orders/manual__1/extract/' || ${uuidOf('i')}), now() - interval '9 days'
     FROM dag_run r, generate_series(0, ${ROWS - 1}) i WHERE r.run_id = 'manual__1'`,
  );
});
afterAll(async () => {
  await airflow.close();
  rmSync(folder, { recursive: true });
});

function uuidOf(i: string): string {
  const digits = `md5(${i}::text)`;
  return `overlay(overlay(overlay(overlay(overlay(overlay(${digits}
    placing '4' from 13 for 1) placing 'a' from 17 for 1) placing '-' from 9 for 0) placing '-' from 14 for 0)
    placing '-' from 19 for 0) placing '-' from 24 for 0)`;
}

function keyOf(i: number): string {
  const digits = createHash('md5').update(String(i)).digest('hex');
  const [, a, b, c, d, e] = /^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/.exec(digits) ?? [];
  return `xcom/orders/manual__1/extract/${a ?? ''}-${b ?? ''}-4${c ?? ''}-a${d ?? ''}-${e ?? ''}`;
}

/** Writes an inventory on this machine: every object that a row names, and those of rows that were deleted. */
function writeInventory(): string {
  const at = new Date(Date.now() - 9 * DAY_MS).toISOString();
  const data = join(folder, 'inventory', 'data');
  mkdirSync(data, { recursive: true });
  const files = Array.from({ length: FILES }, (_, file) => {
    const lines: string[] = [];
    for (let i = file; i < OBJECTS; i += FILES)
      lines.push(`"airflow-xcom","${keyOf(i)}","1000","${at}","STANDARD"`);
    const content = gzipSync(`${lines.join('\n')}\n`);
    writeFileSync(join(data, `${file}.csv.gz`), content);
    const md5 = createHash('md5').update(content).digest('hex');
    return { key: `x/data/${file}.csv.gz`, size: content.length, MD5checksum: md5 };
  });
  const manifest = join(folder, 'inventory', 'manifest.json');
  writeFileSync(
    manifest,
    JSON.stringify({
      sourceBucket: 'airflow-xcom',
      destinationBucket: 'arn:aws:s3:::x',
      version: '2016-11-30',
      creationTimestamp: String(Date.now() - HOUR_MS),
      fileFormat: 'CSV',
      fileSchema: 'Bucket, Key, Size, LastModifiedDate, StorageClass',
      files,
    }),
  );
  return manifest;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface KillAt {
  readonly words: string;
  readonly afterMs: number;
  readonly signal?: 'SIGTERM' | 'SIGKILL';
}

/** Runs `audit`. `killAt`: words of its progress, and how long after them the process is killed. */
async function call(
  argv: readonly string[],
  killAt?: KillAt,
  nodeFlags: readonly string[] = [],
): Promise<Ended> {
  const child = spawn(process.execPath, [...nodeFlags, main, 'audit', ...argv], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  let isDue = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    if (killAt === undefined || isDue || !stderr.includes(killAt.words)) return;
    isDue = true;
    void delay(killAt.afterMs).then(() => child.kill(killAt.signal ?? 'SIGKILL'));
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

/** The folders that finished runs left, the newest last. */
function results(out: string): string[] {
  return readdirSync(out)
    .filter((name) => /^audit-.*Z$/.test(name))
    .sort()
    .map((name) => join(out, name));
}

async function expectWhole(result: string): Promise<void> {
  const orphans = Array.from({ length: OBJECTS - ROWS }, (_, index) => keyOf(ROWS + index)).sort();
  const listed = await readList(join(result, 'orphaned.parquet'));
  expect(listed.map(({ key }) => String(key)).sort()).toEqual(orphans);
  const csv = readFileSync(join(result, 'orphaned.csv'), 'utf8').trimEnd().split('\n');
  expect(csv).toHaveLength(orphans.length + 1);
  const parts = readDeletions(join(result, 'delete-objects'));
  expect(parts.map((part) => part.length)).toEqual([...Array.from({ length: 6 }, () => 1_000), 500]);
  expect(parts.flat().sort()).toEqual(orphans.map((key) => `airflow-xcom/${key}`));
  expect(await readList(join(result, 'missing.parquet'))).toEqual([]);
  const summary = JSON.parse(readFileSync(join(result, 'summary.json'), 'utf8')) as Record<string, unknown>;
  expect(summary).toMatchObject({
    references: { live: ROWS, absent: 0, outside: 0 },
    objects: { orphaned: { objects: OBJECTS - ROWS, dollars: null } },
  });
}

describe('killed and called again', () => {
  test('it never leaves a list that looks whole and is not, and comes to the same end', async () => {
    const out = join(folder, 'killed');
    const argv = ['--out', out, '--inventory', writeInventory(), '--json'];
    const slow = ['--pages-per-second', '100'];
    const stages = [
      'reading xcom',
      'reading the inventory',
      'comparing',
      'looking again',
      'writing the lists',
    ];
    const seen = new Set<string>();
    for (let round = 0; round < 12; round += 1) {
      const words = stages[round % stages.length] ?? '';
      const { code, stderr } = await call([...argv, ...slow], { words, afterMs: (round * 37) % 260 });
      for (const stage of stages) if (stderr.includes(stage)) seen.add(stage);
      for (const result of results(out)) await expectWhole(result);
      if (code !== null) break;
    }
    expect([...seen]).toEqual(expect.arrayContaining(stages));
    const last = await call(argv);
    expect([last.code, last.stderr.includes('Error')]).toEqual([0, false]);
    const [newest] = results(out).slice(-1);
    await expectWhole(newest ?? '');
    expect(JSON.parse(last.stdout)).toEqual(
      JSON.parse(readFileSync(join(newest ?? '', 'summary.json'), 'utf8')),
    );
    // Nothing from an unfinished run is left.
    expect(readdirSync(out).filter((name) => !/^audit-.*Z$/.test(name))).toEqual([]);
  }, 300_000);

  test('after a signal it says how to go on, and what was read before is not read again', async () => {
    const out = join(folder, 'goes-on');
    const argv = ['--out', out, '--inventory', writeInventory()];
    const ended = await call(argv, { words: 'reading the inventory', afterMs: 0, signal: 'SIGTERM' });
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('audit: interrupted. Call it again with the same --out, and it goes on');
    const again = await call(argv);
    expect(again.code).toBe(0);
    expect(again.stderr).not.toContain('reading xcom');
    await expectWhole(results(out)[0] ?? '');
  });

  test('a signal ends it while it reads a large file of the inventory', async () => {
    const odd = mkdtempSync(join(folder, 'odd-'));
    symlinkSync('/dev/zero', join(odd, 'a.csv.gz'));
    const manifest = JSON.parse(readFileSync(writeInventory(), 'utf8')) as Record<string, unknown>;
    const files = [{ key: 'x/data/a.csv.gz', size: 1, MD5checksum: '0'.repeat(32) }];
    writeFileSync(join(odd, 'manifest.json'), JSON.stringify({ ...manifest, files }));
    const { code, stderr } = await call(
      ['--out', join(odd, 'out'), '--inventory', join(odd, 'manifest.json')],
      { words: 'reading the inventory', afterMs: 200, signal: 'SIGTERM' },
    );
    expect([code, stderr.includes('not closed within')]).toEqual([2, false]);
    expect(stderr).toContain('audit: interrupted. Call it again with the same --out, and it goes on');
  });

  test('a signal ends it with 2 and says how to go on, even if something stays open', async () => {
    const { code, stderr } = await call(
      ['--out', join(folder, 'open'), '--inventory', writeInventory()],
      { words: 'reading xcom', afterMs: 0, signal: 'SIGTERM' },
      ['--import', 'data:text/javascript,setInterval(() => undefined, 1_000)'],
    );
    expect(code).toBe(2);
    expect(stderr).toContain(
      'not closed within 5 s of SIGTERM: ended. Call it again with the same --out, and it goes on',
    );
  });

  test('two at once: one is sent away, and the other comes to its end', async () => {
    const out = join(folder, 'two');
    const argv = ['--out', out, '--inventory', writeInventory(), '--pages-per-second', '400'];
    const both = await Promise.all([call(argv), call(argv)]);
    const [ended, sentAway] = both.sort((a, b) => (a.code ?? 0) - (b.code ?? 0));
    expect([ended.code, sentAway.code]).toEqual([0, 2]);
    expect(sentAway.stderr).toMatch(/Could not set lock on file/);
    await expectWhole(results(out)[0] ?? '');
  });
});

test('without the optional package it says what to install, and begins nothing', async () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const bare = join(folder, 'bare');
  cpSync(join(root, 'dist'), join(bare, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(bare, 'package.json'));
  const out = join(folder, 'bare-out');
  const child = spawn(process.execPath, [join(bare, 'dist/main.js'), 'audit', '--out', out], { env });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  expect([code, stderr]).toEqual([
    2,
    'airflow-xcom-exporter: The audit needs the optional package @duckdb/node-api, which is not installed here: npm install @duckdb/node-api\n',
  ]);
  expect(readdirSync(out)).toEqual([]);
});

test('by LIST: what was put a moment ago is too young to be judged', async () => {
  const out = join(folder, 'list');
  const keys = [keyOf(0), keyOf(1), keyOf(ROWS)];
  for (const key of keys)
    await fetch(`${s3().endpoint}/airflow-xcom/${key}`, { method: 'PUT', body: 'value' });
  await airflow.writer.query(`DELETE FROM xcom WHERE map_index > 2`);
  const { code, stdout } = await call(['--out', out]);
  expect(stdout).toContain('Rows name objects that Airflow cannot read.');
  expect(stdout).toMatch(/live +2\n +missing +1\n/);
  expect(stdout).toMatch(/too young +1, 5 B\n/);
  expect(code).toBe(1);
  expect(readDeletions(join(results(out)[0] ?? '', 'delete-objects'))).toEqual([]);
});

test('its figures are in the metrics of an exporter whose state file it was told', async () => {
  const stateFile = join(folder, 'state');
  const out = join(folder, 'shown');
  const refused = await call(['--out', out, '--state']);
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringContaining('--state: the exporter keeps no state file') as string,
  ]);
  const daemon = await startDaemon({ ...workerEnv(airflow, s3()), XCOM_EXPORTER_STATE_FILE: stateFile });
  try {
    await eventually(async () => {
      expect(await daemon.value('exporter_job_runs_total', { name: 'sample' })).toBeGreaterThan(0);
    });
    expect(await daemon.value('audit_objects', { verdict: 'orphaned' })).toBeUndefined();
    const manifest = writeInventory();
    const { stdout } = await call([
      ...['--out', out, '--inventory', manifest, '--json', '--state', '--state.file', stateFile],
    ]);
    const { objects } = JSON.parse(stdout) as { objects: Record<string, { objects: number; bytes: number }> };
    expect(objects['orphaned']).toMatchObject({ objects: OBJECTS - 3, bytes: (OBJECTS - 3) * 1_000 });
    await eventually(async () => {
      expect(await daemon.value('audit_objects', { verdict: 'orphaned' })).toBe(OBJECTS - 3);
      expect(await daemon.value('audit_bytes', { verdict: 'orphaned' })).toBe((OBJECTS - 3) * 1_000);
      expect(await daemon.value('audit_objects', { verdict: 'named' })).toBe(3);
      expect(await daemon.value('audit_missing_references')).toBe(0);
    });
  } finally {
    await daemon.close();
  }
}, 180_000);
