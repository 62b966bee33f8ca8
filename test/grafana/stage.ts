/** A small Airflow, with exporters as processes of their own, and with faults for every connection between them. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { stringify } from 'yaml';
import { auditResultPath } from '../../src/state/audit-result.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import type { PostgresWriter } from '../../src/postgres/writer.ts';
import { openObjectStore } from '../../src/s3/client.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import { AIRFLOW_SCHEMA } from '../../src/demo/airflow-schema.ts';
import { startPostgres } from '../support/postgres.ts';
import { startS3 } from '../support/s3.ts';
import { startHttpFaultProxy } from '../support/http-fault-proxy.ts';
import { startArchiveDoor } from '../support/archive-door.ts';
import type { ArchiveDoor } from '../support/archive-door.ts';
import { startTcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import type { HttpFaultProxy } from '../support/http-fault-proxy.ts';
import type { TcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import { startWorkload } from '../../src/demo/workload.ts';
import type { Workload } from '../../src/demo/workload.ts';
import { basePath } from '../../src/demo/xcom-backend.ts';
import { createDatabase } from '../support/database.ts';
import { connectionTo, recordRequests } from '../support/s3.ts';
import type { Prometheus } from './prometheus.ts';

export const THRESHOLD = 10_240;
export const BASE = { connection: 'aws_xcom', bucket: 'airflow-xcoms', prefix: 'xcom' };

export interface Exporter {
  /** `host:port` */
  readonly address: string;
  reload(): void;
  stop(): Promise<void>;
}

export interface Stage {
  /** The workload, which starts at the first call. */
  workload(): Workload;
  readonly database: PostgresWriter;
  /** A store that goes past every proxy. */
  readonly objects: ObjectStore;
  /**
   * The exporters' requests to S3 go through both proxies, so that two faults can meet; the tasks write past them.
   */
  readonly s3: HttpFaultProxy;
  readonly s3Behind: HttpFaultProxy;
  /** Objects that the storage says are in an archive, by key. */
  readonly archived: ArchiveDoor['archived'];
  /** Another Airflow in another, empty database, with the URL for an exporter of its own. */
  readonly quiet: { readonly database: PostgresWriter; readonly url: string };
  /** The connection between the exporters and the database. */
  readonly wire: TcpFaultProxy;
  /** Writes the settings file that every exporter reads; a text is written as it is. */
  settings(settings: Readonly<Record<string, unknown>> | string): Promise<void>;
  startExporter(...argv: readonly string[]): Promise<Exporter>;
  /** Compares the whole bucket with the whole table, and leaves the figures beside the state file. */
  audit(stateFile: string): Promise<void>;
  scrape(exporters: readonly Exporter[]): Promise<void>;
  stop(): Promise<void>;
}

export async function startStage({
  main,
  prometheus,
}: {
  main: string;
  prometheus: Prometheus;
}): Promise<Stage> {
  const log = pino({ level: 'silent' });
  const dir = await mkdtemp(join(tmpdir(), 'airflow-xcom-stage-'));
  const postgres = await startPostgres();
  const server = await startS3();
  await server.createBucket(BASE.bucket);
  const archive = await startArchiveDoor(server);
  const s3Behind = await startHttpFaultProxy({ upstream: archive });
  const s3 = await startHttpFaultProxy({ upstream: s3Behind });
  const databaseUrl = new URL(postgres.url);
  const wire = await startTcpFaultProxy({
    upstream: { host: databaseUrl.hostname, port: Number(databaseUrl.port) },
  });
  databaseUrl.host = `${wire.host}:${wire.port}`;
  const database = await openWriter({ url: postgres.url });
  await database.query(AIRFLOW_SCHEMA);
  const quietUrl = await createDatabase(postgres);
  const quiet = { url: quietUrl, database: await openWriter({ url: quietUrl }) };
  await quiet.database.query(AIRFLOW_SCHEMA);
  const objects = openObjectStore(connectionTo(server.endpoint, server), { log, observer: recordRequests() });
  let workload: Workload | null = null;

  const file = join(dir, 'settings.yml');
  async function settings(given: Readonly<Record<string, unknown>> | string): Promise<void> {
    const usual = {
      'xcom.path': basePath(BASE),
      'xcom.threshold': THRESHOLD,
      'xcom.compression': '',
      window: '1h',
    };
    await writeFile(file, typeof given === 'string' ? given : stringify({ ...usual, ...given }));
  }
  await settings({});

  const env = {
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: databaseUrl.href.replace(/^postgresql:/, 'postgresql+psycopg2:'),
    AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
    AIRFLOW_CONN_AWS_XCOM: `aws://${server.accessKeyId}:${server.secretAccessKey}@/?endpoint_url=${encodeURIComponent(s3.url)}&region_name=${server.region}`,
    XCOM_EXPORTER_CONFIG_FILE: file,
    XCOM_EXPORTER_SAMPLE_SCHEDULE: '*/2 * * * * *',
    XCOM_EXPORTER_PROBE_SCHEDULE: '*/2 * * * * *',
    XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
  };
  const children = new Set<ChildProcess>();

  async function startExporter(...argv: readonly string[]): Promise<Exporter> {
    const child = spawn(process.execPath, [main, 'run', ...argv], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    children.add(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-100_000);
      });
    const ended = new Promise<void>((resolve) => {
      child.once('close', () => {
        children.delete(child);
        resolve();
      });
    });
    let port: string | undefined;
    for (let tries = 0; port === undefined; tries += 1) {
      port = /"port":(\d+),"msg":"listening"/.exec(output)?.[1];
      if (child.exitCode !== null || tries > 300) throw new Error(`The exporter did not start: ${output}`);
      await delay(50);
    }
    return {
      address: `127.0.0.1:${port}`,
      reload: () => {
        child.kill('SIGHUP');
      },
      stop: async () => {
        child.kill('SIGTERM');
        await ended;
      },
    };
  }

  return {
    workload: () => {
      workload ??= startWorkload({
        database,
        objects,
        base: BASE,
        log,
        threshold: THRESHOLD,
        secondsBetweenRuns: 2,
        // Few runs exist at a time, so that to clear them all takes about a second.
        keepSeconds: 20,
      });
      return workload;
    },
    database,
    objects,
    s3,
    s3Behind,
    archived: archive.archived,
    quiet,
    wire,
    settings,
    startExporter,
    audit: async (stateFile) => {
      const out = join(dir, 'audit');
      const argv = [main, 'audit', '--state', '--state.file', stateFile, '--out', out];
      // The findings set the exit code: this call only needs the figures to be there.
      await promisify(execFile)(process.execPath, argv, { env }).catch(() => undefined);
      await access(auditResultPath(stateFile));
      await rm(out, { recursive: true });
    },
    scrape: (exporters) => prometheus.target(exporters.map(({ address }) => address)),
    stop: async () => {
      for (const child of children) child.kill('SIGKILL');
      await workload?.stop();
      objects.close();
      await database.close();
      await quiet.database.close();
      await wire.stop();
      await s3.stop();
      await s3Behind.stop();
      await archive.stop();
      await server.stop();
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
