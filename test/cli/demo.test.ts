import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** The problem that each act is about, in the order of the acts; the first is healthy. */
const expected = [
  null,
  'threshold_disabled',
  'worker_bypass',
  'worker_settings_differ',
  'objects_missing',
  'write_denied',
] as const;
/**
 * Problems that come with the expected ones: the first large rows do not cluster on anything yet, a task that is
 * handed a path pushes it on, and the canary's own push is refused too.
 */
const companions = ['oversize_in_db', 'path_leaked', 'canary_failing'];

interface Demo {
  readonly child: ChildProcess;
  readonly url: string;
  readonly output: () => string;
  readonly exit: Promise<number | null>;
}

interface Moment {
  readonly act: string;
  readonly problems: readonly string[];
}

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

interface Started {
  readonly program: string;
  readonly before: readonly string[];
  readonly cwd: string;
}

const BY_ITSELF: Started = {
  program: process.execPath,
  before: [main, 'demo', '--log.level', 'debug'],
  cwd: dirname(main),
};

async function startDemo(argv: readonly string[], how: Started = BY_ITSELF): Promise<Demo> {
  const before = Date.now();
  const child = spawn(how.program, [...how.before, ...argv], {
    cwd: how.cwd,
    env: how === BY_ITSELF ? {} : { PATH: process.env['PATH'] ?? '', HOME: how.cwd },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const exit = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  for (;;) {
    const url = /"url":"(http:[^"]+)"/.exec(output)?.[1];
    if (url !== undefined && (await fetchText(`${url}metrics`)) !== null)
      return { child, url, output: () => output, exit };
    if (child.exitCode !== null || Date.now() - before > 30_000)
      throw new Error(`No metrics came: ${output}`);
    await delay(50);
  }
}

/** The answer's text; null when nobody answers, as after the end. */
async function fetchText(url: string): Promise<string | null> {
  try {
    return await (await fetch(url, { signal: AbortSignal.timeout(5_000) })).text();
  } catch {
    return null;
  }
}

function sumOf(metrics: string, pattern: RegExp): number {
  return metrics
    .split('\n')
    .filter((line) => pattern.test(line))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

async function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

/** The folder and the ports of the demo's servers, from its log. */
function serversOf(output: string): { readonly dir: string; readonly ports: readonly number[] } {
  const postgres = /"port":(\d+),"dir":"([^"]+)"/.exec(output);
  const storage = /"endpoint":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(output);
  const web = /"url":"http:\/\/127\.0\.0\.1:(\d+)\/"/.exec(output);
  const ports = [postgres?.[1], storage?.[1], web?.[1]].map(Number);
  return { dir: postgres?.[2] ?? '', ports };
}

async function expectNothingLeft(output: string): Promise<void> {
  const { dir, ports } = serversOf(output);
  expect(ports.every((port) => port > 0)).toBe(true);
  expect(await Promise.all(ports.map(isOpen))).toEqual([false, false, false]);
  expect(dir).toContain('airflow-xcom-exporter-postgres-');
  expect(existsSync(dir)).toBe(false);
}

