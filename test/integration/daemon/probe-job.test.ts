import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createProbeJob } from '../../../src/daemon/probe-job.ts';
import type { ProbeJob } from '../../../src/daemon/probe-job.ts';
import type { Metrics } from '../../../src/metrics/metrics.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { openDatabase } from '../../../src/postgres/client.ts';
import type { Database } from '../../../src/postgres/client.ts';
import type { ObjectStore, PutAnswer } from '../../../src/s3/client.ts';
import { unknown } from '../../../src/s3/failure.ts';
import { openStores } from '../../../src/s3/stores.ts';
import type { Stores } from '../../../src/s3/stores.ts';
import { requireDatabase } from '../../../src/settings/config.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import type { HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { usePostgres } from '../../support/postgres.ts';
import { recordRequests, useS3 } from '../../support/s3.ts';
import { METRICS_OPTIONS } from '../../support/small-exporter.ts';

const server = useS3('xcom');
const postgres = usePostgres();
const log = pino({ level: 'silent' });
const never = new AbortController().signal;

let proxy: HttpFaultProxy;
let database: Database;
let stores: Stores;
let asked: string[] = [];

beforeEach(async () => {
  proxy = await startHttpFaultProxy({ upstream: server() });
  asked = [];
  refuse(() => false);
});

afterEach(async () => {
  stores.close();
  await database.close();
  await proxy.stop();
});

/** Notes every request as `HEAD /xcom`, and refuses the chosen ones. */
function refuse(isRefused: (method: string) => boolean): void {
  proxy.setFault({
    match: ({ method, path }) => {
      asked.push(`${method} ${path.replace(/\/?(\?.*)?$/, '')}`);
      return isRefused(method);
    },
    answer: 'deny',
  });
}

function probeOf(
  bucket: string,
  change = (store: ObjectStore): ObjectStore => store,
  {
    keys = '',
    setUp = vi.fn<Metrics['setUp']>(),
    publishProbe = vi.fn<Metrics['publishProbe']>(),
    leads = (): boolean => true,
  } = {},
): ProbeJob {
  const { accessKeyId, secretAccessKey, region } = server();
  const endpoint = encodeURIComponent(proxy.url);
  const config = readConfig({
    argv: ['--xcom.path', `s3://aws_xcom@${bucket}/base`, '--database.url', postgres().url],
    env: {
      AIRFLOW_CONN_AWS_XCOM: `aws://${keys || `${accessKeyId}:${secretAccessKey}`}@/?endpoint_url=${endpoint}&region_name=${region}`,
    },
    readFile: () => '',
  });
  database = openDatabase(requireDatabase(config), { lock: null, tables: [] });
  stores = openStores(config.s3, { observer: recordRequests(), log });
  return createProbeJob({
    ...{ config, database, log },
    stores: { ...stores, of: (id) => change(stores.of(id)) },
    metrics: { ...createMetrics(METRICS_OPTIONS), setUp, publishProbe },
    leads,
    probed: () => undefined,
  });
}

/** Runs the job once; gives how often it looked for the bucket itself, and how often it wrote an object. */
async function run(job: ProbeJob, bucket: string): Promise<{ looks: number; puts: number }> {
  asked = [];
  await job.run(never);
  return {
    looks: asked.filter((one) => one === `HEAD /${bucket}`).length,
    // The probe tries the listing once, with objects of its own; these are left out.
    puts: asked.filter((one) => one.startsWith('PUT ') && !one.includes('-list/')).length,
  };
}

test('the bucket is looked for before each write', async () => {
  const job = probeOf('xcom');
  for (let probes = 0; probes < 2; probes += 1) expect(await run(job, 'xcom')).toEqual({ looks: 1, puts: 1 });
  refuse((method) => method === 'DELETE');
  expect(await run(job, 'xcom')).toEqual({ looks: 1, puts: 1 });
});

