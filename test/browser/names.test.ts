import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { Finding } from '../../src/diagnosis/evidence.ts';
import { PROBLEM_CODES } from '../../src/diagnosis/problem-catalogue.ts';
import type { ProblemCode } from '../../src/diagnosis/problem-catalogue.ts';
import type { Problem } from '../../src/diagnosis/problem.ts';
import type { Report } from '../../src/diagnosis/report.ts';
import { startHttpServer } from '../../src/http/server.ts';
import type { HttpServer } from '../../src/http/server.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { NO_HISTORY, withCycle, withProbe } from '../../src/status/history.ts';
import type { Status } from '../../src/status/status.ts';
import { eventually, startDaemon } from '../support/daemon.ts';
import { BUCKET, dumps } from '../support/plant.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import { openStage } from '../support/seed.ts';
import { graveFaults, openPage, overflow, SCREENSHOTS, useChromium } from './chromium.ts';
import { METRICS_OPTIONS } from '../support/small-exporter.ts';

const postgres = useOwnPostgres();
const s3 = useS3(BUCKET);
const chromium = useChromium();

const IMAGE = '<img src=x onerror=alert(1)>';
const NAMES = [
  IMAGE,
  '"><script>alert(2)</script><a href="javascript:alert(3)">x</a>',
  'w'.repeat(250),
  'שלום \u202eexe.gpj מפתח',
  'line one\nline two\ttab',
  '東京の売上😀'.repeat(20),
];

/** How many requests each time is measured over. */
const REPEATS = 100;

const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

/** The real server with a made-up status, which may be as large as a status gets. */
async function serve(status: () => Status): Promise<string> {
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    webConfigFile: null,
    metrics: createMetrics(METRICS_OPTIONS),
    status,
    ready: () => true,
    reload: () => Promise.resolve({ ok: true }),
    webConfigRead: () => undefined,
    log: pino({ level: 'silent' }),
  });
  servers.push(server);
  return `http://127.0.0.1:${server.port}`;
}