describe('demo', () => {
  test(
    'raises the problem of each act and clears it after the cure, then ends',
    { timeout: 240_000 },
    async () => {
      const demo = await startDemo(['--once', '--act-seconds', '20', '--web.listen-address', '127.0.0.1:0']);

      const moments: Moment[] = [];
      let pages = '';
      let last = '';
      while (demo.child.exitCode === null) {
        const status = await fetchText(`${demo.url}api/v1/status`);
        const metrics = await fetchText(`${demo.url}metrics`);
        if (status === null || metrics === null) break;
        const { demo_act: act } = JSON.parse(status) as { demo_act: string | null };
        const problems = [...metrics.matchAll(/^airflow_xcom_problem\{problem="(\w+)".*\} 1$/gm)];
        moments.push({ act: act ?? '', problems: problems.map(([, problem = '']) => problem) });
        last = metrics;
        pages = status;
        await delay(400);
      }
      expect(await demo.exit).toBe(0);

      const raised = expected.map((problem, index) => {
        const during = moments.filter(({ act }) => act.startsWith(`Act ${index + 1} of 6:`));
        return problem === null
          ? during.every(({ problems }) => problems.length === 0) && during.length > 0
            ? null
            : 'not healthy'
          : (during.flatMap(({ problems }) => problems).find((said) => said === problem) ?? 'not raised');
      });
      expect(raised).toEqual(expected);
      for (const [index, problem] of expected.entries()) {
        const afterwards = moments.filter(({ act }) => act.startsWith(`Act ${index + 1} of 6, cured:`));
        if (problem !== null)
          expect([problem, afterwards.some(({ problems }) => problems.length === 0)]).toEqual([
            problem,
            true,
          ]);
      }
      // The threshold of all workers and the exporter's change together: the canary never sees two of them.
      expect(
        moments.filter(
          ({ act, problems }) => act.startsWith('Act 2') && problems.includes('worker_settings_differ'),
        ),
      ).toEqual([]);
      const known: readonly string[] = [...expected.filter((problem) => problem !== null), ...companions];
      const said = new Set(moments.flatMap(({ problems }) => problems));
      expect([...said].filter((problem) => !known.includes(problem))).toEqual([]);

      expect(sumOf(last, /^airflow_xcom_rows_total\{.*storage="db"/)).toBeGreaterThan(0);
      expect(sumOf(last, /^airflow_xcom_rows_total\{.*storage="s3"/)).toBeGreaterThan(0);
      expect(sumOf(last, /^airflow_xcom_rows_total\{.*storage="other"/)).toBe(0);
      expect(sumOf(last, /^airflow_xcom_oversize_in_db_total\{.*queue="legacy"/)).toBeGreaterThan(0);
      expect(sumOf(last, /^airflow_xcom_references_broken_total\{.*reason="missing"/)).toBeGreaterThan(0);
      expect(
        sumOf(last, /^airflow_xcom_write_failures_total\{source="probe",reason="denied"/),
      ).toBeGreaterThan(0);
      // The first is a name inside every large value, the second is the secret of the storage.
      expect(`${demo.output()}${pages}${last}`).not.toMatch(/order_id|embedded-secret/);
      await expectNothingLeft(demo.output());
    },
  );

  test('says when its port is taken, and leaves nothing behind after a signal', async () => {
    const demo = await startDemo(['--web.listen-address', '127.0.0.1:0']);
    const { host } = new URL(demo.url);
    const second = spawnSync(process.execPath, [main, 'demo', '--web.listen-address', host], {
      env: {},
      encoding: 'utf8',
    });
    expect(second.status).toBe(1);
    expect(second.stderr).toContain(host);
    expect(second.stderr).toContain('web.listen-address');

    demo.child.kill('SIGINT');
    expect(await demo.exit).toBe(0);
    await expectNothingLeft(demo.output());
  });

  // A supervisor that knows only the process id of npm ends `npm run demo` in this way.
  test('ends with all its servers when npm gets SIGTERM, and says what to try next', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'demo-by-npm-'));
    try {
      const { scripts } = JSON.parse(
        readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
      ) as {
        scripts: { demo: string };
      };
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ scripts: { demo: scripts.demo } }));
      // The exporter is built already, and must not be built again while other tests use it.
      symlinkSync(dirname(main), join(folder, 'dist'));
      mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
      writeFileSync(join(folder, 'node_modules/.bin/rolldown'), '#!/bin/sh\n', { mode: 0o755 });
      const demo = await startDemo(['--web.listen-address', '127.0.0.1:0'], {
        program: 'npm',
        before: ['run', 'demo', '--', '--log.level', 'debug'],
        cwd: folder,
      });
      expect(demo.output()).toMatch(/^[^{]*Building the exporter/);

      demo.child.kill('SIGTERM');
      await demo.exit;
      await vi.waitFor(() => expectNothingLeft(demo.output()), { timeout: 20_000, interval: 200 });
      expect(demo.output()).toContain('next: write what a worker knows into worker.env');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test.each([
    [['--act-seconds', '2'], '--act-seconds: "2" is not a whole number of at least 8'],
    [['--act-seconds=soon'], '--act-seconds: "soon" is not a whole number'],
    [['--onse'], 'unknown flag --onse'],
  ])('refuses %j before it starts anything', (argv, message) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'demo', ...argv], {
      env: {},
      encoding: 'utf8',
    });
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
  });
});