test('without credentials nothing is asked of S3, and no metric says that it failed', async () => {
  for (const name of ['AWS_SHARED_CREDENTIALS_FILE', 'AWS_CONFIG_FILE']) vi.stubEnv(name, '/nowhere');
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  const setUp = vi.fn<Metrics['setUp']>();
  const publishProbe = vi.fn<Metrics['publishProbe']>();
  const job = probeOf('xcom', undefined, { keys: ':', setUp, publishProbe });
  const ending = await job.run(never);
  vi.unstubAllEnvs();
  expect(asked).toEqual([]);
  expect(ending).toMatchObject({ reason: 'denied' });
  expect(setUp.mock.lastCall).toEqual(['s3', null]);
  expect(publishProbe.mock.lastCall?.[0].steps).toEqual([]);
  // The problem not_watching rests on it.
  expect(job.latest().result?.steps.some(({ ok }) => ok === false)).toBe(true);
});

test('a probe that ends after the lead was lost shows nothing', async () => {
  const publishProbe = vi.fn<Metrics['publishProbe']>();
  const setUp = vi.fn<Metrics['setUp']>();
  let isLeader = true;
  const losing = (store: ObjectStore): ObjectStore => ({
    ...store,
    delete: (object, signal) => {
      isLeader = false;
      return store.delete(object, signal);
    },
  });
  const job = probeOf('xcom', losing, { setUp, publishProbe, leads: () => isLeader });
  expect(await job.run(never)).toBe('idle');
  expect(asked.some((one) => one.startsWith('DELETE '))).toBe(true);
  expect([job.latest().result, publishProbe.mock.calls, setUp.mock.calls]).toEqual([null, [], []]);
});

test('how the bucket is listed is known from the first probe that works on', async () => {
  const job = probeOf('xcom');
  refuse((method) => method === 'DELETE');
  await job.run(never);
  expect(job.listing()).toBeNull();
  refuse(() => false);
  await job.run(never);
  expect(job.listing()?.kind).toBe('lacking');
});

test('a refusal to delete versions is tried again after an hour', async () => {
  const clock = vi.spyOn(performance, 'now');
  const began = performance.now();
  const erased: boolean[] = [];
  let mayErase = false;
  const versioned = (store: ObjectStore): ObjectStore => ({
    ...store,
    put: async (object, signal) => ({ ...(await store.put(object, signal)), version: 'v1' }) as PutAnswer,
    delete: async (object, signal) => {
      if (object.version !== undefined) erased.push(mayErase);
      if (object.version !== undefined && !mayErase) return unknown('denied', 'AccessDenied (403)', 's3');
      return store.delete({ bucket: object.bucket, key: object.key }, signal);
    },
  });
  const job = probeOf('xcom', versioned);
  const runAt = async (minute: number): Promise<number> => {
    clock.mockReturnValue(began + minute * 60_000);
    erased.length = 0;
    await job.run(never);
    return erased.length;
  };
  try {
    // The first run also tries it once for the objects of the listing.
    expect(await runAt(0)).toBe(2);
    expect([await runAt(1), await runAt(59)]).toEqual([0, 0]);
    expect([await runAt(60), await runAt(61)]).toEqual([1, 0]);
    mayErase = true;
    expect([await runAt(121), await runAt(122)]).toEqual([1, 1]);
  } finally {
    clock.mockRestore();
  }
});

test('how the clocks differ is known from the first answer on', async () => {
  const job = probeOf('xcom');
  expect(job.clockSkewSeconds()).toBeNull();
  await job.run(never);
  expect(job.clockSkewSeconds()).toBe(0);
});

test('nothing is written to a bucket that is not there, until it is', async () => {
  const job = probeOf('late');
  for (let probes = 0; probes < 2; probes += 1) expect(await run(job, 'late')).toEqual({ looks: 1, puts: 0 });
  await server().createBucket('late');
  expect(await run(job, 'late')).toEqual({ looks: 1, puts: 1 });
  expect(await run(job, 'late')).toEqual({ looks: 1, puts: 1 });
});
