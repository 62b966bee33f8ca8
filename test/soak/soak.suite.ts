import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Scrape } from '../support/contract.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import { valueOf } from '../faults/watch.ts';
import { startWorld } from '../faults/world.ts';
import type { World } from '../faults/world.ts';
import { plot } from './plot.ts';
import { least, toCsv, trend } from './series.ts';
import type { Point } from './series.ts';

const minutes = Number(process.env['SOAK_MINUTES'] ?? 60);
const main = process.env['DAEMON_MAIN'];
const EVERY_SECONDS = 10;
/** The window is short, so that rows leave it as others come: only then does the memory have a level to hold. */
const WINDOW_MINUTES = Math.max(1, Math.min(10, Math.floor(minutes / 6)));
const WARM_UP_MINUTES = WINDOW_MINUTES * 1.5;
/** This rate writes 10,000 rows in a cycle. */
const RATE = { everyMs: 430, rowsPerBatch: 500, referenceEvery: 50, batchesPerRun: 20 };
const FAULT_SECONDS = 12;
const FAULT_EVERY_SECONDS = Math.min(180, minutes * 15);
const here = new URL('.', import.meta.url);

interface Fault {
  readonly name: string;
  begin(world: World): Promise<void> | void;
  end(world: World): Promise<void> | void;
}

const FAULTS: readonly Fault[] = [
  {
    name: 'postgres restart',
    begin: ({ cluster }) => cluster.primary().stop('fast'),
    end: ({ cluster }) => cluster.primary().start(),
  },
  {
    name: 's3 503',
    begin: ({ http }) => {
      http.setFault({ answer: 'slow_down' });
    },
    end: ({ http }) => {
      http.setFault(null);
    },
  },
  {
    name: 'postgres refuses',
    begin: ({ database }) => {
      database.setMode({ kind: 'refuse' });
    },
    end: ({ database }) => {
      database.setMode({ kind: 'pass' });
    },
  },
  {
    name: 's3 stalls',
    begin: ({ http }) => {
      http.setFault({ answer: 'stall' });
    },
    end: ({ http }) => {
      http.setFault(null);
    },
  },
  {
    name: 'reload',
    begin: (world) => {
      world.daemon().signal('SIGHUP');
    },
    end: () => undefined,
  },
];

function pointOf(scrape: Scrape, world: World): Omit<Point, 'seconds' | 'fault'> {
  const own = (name: string, labels: Readonly<Record<string, string>> = {}) =>
    (scrape.get(name)?.samples ?? [])
      .filter((sample) => Object.entries(labels).every(([label, text]) => sample.labels[label] === text))
      .reduce((sum, { value }) => sum + value, 0);
  const counted = valueOf(scrape, 'rows_total') ?? 0;
  return {
    rss: own('process_resident_memory_bytes') / 2 ** 20,
    heap: own('nodejs_heap_size_used_bytes') / 2 ** 20,
    heapTotal: own('nodejs_heap_size_total_bytes') / 2 ** 20,
    external: own('nodejs_external_memory_bytes') / 2 ** 20,
    fds: own('process_open_fds'),
    handles: own('nodejs_active_resources'),
    lagP99: own('nodejs_eventloop_lag_p99_seconds') * 1_000,
    cycle: valueOf(scrape, 'exporter_job_duration_seconds', { name: 'sample' }) ?? 0,
    windowRows: valueOf(scrape, 'window_rows') ?? 0,
    planned: world.writer.rows(),
    counted,
  };
}

/** Does what Airflow's `db clean` does: deletes the rows that have left the window. */
async function clean(world: World): Promise<void> {
  const database = await openWriter({ url: world.cluster.primary().url('airflow'), connections: 1 }).catch(
    () => null,
  );
  try {
    await database?.query(
      `DELETE FROM dag_run WHERE state = 'success' AND end_date < now() - interval '${2 * WINDOW_MINUTES} minutes'`,
    );
  } catch {
    // The database is down just now: the next call tries again.
  } finally {
    await database?.close();
  }
}

