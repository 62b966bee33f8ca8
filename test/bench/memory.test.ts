import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { BUCKET } from '../support/plant.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import type { Stage } from '../support/seed.ts';
import { startWatched, WATCHED } from './memory-daemon.ts';
import type { WatchedDaemon } from './memory-daemon.ts';
import { memoryReport } from './memory-report.ts';
import type { Figures, Memory } from './memory-report.ts';
import { buildWindow, writeMore } from './memory-world.ts';
import type { Mix } from './memory-world.ts';
import { profileTable, startProfiler } from './profile.ts';

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
const figures: Figures[] = [];
let profile: { of: string; table: string } | null = null;
let memory: Memory | null = null;
/** The case whose profile is taken, and whose memory is told apart: the newest release of those whose values are references. */
const profiled = inject('cases').findLast(([, mix]) => mix === 'references');

/** How many cycles come at the end, with nothing new in the database. */
const IDLE_CYCLES = 3;
const EVERY_S = 15;

let main = '';
beforeAll(() => {
  execFileSync('npx', ['rolldown', '-c', '--dir', join(folder, 'dist')], { cwd: root });
  symlinkSync(join(root, 'package.json'), join(folder, 'package.json'));
  main = join(folder, 'dist/main.js');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  const text = memoryReport(figures, {
    rows: inject('windowRows'),
    busyCycles: inject('cycles') - 1,
    idleCycles: IDLE_CYCLES,
    profile,
    memory,
  });
  console.log(text);
  const isWhole = figures.length === 2 * inject('cases').length;
  if (inject('writeMemory') && isWhole) writeFileSync(new URL('memory.md', import.meta.url), text);
});

test.each(inject('cases'))('Airflow %s, %s', async (release, mix) => {
  const stage = await buildWindow(postgres(), { release, mix, rows: inject('windowRows') });
  try {
    if (inject('base') !== '')
      await measure(stage, { build: 'base', program: join(inject('base'), 'dist/main.js'), release, mix });
    await measure(stage, { build: 'this', program: main, release, mix });
    if (profiled?.[0] === release && profiled[1] === mix)
      profile = { of: `Airflow ${release}, ${mix}`, table: await profileOf(stage, mix) };
  } finally {
    await stage.close();
  }
});

async function measure(
  stage: Stage,
  { build, program, release, mix }: { build: Figures['build']; program: string; release: string; mix: Mix },
): Promise<void> {
  const statePath = join(folder, `${release}-${mix}-${build}.state`);
  const cycles = inject('cycles');
  let before = await work(stage);
  let asked = 0;
  let serial = 0;
  const daemon = await startWatched(program, WATCHED, {
    ...environment(stage, mix),
    XCOM_EXPORTER_STATE_FILE: statePath,
  });
  const scraping = scrapeOnAndOn(daemon);
  const first = { firstSeconds: 0, firstPages: 0 };
  const idle: number[] = [];
  let rssMb = 0;
  let stallMs = 0;
  try {
    await daemon.stall();
    for (let cycle = 1; cycle <= cycles + IDLE_CYCLES; cycle += 1) {
      let line = null;
      while (line === null || line.began < asked) {
        // A cycle that began before `asked` is counted only in part or not at all: the loop takes the next one
        // instead.
        if (cycle > 1) {
          serial += 1;
          if (cycle <= cycles) await writeMore(stage, { mix, name: `more_${build}_${serial}` });
          // An idle cycle alone: two seconds of scrapes cost more than many a cycle.
          else await scraping.stop();
          before = await work(stage);
          asked = Date.now();
        }
        line = await daemon.nextCycle();
      }
      // The daemon writes the state file after its log line: wait for the file, but not into the next cycle.
      const untilNext = 1_000 * EVERY_S - (Date.now() % (1_000 * EVERY_S));
      await delay(Math.max(0, Math.min(1_500, untilNext - 100)));
      const after = await work(stage);
      const cpuMs = daemon.cpuMs(line.began);
      const { rss, peak } = daemon.memory();
      const stall = await daemon.stall();
      const pages = after.pages - before.pages;
      rssMb = Math.max(rssMb, rss / 1e6, peak / 1e6);
      stallMs = Math.max(stallMs, stall.cpuMs);
      if (cycle === 1) Object.assign(first, { firstSeconds: line.seconds, firstPages: pages });
      if (cycle > cycles) idle.push(cpuMs);
      console.log(
        `${release}, ${mix}, ${build}, cycle ${cycle}: ${line.seconds.toFixed(1)} s, CPU ${cpuMs} ms, ${pages} pages, ${(peak / 1e6).toFixed(0)} MB, stall ${stall.cpuMs.toFixed(0)} ms of CPU`,
      );
      const rows = Object.values(line.rows ?? {}).reduce((sum, count) => sum + count, 0);
      expect(rows).toBeGreaterThanOrEqual(inject('windowRows'));
    }
    const idleCpuMs = idle.toSorted((a, b) => a - b)[Math.floor(idle.length / 2)] ?? Number.NaN;
    if (build === 'this' && profiled?.[0] === release && profiled[1] === mix) memory = await memoryOf(daemon);
    figures.push({ release, mix, build, ...first, idleCpuMs, stallMs, rssMb, p99Ms: scraping.p99() });
  } finally {
    await scraping.stop();
    await daemon.stop();
  }
}

/** Reads what the daemon says of its own memory. */
async function memoryOf({ port }: WatchedDaemon): Promise<Memory> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const mb = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]) / 1e6;
  return {
    resident: mb('process_resident_memory_bytes'),
    heap: mb('nodejs_heap_size_total_bytes'),
    heapUsed: mb('nodejs_heap_size_used_bytes'),
    external: mb('nodejs_external_memory_bytes'),
  };
}

/** Profiles the first cycle and the last ones, in a process that no figure is taken from. */
async function profileOf(stage: Stage, mix: Mix): Promise<string> {
  const profiler = startProfiler();
  const daemon = await startWatched(main, profiler.nodeArguments, {
    ...environment(stage, mix),
    XCOM_EXPORTER_STATE_FILE: join(folder, 'profile.state'),
  });
  try {
    // This profile is dropped: another benchmark measures the start.
    await profiler.next(daemon);
    await daemon.nextCycle();
    const first = await profiler.next(daemon);
    // The second profile is dropped too: it covers writing the state file and the first cycle with nothing new.
    await daemon.nextCycle();
    await profiler.next(daemon);
    for (let cycle = 0; cycle < IDLE_CYCLES; cycle += 1) await daemon.nextCycle();
    const idle = await profiler.next(daemon);
    return profileTable(root, { 'first cycle': [first], [`${IDLE_CYCLES} idle cycles`]: [idle] });
  } finally {
    await daemon.stop();
    profiler.close();
  }
}

function environment(stage: Stage, mix: Mix): Record<string, string> {
  const connection = `aws://${s3().accessKeyId}:${s3().secretAccessKey}@/?region_name=us-east-1&endpoint_url=${encodeURIComponent(s3().endpoint)}`;
  return {
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: stage.url,
    AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@airflow-xcom/base',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: mix === 'oversize' ? '100' : '1000',
    AIRFLOW_CONN_AWS_XCOM: connection,
    XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
    XCOM_EXPORTER_SAMPLE_SCHEDULE: `*/${EVERY_S} * * * * *`,
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
  const times: number[] = [];
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
      const sorted = times.toSorted((a, b) => a - b);
      return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
    },
    async stop() {
      state.going = false;
      await done.catch(() => undefined);
    },
  };
}
