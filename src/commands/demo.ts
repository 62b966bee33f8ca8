import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Logger } from 'pino';
import { NO_PROXIES } from '../s3/agents.ts';
import { startExporter } from '../daemon/exporter.ts';
import { playActs } from '../demo/acts.ts';
import { AIRFLOW_SCHEMA } from '../demo/airflow-schema.ts';
import { startCanary } from '../demo/canary.ts';
import { startPostgres } from '../demo/embedded-postgres.ts';
import type { EmbeddedS3 } from '../demo/embedded-s3.ts';
import { startS3 } from '../demo/embedded-s3.ts';
import { deny, startHttpFaultProxy } from '../demo/fault-proxy.ts';
import { startWorkload } from '../demo/workload.ts';
import { basePath } from '../demo/xcom-backend.ts';
import { createLogger } from '../lib/log.ts';
import { secret } from '../lib/secret.ts';
import { openWriter } from '../postgres/writer.ts';
import type { ObjectStore } from '../s3/client.ts';
import { openObjectStore } from '../s3/client.ts';
import type { Config } from '../settings/config.ts';
import { ConfigError } from '../settings/config.ts';
import { readConfig } from '../settings/read-config.ts';
import type { CommandIo } from './command.ts';

const base = { connection: 'aws_xcom', bucket: 'airflow-xcoms', prefix: 'xcom' };
/** Bytes. Far from the sizes of the workload's values on either side. */
const threshold = 10_240;
const windowSeconds = 180;
const leastActSeconds = 8;

interface DemoOptions {
  readonly actSeconds: number;
  readonly once: boolean;
  /** The arguments that are left for the exporter's settings. */
  readonly argv: readonly string[];
}

interface DemoPace {
  readonly secondsBetweenRuns: number;
  readonly sampleSeconds: number;
  readonly probeSeconds: number;
}

/** The values that a worker of this Airflow has in its environment. */
interface Deployment {
  readonly databaseUrl: string;
  readonly s3: Pick<EmbeddedS3, 'accessKeyId' | 'secretAccessKey' | 'region' | 'endpoint'>;
}

/**
 * The whole product on one machine: a Postgres with Airflow's tables, an S3, a workload, and the exporter on top. The
 * workload writes XComs as Airflow does and falls into one failure after another. The demo runs until a signal comes
 * or, with `--once`, until every failure was played.
 *
 * @throws {ConfigError} when a flag is wrong.
 * @throws {Error} when a server does not start, e.g. because the development dependencies are not installed.
 */
export async function demoCommand(io: CommandIo): Promise<number> {
  const options = readOptions(io.argv);
  // A wrong setting is reported before any server is started.
  const config = demoConfig(io, { ...options, threshold, deployment: nowhere });
  const log = createLogger(config.log, { write: io.stdout });
  const closers: (() => void | Promise<void>)[] = [];
  try {
    await perform(io, { ...options, log, onClose: (close) => closers.push(close) });
  } catch (error) {
    if (!io.signal.aborted) throw error;
  } finally {
    for (const close of closers.reverse()) {
      try {
        await close();
      } catch (err) {
        log.warn({ err }, 'a part of the demo did not close');
      }
    }
  }
  for (const line of NEXT) log.info(line);
  return 0;
}

/** Shown at the end: somebody who has seen the demo wants to look at an Airflow of their own. */
const NEXT = [
  'that was the demo, and everything that it started has ended',
  'next: write what a worker knows into worker.env (README.md, "Run it beside your Airflow"), and let `check` read it: docs/install.md, "Check it"',
  'next: docs/runbook.md says what each problem means, grafana/README.md has the dashboards and alerts',
];

async function perform(
  io: CommandIo,
  options: DemoOptions & { log: Logger; onClose: (close: () => void | Promise<void>) => void },
): Promise<void> {
  const { signal } = io;
  const { log, onClose, actSeconds, once } = options;
  const pace = paceOf(actSeconds);
  log.info('starting a Postgres with the tables of Airflow, an S3 server, a workload and the exporter');
  const postgres = await startPostgres({ dir: tmpdir(), port: null, settings: {}, log });
  onClose(() => postgres.stop());
  signal.throwIfAborted();
  const s3 = await startS3({ log });
  onClose(() => s3.stop());
  await s3.createBucket(base.bucket);
  const proxy = await startHttpFaultProxy({ upstream: s3 });
  onClose(() => proxy.stop());
  signal.throwIfAborted();

  const database = await openWriter({ url: postgres.url });
  onClose(() => database.close());
  await database.query(AIRFLOW_SCHEMA);
  const asAirflow = openStore({ ...s3, endpoint: proxy.url }, log);
  onClose(() => {
    asAirflow.close();
  });
  const pastAirflow = openStore(s3, log);
  onClose(() => {
    pastAirflow.close();
  });
  signal.throwIfAborted();

  let exporterThreshold = threshold;
  let act: string | null = null;
  const deployment = { databaseUrl: postgres.url, s3: { ...s3, endpoint: proxy.url } };
  const currentConfig = (): Config =>
    demoConfig(io, { ...options, threshold: exporterThreshold, deployment });
  const exporter = await startExporter(currentConfig(), {
    log,
    version: io.version,
    readConfig: currentConfig,
    // An act may be over sooner than five seconds after the one before.
    reloadsApartMs: 0,
    act: () => act,
  });
  onClose(() => exporter.close());
  const workload = startWorkload({
    database,
    objects: asAirflow,
    base,
    log,
    threshold,
    secondsBetweenRuns: pace.secondsBetweenRuns,
    keepSeconds: 2 * windowSeconds,
  });
  onClose(() => workload.stop());
  const canary = startCanary({
    database,
    objects: asAirflow,
    base,
    log,
    threshold: (queue) => workload.threshold(queue),
    secondsBetweenRuns: pace.sampleSeconds,
  });
  onClose(() => canary.stop());

  const url = `http://${currentConfig().web.host || 'localhost'}:${exporter.port}/`;
  log.info(
    { url },
    `the demo is up: open ${url} for the status page, ${url}metrics for the metrics; Ctrl+C ends everything`,
  );
  await playActs(
    {
      workload,
      bucket: { objects: pastAirflow, name: base.bucket },
      denyWrites: (denied) => {
        proxy.setFault(denied ? { match: ({ kind }) => kind === 'put', answer: deny } : null);
      },
      setExporterThreshold: async (bytes) => {
        exporterThreshold = bytes;
        const answer = await exporter.reload();
        if (!answer.ok) throw new Error(`Cannot reload the exporter: ${answer.problems.join('; ')}`);
      },
      withoutCanary: (change) => canary.silentWhile(change),
      threshold,
      holdSeconds: pace.sampleSeconds + 1,
    },
    {
      actSeconds,
      once,
      signal,
      log,
      onAct: (text) => {
        act = text;
      },
    },
  );
}