test(`${minutes} minutes`, async () => {
  if (main === undefined) throw new Error('Start it by `npm run soak`: DAEMON_MAIN names the built daemon');
  const world = await startWorld({
    main,
    everySeconds: EVERY_SECONDS,
    rate: RATE,
    scrapeEveryMs: 1_000,
    env: { XCOM_EXPORTER_WINDOW: `${WINDOW_MINUTES}m` },
  });
  const points: Point[] = [];
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1_000;
  let current: string | null = null;
  const state = { stopped: false };

  const faults = (async () => {
    for (let index = 0; ; index += 1) {
      const at = (index + 1) * FAULT_EVERY_SECONDS;
      while (elapsed() < at && !state.stopped) await delay(200);
      // No fault begins in the last minutes, so that the exporter can catch up.
      if (state.stopped || elapsed() > minutes * 60 - 2 * FAULT_SECONDS) return;
      const fault = FAULTS[index % FAULTS.length];
      if (fault === undefined) return;
      current = fault.name;
      await fault.begin(world);
      await delay(FAULT_SECONDS * 1_000);
      await fault.end(world);
      current = null;
      await clean(world);
    }
  })();

  try {
    mkdirSync(here, { recursive: true });
    while (elapsed() < minutes * 60) {
      await delay(EVERY_SECONDS * 1_000);
      points.push({ seconds: elapsed(), fault: current, ...pointOf(world.watch.scrape(), world) });
      // The points so far are kept in case the run breaks off.
      writeFileSync(new URL('soak.csv', here), toCsv(points));
      expect(world.daemon().ended(), 'the daemon runs').toBe(false);
    }
    state.stopped = true;
    await faults;
    const slowest = world.watch.takeSlowest();
    const difference = await world.compare(120);
    const after = points.filter(({ seconds }) => seconds > WARM_UP_MINUTES * 60);
    const rss = trend(after, 'rss');
    const fds = least(after, 'fds');
    const lag = trend(after, 'lagP99');
    const summary = [
      `${minutes} min, ${world.writer.rows()} rows, ${EVERY_SECONDS} s a cycle, window ${WINDOW_MINUTES} min`,
      `rows lost ${difference.lost}, doubled ${difference.doubled}; slowest of ${slowest.scrapes} scrapes ${slowest.netMs.toFixed(0)} ms (${slowest.ms.toFixed(0)} with what the machine had no core for)`,
      `counters that are not as written: ${difference.wrong.length === 0 ? 'none' : difference.wrong.join('; ')}`,
      `RSS, MiB: median of the first third after ${WARM_UP_MINUTES} min ${rss.first.toFixed(0)}, of the last ${rss.last.toFixed(0)}, slope ${rss.slopePerHour.toFixed(1)} an hour`,
      `file descriptors, the fewest: ${fds.first.toFixed(0)}, then ${fds.last.toFixed(0)}; event-loop lag p99, ms: ${lag.first.toFixed(1)}, then ${lag.last.toFixed(1)}`,
    ];
    writeFileSync(new URL('soak.csv', here), toCsv(points));
    writeFileSync(
      new URL('soak.svg', here),
      plot(points, { title: summary, warmUpSeconds: WARM_UP_MINUTES * 60 }),
    );
    writeFileSync(new URL('RESULTS.md', here), report(summary));

    expect(slowest.failed, 'scrapes without an answer').toBe(0);
    expect(difference.wrong).toEqual([]);
    expect(rss.last, 'RSS').toBeLessThanOrEqual(rss.first * 1.1 + 10);
    expect(fds.last, 'file descriptors').toBeLessThanOrEqual(fds.first + 8);
    expect(lag.last, 'event-loop lag').toBeLessThanOrEqual(lag.first * 2 + 20);
  } finally {
    state.stopped = true;
    await faults.catch(() => undefined);
    await world.close();
  }
});

function report(summary: readonly string[]): string {
  return `# The long run

Written by \`npm run soak\`; every figure is in [soak.csv](soak.csv), drawn in [soak.svg](soak.svg).

${summary.map((line) => `- ${line}`).join('\n')}

Rule: after one and a half windows, when as many rows leave the window as enter it, the median RSS of the last third of
the time is at most a tenth and 10 MiB above that of the first third; the fewest open file descriptors are at most 8 more; the p99 of
the event-loop lag is at most twice that and 20 ms. Every counter equals what was written.
`;
}
