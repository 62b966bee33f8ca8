import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createFreshness } from '../../../src/daemon/freshness.ts';
import { createSampleJob } from '../../../src/daemon/sample-job.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import type { Database } from '../../../src/postgres/client.ts';
import { DatabaseError } from '../../../src/postgres/failure.ts';
import type { ProbeResult, ProbeStep } from '../../../src/probe/bucket.ts';
import { unknown } from '../../../src/s3/failure.ts';
import type { Stores } from '../../../src/s3/stores.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { METRICS_OPTIONS } from '../../support/small-exporter.ts';

const never = new AbortController().signal;
const OPERATIONS = ['put', 'head', 'get', 'list', 'delete'] as const;

/** A probe in which every operation works but those that are denied. */
function probeWith(denied: readonly string[]): ProbeResult {
  const steps = OPERATIONS.map((operation): ProbeStep => {
    const { reason, detail, said } = unknown('denied', 'AccessDenied (403)', 's3');
    return denied.includes(operation)
      ? { operation, ok: false, seconds: 0, reason, detail, said: { ...said, cause: 'permission' } }
      : { operation, ok: true, seconds: 0 };
  });
  return {
    steps,
    leftoversDeleted: 0,
    asker: 'workers',
    othersWriteFrom: null,
    othersReachFrom: null,
    writesFailSince: null,
  };
}

test('a problem that is raised or cleared is written at once, although nothing was counted', async () => {
  const written: string[][] = [];
  let probed = { result: probeWith([]), at: 1, store: null };
  const metrics = createMetrics(METRICS_OPTIONS);
  const away = new DatabaseError('unreachable', 'Cannot reach the database', null);
  const job = createSampleJob({
    config: readConfig({ argv: ['--xcom.path=s3://aws@bucket/xcom'], env: {}, readFile: () => '' }),
    database: { read: () => Promise.reject(away) } as unknown as Database,
    stores: { sent: () => 0 } as unknown as Stores,
    stored: { read: () => Promise.resolve(new Map()), warnings: () => [], pushFaults: () => [] },
    before: null,
    stateFile: {
      read: () => Promise.resolve(null),
      unused: () => null,
      changed: () => Promise.resolve(false),
      seenMs: () => 0,
      write: ({ problems }, whenWritten) => {
        written.push(Object.keys(problems));
        whenWritten?.();
        return Promise.resolve();
      },
    },
    metrics,
    jobs: { finished: () => undefined, skipped: () => undefined },
    freshness: createFreshness({ onRenew: () => undefined, onStale: () => undefined }),
    probed: () => probed,
    leads: () => Promise.resolve({ leads: true, failure: null }),
    sampled: () => undefined,
    log: pino({ level: 'silent' }),
  });
  const writtenBy = async (result: ProbeResult, at: number) => {
    probed = { result, at, store: null };
    written.length = 0;
    await job.run(never);
    return [...written];
  };
  // The first cycle writes in any case.
  expect(await writtenBy(probeWith([]), 1)).toEqual([[]]);
  expect(await writtenBy(probeWith([]), 2)).toEqual([]);
  expect(await writtenBy(probeWith(['put']), 3)).toEqual([['write_denied']]);
  expect(await writtenBy(probeWith(['put']), 4)).toEqual([]);
  expect(await writtenBy(probeWith([]), 5)).toEqual([[]]);
  expect(await writtenBy(probeWith([]), 6)).toEqual([]);
});
