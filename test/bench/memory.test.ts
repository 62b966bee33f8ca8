import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { BUCKET } from '../support/plant.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import type { Stage } from '../support/seed.ts';
import { startWatched } from './memory-daemon.ts';
import type { WatchedDaemon } from './memory-daemon.ts';
import { buildWindow, ROWS, writeMore } from './memory-world.ts';
import type { Mix } from './memory-world.ts';

const postgres = useOwnPostgres({
  // Millions of rows belong on a disk, not in memory.
  dir: tmpdir(),
  settings: {
    shared_buffers: '512MB',
    maintenance_work_mem: '256MB',
    autovacuum: 'off',
    max_wal_size: '8GB',
    track_io_timing: 'on',
  },
});
const s3 = useS3(BUCKET);
const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'bench-memory-'));
const lines: string[] = [];

/** Resident at any moment. What a scrape waits is shown; `npm run bench:scrape` has the bar. */
const RSS_MB = 200;

/** At the end, with nothing new in the database. */
const IDLE_CYCLES = 3;

let main = '';
beforeAll(() => {
  if (inject('built') !== '') {
    main = join(inject('built'), 'main.js');
    return;
  }
  execFileSync('npx', ['rolldown', '-c', '--dir', join(folder, 'dist')], { cwd: root });
  symlinkSync(join(root, 'package.json'), join(folder, 'package.json'));
  main = join(folder, 'dist/main.js');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  const text = [
    '| Airflow | values | cycle | seconds | CPU, ms | RSS after, MB | highest, MB | stall, ms | of CPU, ms | /metrics p99, ms | pages | rows read | state, MB |',
    '|---|---|---|---|---|---|---|---|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
  console.log(text);
  if (inject('writeMemory')) writeFileSync(new URL('memory.md', import.meta.url), text);
});

test.each(inject('cases'))('Airflow %s, %s', async (release, mix) => {
  const stage = await buildWindow(postgres(), { release, mix });
  const statePath = join(folder, `${release}-${mix}.state`);
  const daemon = await startWatched(main, {
    ...environment(stage, mix),
    XCOM_EXPORTER_STATE_FILE: statePath,
  });
  const scraping = scrapeOnAndOn(daemon);
  let highest = 0;
  try {
    await daemon.stall();
    daemon.memory();
    const cycles = inject('cycles');
    for (let cycle = 1; cycle <= cycles + IDLE_CYCLES; cycle += 1) {
      const before = await work(stage);
      const line = await daemon.nextCycle();
      const began = Date.now() - 1_000 * line.seconds;
      // The state file is written after the line.
      await delay(1_500);
      const after = await work(stage);
      const cpuMs = daemon.cpuMs(began);
      const { rss, peak } = daemon.memory();
      const stall = await daemon.stall();
      const p99 = scraping.p99();
      highest = Math.max(highest, rss, peak);
      const mb = (bytes: number) => (bytes / 1e6).toFixed(0);
      const stateBytes = statSync(statePath, { throwIfNoEntry: false })?.size ?? 0;
      lines.push(
        `| ${[release, mix, cycle > cycles ? `${cycle}, idle` : cycle, line.seconds.toFixed(1), cpuMs, mb(rss), mb(peak), stall.ms.toFixed(0), stall.cpuMs.toFixed(0), p99.toFixed(0), after.pages - before.pages, after.rows - before.rows, mb(stateBytes)].join(' | ')} |`,
      );
      console.log(lines.at(-1));
      const rows = Object.values(line.rows ?? {}).reduce((sum, count) => sum + count, 0);
      expect(rows).toBeGreaterThanOrEqual(ROWS);
      if (cycle < cycles) await writeMore(stage, { mix, name: `more_${cycle}` });
    }
  } finally {
    await scraping.stop();
    await daemon.stop();
    await stage.close();
  }
  expect.soft(highest / 1e6, 'RSS, MB').toBeLessThan(RSS_MB);
});

function environment(stage: Stage, mix: Mix): Record<string, string> {
  const connection = `aws://${s3().accessKeyId}:${s3().secretAccessKey}@/?region_name=us-east-1&endpoint_url=${encodeURIComponent(s3().endpoint)}`;
  return {
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: stage.url,
    AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@airflow-xcom/base',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: mix === 'oversize' ? '100' : '1000',
    AIRFLOW_CONN_AWS_XCOM: connection,
    XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
    XCOM_EXPORTER_SAMPLE_SCHEDULE: '*/15 * * * * *',
    XCOM_EXPORTER_PROBE_SCHEDULE: '0 0 * * * *',
  };
}

/** Pages touched and rows read by all sessions so far. */
async function work(stage: Stage): Promise<{ pages: number; rows: number }> {
  const [row] = await stage.writer.query<{ pages: number; rows: number }>(/* SQL */ `
    SELECT (blks_hit + blks_read)::float8 AS pages, tup_returned::float8 AS rows
    FROM pg_stat_database WHERE datname = current_database()`);
  return row ?? { pages: 0, rows: 0 };
}

/** Twenty scrapes a second, one after the other. */
function scrapeOnAndOn(daemon: WatchedDaemon): { p99(): number; stop(): Promise<void> } {
  let times: number[] = [];
  const state = { going: true };
  const done = (async () => {
    while (state.going) {
      const start = performance.now();
      const answer = await fetch(`http://127.0.0.1:${daemon.port}/metrics`);
      await answer.arrayBuffer();
      times.push(performance.now() - start);
      await delay(50);
    }
  })();
  return {
    p99() {
      const sorted = times.sort((a, b) => a - b);
      times = [];
      return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
    },
    async stop() {
      state.going = false;
      await done.catch(() => undefined);
    },
  };
}