/** Short acts are watched more closely, so that each problem is seen to come and to go. */
function paceOf(actSeconds: number): DemoPace {
  const longest = (choices: readonly number[], limit: number): number =>
    choices.findLast((choice) => choice <= limit) ?? 1;
  return {
    secondsBetweenRuns: Math.min(2, actSeconds / 10),
    // Divisors of 60: a cron expression starts anew with each minute.
    sampleSeconds: longest([1, 2, 5], actSeconds / 8),
    probeSeconds: longest([1, 2, 5, 10], actSeconds / 4),
  };
}

function readOptions(argv: readonly string[]): DemoOptions {
  const rest: string[] = [];
  const problems: string[] = [];
  let once = false;
  let actSeconds = 40;
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? '';
    const flag = /^--act-seconds(?:=(.*))?$/s.exec(argument);
    if (argument === '--once') once = true;
    else if (flag !== null) {
      const text = flag[1] ?? argv[(index += 1)] ?? '';
      actSeconds = Number(text);
      if (!/^\d{1,6}$/.test(text) || actSeconds < leastActSeconds)
        problems.push(
          `--act-seconds: ${JSON.stringify(text)} is not a whole number of at least ${leastActSeconds}`,
        );
    } else rest.push(argument);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { once, actSeconds, argv: rest };
}

/** Stands in for the servers, so that the settings can be read before these are known. */
const nowhere: Deployment = {
  databaseUrl: 'postgresql://airflow@localhost/airflow',
  s3: { accessKeyId: 'key', secretAccessKey: 'secret', region: 'us-east-1', endpoint: 'http://localhost' },
};

/**
 * The exporter's settings, read as `run` reads them: flags of the user take precedence over variables like a worker's.
 */
function demoConfig(
  io: Pick<CommandIo, 'env' | 'isTty'>,
  options: { argv: readonly string[]; actSeconds: number; threshold: number; deployment: Deployment },
): Config {
  const { databaseUrl, s3 } = options.deployment;
  const { sampleSeconds, probeSeconds } = paceOf(options.actSeconds);
  const region = encodeURIComponent(s3.region);
  const key = `${encodeURIComponent(s3.accessKeyId)}:${encodeURIComponent(s3.secretAccessKey)}`;
  const own = Object.entries(io.env).filter(([name]) => /^XCOM_EXPORTER_(WEB|LOG)_/.test(name));
  return readConfig({
    argv: options.argv,
    ownFlags: ['--once', '--act-seconds'],
    env: {
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: databaseUrl.replace(/^postgresql:/, 'postgresql+psycopg2:'),
      AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: basePath(base),
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: String(options.threshold),
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: '',
      AIRFLOW_CONN_AWS_XCOM: `aws://${key}@/?endpoint_url=${encodeURIComponent(s3.endpoint)}&region_name=${region}`,
      // Given separately, so that large values also count as large in the act without a threshold.
      XCOM_EXPORTER_XCOM_OVERSIZE: String(threshold),
      XCOM_EXPORTER_WINDOW: `${windowSeconds}s`,
      XCOM_EXPORTER_SAMPLE_SCHEDULE: `*/${sampleSeconds} * * * * *`,
      XCOM_EXPORTER_PROBE_SCHEDULE: `*/${probeSeconds} * * * * *`,
      XCOM_EXPORTER_LOG_FORMAT: io.isTty ? 'pretty' : 'json',
      ...Object.fromEntries(own),
    },
    readFile: (path) => readFileSync(path, 'utf8'),
  });
}

function openStore(s3: Deployment['s3'], log: Logger): ObjectStore {
  return openObjectStore(
    {
      region: s3.region,
      endpoint: s3.endpoint,
      accessKeyId: s3.accessKeyId,
      secretAccessKey: secret(s3.secretAccessKey),
      sessionToken: null,
      profile: null,
      role: null,
      forcePathStyle: true,
      authorities: null,
      proxies: NO_PROXIES,
      identityProxies: NO_PROXIES,
      sendsChecksums: true,
      asker: 'workers',
      variants: {},
      agent: null,
      profileKeys: null,
    },
    { log, observer: { request: () => undefined, failure: () => undefined } },
  );
}
