import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clockFile, FAULTS, isThere } from './catalogue.ts';
import type { Fault } from './catalogue.ts';
import type { Holdings } from './daemon-process.ts';
import { writeResults } from './results.ts';
import type { Result } from './results.ts';
import { valueOf } from './watch.ts';
import { startWorld } from './world.ts';
import type { World } from './world.ts';

const EVERY_SECONDS = 5;
/**
 * A fault shows within two intervals. A request that hangs or is slow shows only when it is given up, after 10 s or
 * more.
 */
const SHOWN_SECONDS = 2 * EVERY_SECONDS + 1;
const HANGS_SECONDS = 12;
const HANGS = /slow|never answers|stops in the middle/i;
const KILLS = 6;
const RATE = { everyMs: 400, rowsPerBatch: 10, referenceEvery: 5, batchesPerRun: 20 };
const main = process.env['DAEMON_MAIN'];

let world: World | null = null;
const results: Result[] = [];
let first: Holdings | null = null;
let rowsAtFirst = 0;

beforeAll(async () => {
  if (main === undefined)
    throw new Error('Start it by `npm run test:faults`: DAEMON_MAIN names the built daemon');
  world = await startWorld({ main, everySeconds: EVERY_SECONDS, rate: RATE, scrapeEveryMs: 100 });
  writeFileSync(clockFile(world), '+0\n');
  await delay(10_000);
  first = await world.daemon().look();
  rowsAtFirst = world.writer.rows();
}, 120_000);

afterAll(async () => {
  if (world !== null && results.length >= FAULTS.length)
    writeResults(new URL('RESULTS.md', import.meta.url), {
      results,
      everySeconds: EVERY_SECONDS,
      rows: world.writer.rows(),
      storage: world.storage.name,
    });
  await world?.close();
}, 60_000);

function there(): World {
  if (world === null) throw new Error('There is no world');
  return world;
}

/** Whether all is well again: a cycle and a probe that began after `since`, epoch ms, have succeeded. */
function recovered({ watch }: World, since: number): boolean {
  const success = (job: string) =>
    (watch.value('exporter_job_last_success_timestamp_seconds', { name: job }) ?? 0) * 1_000;
  return (
    success('sample') > since &&
    success('probe') > since &&
    watch.value('exporter_up', { target: 'database' }) === 1 &&
    watch.value('exporter_up', { target: 's3' }) === 1 &&
    watch.value('problem', { problem: 'bucket_unreachable' }) === 0 &&
    watch.value('problem', { problem: 'not_watching' }) === 0 &&
    watch.value('problem', { problem: 'write_denied' }) === 0
  );
}

/** Seconds until the check holds, or null when it does not hold in time. */
async function until(check: () => boolean, seconds: number): Promise<number | null> {
  const start = performance.now();
  for (;;) {
    const took = (performance.now() - start) / 1_000;
    if (check()) return took;
    if (took > seconds) return null;
    await delay(50);
  }
}

// Each fault finds the daemon as the fault before has left it.
describe('a daemon of minutes', { concurrent: false }, () => {
  test.for(FAULTS)('$name', async (fault: Fault, { skip }) => {
    const on = there();
    if (!isThere(fault.needs, on)) {
      const why = `needs ${fault.needs ?? ''}`;
      results.push({ name: fault.name, notRun: why });
      skip(why);
    }
    on.watch.takeSlowest();
    const before = await on.watch.next();
    await fault.begin(on);
    let seen: string | null = null;
    const toShow = await until(() => {
      seen ??= fault.seen(on.watch.scrape(), before, on);
      return seen !== null;
    }, 40);
    // A fault usually lasts longer than until it was seen.
    await delay(1_000);
    const endedAt = Date.now();
    await fault.end(on);
    const toRecover = await until(() => recovered(on, endedAt), 60);
    const { lost, doubled, wrong } = await on.compare(60);
    const holds = await on.daemon().look();
    const slowest = on.watch.takeSlowest();
    results.push({ name: fault.name, seen, toShow, toRecover, lost, doubled, slowest, holds });

    expect(wrong, 'counters that are not as planned').toEqual([]);
    expect(seen, 'what the metrics say').not.toBeNull();
    expect(toShow).toBeLessThanOrEqual(SHOWN_SECONDS + (HANGS.test(fault.name) ? HANGS_SECONDS : 0));
    expect(toRecover).not.toBeNull();
    expect(slowest.failed, 'scrapes without an answer').toBe(0);
    expect(slowest.netMs, 'the slowest scrape').toBeLessThan(100 + slowest.idleNetMs);
    expect(holds.sockets, 'sockets').toBeLessThanOrEqual((first?.sockets ?? 0) + 20);
    expect(holds.timers, 'timers').toBeLessThanOrEqual((first?.timers ?? 0) + 10);
  });

  test('leaves nothing behind', () => {
    const on = there();
    const last = results.findLast((result) => 'holds' in result && !result.name.startsWith('Clock'));
    if (last === undefined || !('holds' in last) || first === null) throw new Error('Nothing was measured');
    expect(last.holds.sockets).toBeLessThanOrEqual(first.sockets + 6);
    expect(last.holds.fds).toBeLessThanOrEqual(first.fds + 6);
    expect(last.holds.timers).toBeLessThanOrEqual(first.timers + 6);
    // The exporter remembers each row of the window.
    const rows = on.writer.rows() - rowsAtFirst;
    expect(last.holds.heap - first.heap).toBeLessThan(12 * 2 ** 20 + rows * 2_000);
  });

  test('SIGKILL at any moment, and a start with the state file', async () => {
    const on = there();
    on.watch.takeSlowest();
    let lost = 0;
    let doubled = 0;
    const wrong: string[] = [];
    let slowestRecovery = 0;
    for (let kill = 0; kill < KILLS; kill += 1) {
      await delay(2_000 + Math.random() * 2 * EVERY_SECONDS * 1_000);
      const at = Date.now();
      await on.restart('SIGKILL', { asSoonAsCounted: kill % 2 === 1 });
      const took = await until(() => recovered(on, at), 60);
      expect(took).not.toBeNull();
      slowestRecovery = Math.max(slowestRecovery, took ?? 0);
      const found = await on.compare(60);
      lost += found.lost;
      doubled += found.doubled;
      wrong.push(...found.wrong);
    }
    // prettier-ignore
    results.push({ name: `SIGKILL, ${KILLS} times: at random, and as soon as it has counted`, seen: 'the process is gone: `up` of the scrape is 0', toShow: 0,
      toRecover: slowestRecovery, lost, doubled, slowest: on.watch.takeSlowest(), holds: await on.daemon().look() });
    expect(wrong).toEqual([]);
  });

  test('says no secret in anything it wrote', () => {
    const on = there();
    const said = on.daemon().lines.join('\n');
    expect(said).not.toContain(on.storage.secretAccessKey);
    expect(said).not.toMatch(/:first@/);
    expect(valueOf(on.watch.scrape(), 'rows_total')).toBeGreaterThan(0);
  });
});
