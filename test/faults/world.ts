import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { NO_PROXIES } from '../../src/s3/agents.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import { openObjectStore } from '../../src/s3/client.ts';
import { AIRFLOW_SCHEMA } from '../../src/demo/airflow-schema.ts';
import { startHttpFaultProxy } from '../support/http-fault-proxy.ts';
import type { HttpFaultProxy } from '../support/http-fault-proxy.ts';
import { secret } from '../../src/lib/secret.ts';
import { recordRequests } from '../support/s3.ts';
import { freePort, startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { startDaemonProcess } from './daemon-process.ts';
import type { DaemonProcess } from './daemon-process.ts';
import { openRoom } from './room.ts';
import type { Room } from './room.ts';
import { startStorage } from './storage.ts';
import type { Storage } from './storage.ts';
import { addUp, differ } from './totals.ts';
import type { Difference } from './totals.ts';
import { startWatch, valueOf } from './watch.ts';
import type { Watch } from './watch.ts';
import { startWire } from './wire.ts';
import type { Wire } from './wire.ts';
import { BUCKET, startWriter, THRESHOLD } from './writer.ts';
import type { Rate, Writer } from './writer.ts';

export const ROLE = 'xcom_exporter';

/** A daemon between real servers, a wire to each server that can be broken, and a writer beside the daemon. */
export interface World {
  readonly cluster: Cluster;
  readonly database: Wire;
  /** In front of `http`: `wire` breaks connections, and `http` spoils answers. */
  readonly wire: Wire;
  readonly http: HttpFaultProxy;
  readonly storage: Storage;
  readonly room: Room | null;
  readonly writer: Writer;
  readonly watch: Watch;
  readonly env: Record<string, string>;
  readonly dir: string;
  daemon(): DaemonProcess;
  /** Runs a statement as a superuser, in Airflow's database, on the current primary. */
  sql<Row>(text: string): Promise<readonly Row[]>;
  /** Ends the daemon and starts a new one. */
  restart(signal: 'SIGTERM' | 'SIGKILL', how?: Restart): Promise<void>;
  /** Compares the counts of all processes so far with the plan. */
  difference(): Difference;
  /** Stops the writer, waits until all is counted and one cycle more, compares, and lets the writer go on. */
  compare(seconds: number): Promise<Difference>;
  close(): Promise<void>;
}

export interface Restart {
  /** Variables of the new daemon, besides the usual ones. */
  readonly env?: Readonly<Record<string, string>>;
  /** Ends the daemon at the moment when its counters have moved: it has not done yet what it does after counting. */
  readonly asSoonAsCounted?: boolean;
}

export async function startWorld(options: {
  readonly main: string;
  readonly everySeconds: number;
  readonly rate: Rate;
  readonly scrapeEveryMs: number;
  readonly env?: Readonly<Record<string, string>>;
}): Promise<World> {
  const undo: (() => Promise<void> | void)[] = [];
  const dir = mkdtempSync(join(tmpdir(), 'xcom-exporter-faults-'));
  // The account of Postgres must be able to pass through this folder.
  chmodSync(dir, 0o711);
  undo.push(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  const close = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    const ports = await Promise.all([freePort(), freePort(), freePort()]);
    const cluster = await startCluster(join(dir, 'postgres'), ports.slice(0, 2));
    undo.push(() => cluster.stop());
    const admin = await openWriter({ url: cluster.primary().url('postgres'), connections: 1 });
    await admin.query('CREATE DATABASE airflow');
    await admin.close();
    const sql = async <Row>(text: string) => {
      const own = await openWriter({ url: cluster.primary().url('airflow'), connections: 1 });
      try {
        return await own.query<Row>(text);
      } finally {
        await own.close();
      }
    };
    await sql(AIRFLOW_SCHEMA);
    await sql(
      `CREATE ROLE ${ROLE} LOGIN PASSWORD 'first' ; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${ROLE}`,
    );

    const storage = await startStorage(dir, ports[2]);
    undo.push(() => storage.stop());
    await storage.createBucket(BUCKET);
    const objects = openObjectStore(
      {
        ...storage,
        endpoint: `http://127.0.0.1:${storage.port}`,
        secretAccessKey: secret(storage.secretAccessKey),
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
      { observer: recordRequests(), log: pino({ level: 'silent' }) },
    );
    undo.push(() => {
      objects.close();
    });

    const database = await startWire(cluster.primary().port);
    undo.push(() => database.stop());
    const http = await startHttpFaultProxy({ upstream: { host: '127.0.0.1', port: storage.port } });
    undo.push(() => http.stop());
    const wire = await startWire(http.port);
    undo.push(() => wire.stop());
    const room = await openRoom(dir);
    if (room !== null) undo.push(() => room.close());

    const at = { database: room?.databaseHost ?? '127.0.0.1', storage: room?.storageHost ?? '127.0.0.1' };
    const endpoint = encodeURIComponent(`http://${at.storage}:${wire.port}`);
    const schedule = `*/${options.everySeconds} * * * * *`;
    const env: Record<string, string> = {
      XCOM_EXPORTER_DATABASE_URL: `postgresql://${ROLE}:first@${at.database}:${database.port}/airflow`,
      AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: '',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: `s3://aws_xcom@${BUCKET}/xcom`,
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: String(THRESHOLD),
      AIRFLOW_CONN_AWS_XCOM: `aws://${storage.accessKeyId}:${storage.secretAccessKey}@/?endpoint_url=${endpoint}&region_name=${storage.region}`,
      XCOM_EXPORTER_SAMPLE_SCHEDULE: schedule,
      XCOM_EXPORTER_PROBE_SCHEDULE: schedule,
      XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
      XCOM_EXPORTER_STATE_FILE: join(room?.stateDir ?? dir, 'state'),
      ...options.env,
    };
    const start = (extra: Readonly<Record<string, string>> = {}) =>
      startDaemonProcess({
        main: options.main,
        prefix: room?.prefix ?? [],
        env: { ...env, ...extra },
        lookFile: join(dir, 'look.json'),
      });
    const watch = await startWatch(options.scrapeEveryMs);
    undo.push(() => watch.stop());
    let daemon = await start();
    undo.push(() => daemon.stop('SIGTERM'));
    watch.follow(daemon);
    // The daemon does not count rows that are there when it starts. It therefore starts before the first row.
    const deadline = Date.now() + 30_000;
    while ((watch.value('exporter_job_last_success_timestamp_seconds', { name: 'sample' }) ?? 0) === 0) {
      if (Date.now() > deadline)
        throw new Error(`The first cycle did not succeed:\n${daemon.lines.join('\n')}`);
      await delay(100);
    }
    const writer = await startWriter({ url: cluster.primary().url('airflow'), objects, rate: options.rate });
    undo.push(() => writer.close());
    const carried = new Map<string, number>();

    const difference = () => differ(writer.plan, addUp(carried, watch.scrape()));
    return {
      cluster,
      database,
      wire,
      http,
      storage,
      room,
      writer,
      watch,
      env,
      dir,
      daemon: () => daemon,
      sql,
      async restart(signal, how = {}) {
        let scrape = await watch.next();
        if (how.asSoonAsCounted === true) {
          const before = valueOf(scrape, 'rows_total');
          while (valueOf(scrape, 'rows_total') === before) scrape = await watch.now();
        }
        // The daemon is stopped at once: nobody has seen the counts after this moment.
        daemon.signal('SIGSTOP');
        for (const [name, value] of addUp(carried, scrape)) carried.set(name, value);
        watch.follow(null);
        if (signal === 'SIGTERM') daemon.signal('SIGCONT');
        await daemon.stop(signal);
        daemon = await start(how.env);
        watch.follow(daemon);
        await watch.next();
      },
      difference,
      async compare(seconds) {
        await writer.pause();
        const limit = Date.now() + seconds * 1_000;
        while (difference().lost > 0 && Date.now() < limit) {
          await watch.next();
          await delay(100);
        }
        // Two more cycles show that nothing is counted twice.
        const runs = () => watch.value('exporter_job_runs_total', { name: 'sample' }) ?? 0;
        const before = runs();
        while (runs() < before + 2 && Date.now() < limit + 30_000) await delay(100);
        const found = difference();
        writer.resume();
        return found;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