test('names in a database do nothing but stand there', async () => {
  const stage = await openStage(postgres(), '3.3.2');
  for (const [i, name] of NAMES.entries()) {
    const run = await stage.addRun({ dagId: name, runId: `${name.slice(0, 240)} ${i}` });
    const task = { run, taskId: name, queue: name, mapIndex: i };
    await stage.addTask(task);
    await stage.push({ ...task, key: name, stored: dumps('z'.repeat(5_000)) });
  }
  const daemon = await startDaemon({
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: stage.url,
    AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: '',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: `s3://aws_xcom@${BUCKET}/base`,
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1000',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_TRESHOLD: '1000',
    AIRFLOW_CONN_AWS_XCOM: `aws://${s3().accessKeyId}:${s3().secretAccessKey}@/?endpoint_url=${encodeURIComponent(s3().endpoint)}&region_name=${s3().region}`,
    XCOM_EXPORTER_AIRFLOW_BASE_URL: 'https://airflow.example.com/prod',
    XCOM_EXPORTER_SAMPLE_SCHEDULE: '* * * * * *',
    XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
  });
  try {
    await eventually(() => {
      expect(daemon.status().report?.problems[0]?.findings).toHaveLength(NAMES.length);
    });
    for (const [look, width] of [
      ['desktop', 1200],
      ['phone', 360],
    ] as const) {
      const opened = await openPage(chromium(), `${daemon.url}/?refresh=off`, { width });
      const { page, seen } = opened;
      await page.screenshot({ path: join(SCREENSHOTS, `names-${look}.png`), fullPage: true });
      expect(await page.locator('img, script, iframe, object, [onerror]').count()).toBe(0);
      expect(await page.getByText(IMAGE, { exact: true }).count()).toBeGreaterThan(2);
      expect(await page.getByText(String.raw`שלום \u{202e}exe.gpj מפתח`).count()).toBeGreaterThan(2);
      expect(await page.locator('#settings .odd').innerText()).toContain(
        'XCOM_OBJECTSTORAGE_TRESHOLD is no variable',
      );
      const links = await Promise.all(
        (await page.locator('.findings a').all()).map((link) => link.getAttribute('href')),
      );
      expect(links.length).toBeGreaterThan(3);
      for (const link of links)
        expect(link).toMatch(
          /^https:\/\/airflow\.example\.com\/prod\/dags\/[^/?#]+\/runs\/[^/?#]+\/tasks\/[^/?#]+\/mapped\/\d\/xcom$/,
        );
      expect.soft(await overflow(page), look).toBe(0);
      expect.soft(await graveFaults(page), look).toEqual([]);
      expect.soft(seen, look).toEqual({ requests: [], console: [], dialogs: [] });
      await opened.close();
    }
  } finally {
    await daemon.close();
    await stage.close();
  }
});

test('without scripts it is the same page', async () => {
  const url = await serve(() => largeStatus(100));
  const texts: string[] = [];
  for (const scripts of [true, false]) {
    const opened = await openPage(chromium(), `${url}/?refresh=off`, { scripts, scheme: 'dark' });
    texts.push(await opened.page.locator('body').innerText());
    await opened.page.screenshot({
      path: join(SCREENSHOTS, `scripts-${scripts ? 'on' : 'off'}.png`),
      fullPage: true,
    });
    await opened.close();
  }
  expect(texts[1]).toBe(texts[0]);
  expect(texts[0]).toContain('worker_bypass');
});

test('it renews itself, and the reader stays where she is', async () => {
  let renewals = 0;
  const url = await serve(() => {
    renewals += 1;
    return largeStatus(50);
  });
  const opened = await openPage(chromium(), `${url}/`);
  await opened.page.evaluate('scrollTo(0, 900)');
  await eventually(() => {
    expect(renewals).toBe(2);
  }, 30);
  await opened.page.waitForLoadState('load');
  await eventually(async () => {
    expect(await opened.page.evaluate('scrollY')).toBe(900);
  }, 5);
  await opened.close();
});

describe('with 10,000 findings of 1,000 dags', () => {
  test('the page is small and quick', async () => {
    const status = largeStatus(10_000);
    const url = await serve(() => status);
    const first = await fetch(`${url}/`);
    await first.arrayBuffer();
    const figures: string[] = [];
    for (const path of ['/', '/?problem=worker_bypass', '/?problem=worker_bypass&page=500']) {
      let bytes = 0;
      const start = performance.now();
      const before = process.cpuUsage();
      for (let i = 0; i < REPEATS; i += 1) bytes = (await (await fetch(url + path)).arrayBuffer()).byteLength;
      const { user, system } = process.cpuUsage(before);
      // The CPU time includes the client's. The clock would also measure everything else that the machine does.
      const cpu = (user + system) / 1_000 / REPEATS;
      const wall = (performance.now() - start) / REPEATS;
      figures.push(
        `${path}: ${bytes} bytes, ${cpu.toFixed(1)} ms of CPU, ${wall.toFixed(1)} ms by the clock`,
      );
      expect(bytes).toBeLessThan(100_000);
      expect(cpu).toBeLessThan(25);
    }
    console.log(figures.join('\n'));
  });

  test('one can page through them', async () => {
    const status = largeStatus(10_000);
    const opened = await openPage(chromium(), `${await serve(() => status)}/?refresh=off`, { width: 360 });
    const { page, seen } = opened;
    const rowsShown = () => page.locator('.findings tbody tr').first().innerText();
    await page.locator('#worker_bypass').getByRole('link', { name: 'Show all 10,000 rows' }).click();
    expect(await page.getByText('Page 1 of 500').count()).toBe(1);
    const newest = await rowsShown();
    await page.getByRole('link', { name: 'Older', exact: true }).click();
    expect(await page.getByText('Page 2 of 500').count()).toBe(1);
    expect(await rowsShown()).not.toBe(newest);
    await page.getByRole('link', { name: 'Oldest' }).click();
    expect(await page.getByText('Rows 9,981 to 10,000 of 10,000').count()).toBe(1);
    expect(await graveFaults(page)).toEqual([]);
    expect(await overflow(page)).toBe(0);
    await page.screenshot({ path: join(SCREENSHOTS, 'paged-phone.png'), fullPage: true });
    await page.getByRole('link', { name: 'Everything' }).click();
    expect(await page.locator('#settings').count()).toBe(1);
    expect([seen.console, seen.dialogs]).toEqual([[], []]);
    await opened.close();
  });
});

test('the runbook is readable and every problem leads to its section', async () => {
  const url = await serve(() => largeStatus(20));
  const opened = await openPage(chromium(), `${url}/?refresh=off`, { width: 360, scheme: 'dark' });
  const { page, seen } = opened;
  await page.getByRole('link', { name: 'Runbook: worker_bypass' }).click();
  await page.waitForURL('**/docs/runbook.md#worker_bypass');
  expect((await page.locator('#worker_bypass').boundingBox())?.y).toBeLessThan(800);
  expect(await graveFaults(page)).toEqual([]);
  expect(await overflow(page)).toBe(0);
  await page.screenshot({ path: join(SCREENSHOTS, 'runbook-phone.png') });
  expect([seen.console, seen.dialogs]).toEqual([[], []]);
  await opened.close();
});

test.each<[string, Partial<Status>]>([
  ['standby', { leader: false, report: null, jobs: [] }],
  ['stale', { stale: true }],
  ['no-cycle', { report: null }],
])('%s is told from healthy at first sight', async (name, changes) => {
  const url = await serve(() => ({ ...largeStatus(3), ...changes }));
  for (const scheme of ['light', 'dark'] as const) {
    const opened = await openPage(chromium(), `${url}/?refresh=off`, { scheme });
    const { page, seen } = opened;
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${scheme}.png`) });
    expect(await page.locator('header').getAttribute('class')).toMatch(/^(?:standby|unknown)$/);
    expect(await page.title()).toMatch(/^[?–] /);
    expect(await graveFaults(page)).toEqual([]);
    expect(seen).toEqual({ requests: [], console: [], dialogs: [] });
    await opened.close();
  }
});

/** A status with as many rows as asked for behind one problem, and with the largest possible numbers. */
function largeStatus(rows: number): Status {
  const now = Date.UTC(2026, 0, 2, 3, 4, 5);
  const findings = Array.from({ length: rows }, (_, i): Finding => ({
    dagId: `team_${i % 1_000}_daily_load`,
    runId: `scheduled__2026-01-01T00:00:${String(i % 60).padStart(2, '0')}+00:00`,
    taskId: `transform.load_to_warehouse_${i}`,
    mapIndex: i % 3 === 0 ? i : -1,
    key: 'return_value',
    bytes: 2 ** (i % 45),
    queue: 'legacy',
    executor: 'CeleryExecutor',
    hostname: `airflow-worker-legacy-${i % 20}.airflow-worker.airflow.svc.cluster.local`,
    operator: 'PythonOperator',
    at: now - i * 1_000,
  }));
  const problemOf = (code: ProblemCode): Problem => ({
    code,
    evidence: `The database holds ${rows} values of at least 1 MiB (1,048,576 B), the largest of 16 TiB (17,592,186,044,416 B).`,
    where: Array.from({ length: 1_000 }, (_, i) => ({
      label: 'dag',
      value: `team_${i}_daily_load`,
      rows: 10,
    })),
    since: now - 3_600_000,
    findings,
  });
  const report = (at: number, i: number): Report => ({
    at,
    durationSeconds: 0.25,
    databaseFailure: null,
    s3Failure: null,
    s3Answered: true,
    heard: [],
    told: {
      'xcom.backend': true,
      'xcom.path': true,
      'xcom.threshold': true,
      'xcom.compression': true,
    },
    undecided: {},
    takenBack: [],
    backend: {
      airflow: '3.3',
      schema: 'xcom-jsonb',
      bucket: 'airflow-xcom',
      prefix: 'xcom',
      connection: 'aws_xcom',
      compression: '',
    },
    thresholdBytes: 1_048_576,
    observed: {
      threshold: { above: 1_048_000, atMost: 1_050_000 },
      values: 40,
      objects: 12,
      paths: [{ path: 's3://aws_xcom@airflow-xcom/xcom', rows: 12 }],
      elsewhere: 0,
    },
    canary: { verdict: null, refusals: new Map() },
    oversizeBytes: 1_048_576,
    writes: {},
    increments: Array.from({ length: 20 }, (_, j) => ({
      metric: 'value_bytes',
      storage: j % 3 === 0 ? 'db' : 's3',
      bytes: 4 ** (((i * 7 + j * 3) % 9) + (j % 3 === 0 ? 3 : 8)),
    })),
    window: {
      seconds: 86_400,
      rows: { db: 123_456_789 + i * 100_000, s3: 98_765_432 - i * 50_000, other: 0 },
      bytes: { db: 2 ** 44 + i * 2 ** 36, s3: 2 ** 50, other: 0 },
      oversizeRows: rows,
      oversizeBytes: 2 ** 45,
      broken: { missing: 0, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0 },
      orphanObjects: 12_345_678,
      orphanBytes: 2 ** 40,
      unseenRuns: 0,
      unlistable: { runs: 0, paths: [] },
    },
    states: Object.fromEntries(PROBLEM_CODES.map((code) => [code, 'clear'])) as Report['states'],
    problems: (['worker_bypass', 'objects_missing', 'orphans_growing'] as const).map(problemOf),
    standbyDoubt: null,
    unreadColumns: [],
    pushFault: null,
    lagSeconds: 0,
    coverage: 0.999,
  });
  const steps = (i: number) =>
    (['put', 'head', 'get', 'list', 'delete'] as const).map((operation, j) =>
      i % 50 === j
        ? ({
            operation,
            ok: false,
            seconds: 1,
            reason: 'timeout',
            detail: 'no answer within 5 s',
            said: null,
          } as const)
        : ({ operation, ok: true, seconds: 0.004 * (j + 1) + ((i * 7919) % 13) / 1_000 } as const),
    );
  let history = NO_HISTORY;
  for (let i = 0; i < 240; i += 1) {
    const at = now - (240 - i) * 30_000;
    history = withCycle(history, report(at, i));
    history = withProbe(history, { steps: steps(i), leftoversDeleted: 0 }, at);
  }
  return {
    version: '1.2.3',
    startedAt: now - 7_200_000,
    reloadedAt: null,
    reloading: false,
    cleared: [],
    now,
    leader: true,
    report: report(now - 3_000, 240),
    stale: false,
    everRead: true,
    probe: { steps: steps(1), leftoversDeleted: 0 },
    listing: null,
    clockSkewSeconds: null,
    hasStorage: true,
    jobs: [],
    requests: { sent: 420, ceiling: 500 },
    history,
    settings: Array.from({ length: 25 }, (_, i) => ({
      name: `setting.${i}`,
      flag: '',
      variable: '',
      shown: 'x'.repeat(40),
      origin: i % 2 === 0 ? 'default' : 'airflow',
      from: i % 2 === 0 ? '' : 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD',
    })),
    warnings: [],
    airflowBaseUrl: 'https://airflow.example.com',
    act: null,
  };
}
