import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openWriter } from '../../src/postgres/writer.ts';
import type { PostgresWriter } from '../../src/postgres/writer.ts';
import type { HttpFaultAnswer } from '../support/http-fault-proxy.ts';
import type { Scrape } from '../support/contract.ts';
import { valueOf } from './watch.ts';
import { ROLE } from './world.ts';
import type { World } from './world.ts';

export interface Fault {
  readonly name: string;
  /** The thing that this machine must have for the fault. */
  readonly needs?: 'room' | 'faketime' | 'versitygw';
  begin(world: World): Promise<void> | void;
  /** The sign of the fault in the metrics, compared with those before it; null: none yet. */
  seen(now: Scrape, before: Scrape, world: World): string | null;
  end(world: World): Promise<void> | void;
}

export const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';

export function isThere(need: Fault['needs'], world: World): boolean {
  if (need === 'room') return world.room !== null;
  if (need === 'faketime') return existsSync(FAKETIME) && world.storage.name === 'versitygw';
  if (need === 'versitygw') return world.storage.name === 'versitygw';
  return true;
}

/** The file that sets the clock of a daemon. The daemon is started anew for this fault. */
export function clockFile(world: World): string {
  return join(world.dir, 'clock');
}

const database =
  (reason: string): Fault['seen'] =>
  (now, before) => {
    const count = (scrape: Scrape) =>
      valueOf(scrape, 'exporter_job_failures_total', { name: 'sample', reason }) ?? 0;
    if (count(now) <= count(before) || valueOf(now, 'exporter_up', { target: 'database' }) !== 0) return null;
    return `\`up{target="database"}\` 0, \`job_failures_total{name="sample",reason="${reason}"}\``;
  };

const storage =
  (reason: string, problem: string | null): Fault['seen'] =>
  (now, before) => {
    const count = (scrape: Scrape) => valueOf(scrape, 'exporter_s3_request_errors_total', { reason }) ?? 0;
    if (count(now) <= count(before) || valueOf(now, 'exporter_up', { target: 's3' }) !== 0) return null;
    if (problem !== null && valueOf(now, 'problem', { problem }) !== 1) return null;
    const said = problem === null ? '' : `, \`problem{problem="${problem}"}\` 1`;
    return `\`up{target="s3"}\` 0, \`s3_request_errors_total{reason="${reason}"}\`${said}`;
  };

async function dropSessions(world: World): Promise<void> {
  await world.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${ROLE}' AND pid <> pg_backend_pid()`,
  );
}

function answering(
  name: string,
  answer: HttpFaultAnswer,
  [reason, problem]: readonly [string, string | null],
): Fault {
  return {
    name,
    begin: ({ http }) => {
      http.setFault({ answer });
    },
    seen: storage(reason, problem),
    end: ({ http }) => {
      http.setFault(null);
    },
  };
}

let locker: PostgresWriter | null = null;
let restartedAt = '';

export const FAULTS: readonly Fault[] = [
  {
    name: 'Postgres: down',
    begin: ({ cluster }) => cluster.primary().stop('fast'),
    seen: database('unreachable'),
    end: ({ cluster }) => cluster.primary().start(),
  },
  {
    name: 'Postgres: restart',
    begin: async (world) => {
      await world.cluster.primary().stop('fast');
      await world.cluster.primary().start();
      [{ at: restartedAt } = { at: '' }] = await world.sql<{ at: string }>('SELECT now()::text AS at');
    },
    // The restart is over before anyone could notice it between two cycles: then the next cycle succeeds with a new
    // session.
    seen: (now, before) => {
      const success = (scrape: Scrape) =>
        valueOf(scrape, 'exporter_job_last_success_timestamp_seconds', { name: 'sample' }) ?? 0;
      const failed = (scrape: Scrape) =>
        valueOf(scrape, 'exporter_job_failures_total', { name: 'sample' }) ?? 0;
      if (failed(now) > failed(before)) return '`job_failures_total{name="sample"}`, one cycle';
      return success(now) > Date.parse(restartedAt) / 1_000
        ? 'no cycle failed: a new session was opened'
        : null;
    },
    end: () => undefined,
  },
  {
    name: 'Postgres: failover to a promoted standby',
    begin: async (world) => {
      const standby = await world.cluster.addStandby();
      await world.writer.pause();
      await world.cluster.failOver(standby);
    },
    seen: database('unreachable'),
    end: async (world) => {
      await world.writer.moveTo(world.cluster.primary().url('airflow'));
      world.database.setUpstream(world.cluster.primary().port);
      world.writer.resume();
    },
  },
  {
    name: 'Postgres: ACCESS EXCLUSIVE lock on xcom',
    begin: async (world) => {
      locker = await openWriter({ url: world.cluster.primary().url('airflow'), connections: 1 });
      await locker.query('BEGIN; LOCK TABLE xcom IN ACCESS EXCLUSIVE MODE');
    },
    seen: database('lock_timeout'),
    end: async () => {
      await locker?.query('ROLLBACK');
      await locker?.close();
    },
  },
  {
    name: 'Postgres: slow (250 ms a piece, each way)',
    begin: (world) => {
      world.database.setMode({ kind: 'slow', delayMs: 250 });
    },
    seen: (now) => {
      const seconds = valueOf(now, 'exporter_job_duration_seconds', { name: 'sample' }) ?? 0;
      const up = valueOf(now, 'exporter_up', { target: 'database' });
      return seconds > 1.5 && up === 1
        ? '`job_duration_seconds{name="sample"}` above 1.5 s; figures go on'
        : null;
    },
    end: (world) => {
      world.database.setMode({ kind: 'pass' });
    },
  },
  {
    name: 'Postgres: cut in the middle of an answer',
    begin: (world) => {
      world.database.setMode({ kind: 'cut', afterBytes: 1_500 });
    },
    seen: database('unreachable'),
    end: (world) => {
      world.database.setMode({ kind: 'pass' });
    },
  },
  {
    name: 'Postgres: takes the connection, never answers',
    begin: (world) => {
      world.database.setMode({ kind: 'stall' });
    },
    seen: database('unreachable'),
    end: (world) => {
      world.database.setMode({ kind: 'pass' });
    },
  },
  {
    name: 'Postgres: wrong password, and back',
    begin: async (world) => {
      await world.sql(`ALTER ROLE ${ROLE} PASSWORD 'second'`);
      await dropSessions(world);
    },
    seen: database('denied'),
    end: async (world) => {
      await world.sql(`ALTER ROLE ${ROLE} PASSWORD 'first'`);
    },
  },
  {
    name: 'Postgres: no connection left for the role',
    begin: async (world) => {
      await world.sql(`ALTER ROLE ${ROLE} CONNECTION LIMIT 0`);
      await dropSessions(world);
    },
    seen: database('unreachable'),
    end: async (world) => {
      await world.sql(`ALTER ROLE ${ROLE} CONNECTION LIMIT -1`);
    },
  },
  {
    name: 'DNS: the name of Postgres is gone',
    needs: 'room',
    begin: async (world) => {
      world.room?.setHosts({ database: false, storage: true });
      await dropSessions(world);
    },
    seen: database('unreachable'),
    end: (world) => {
      world.room?.setHosts({ database: true, storage: true });
    },
  },
  {
    name: 'DNS: the name of S3 is gone',
    needs: 'room',
    begin: (world) => {
      world.room?.setHosts({ database: true, storage: false });
      world.wire.drop();
    },
    seen: storage('unreachable', 'not_watching'),
    end: (world) => {
      world.room?.setHosts({ database: true, storage: true });
    },
  },
  {
    name: 'Disk of the state file: full',
    needs: 'room',
    begin: (world) => {
      world.room?.fillDisk();
    },
    // The job `state` counts the fault too. The log names it at every cycle, and counting goes on.
    seen: (_now, _before, world) =>
      world
        .daemon()
        .lines.some((line) => line.includes('cannot write the state file') && line.includes('ENOSPC'))
        ? 'log: `cannot write the state file` (ENOSPC); figures go on'
        : null,
    end: (world) => {
      world.room?.freeDisk();
    },
  },
  {
    name: 'S3: refuses connections',
    begin: (world) => {
      world.wire.setMode({ kind: 'refuse' });
    },
    seen: storage('unreachable', 'not_watching'),
    end: (world) => {
      world.wire.setMode({ kind: 'pass' });
    },
  },
  // The fault does not stand in front of the workers: the references that they go on writing speak against
  // write_denied and bucket_unreachable.
  answering('S3: 403 AccessDenied', 'deny', ['denied', null]),
  answering('S3: 404 NoSuchBucket', 'no_such_bucket', ['no_such_bucket', 'not_watching']),
  answering('S3: 500 InternalError', 'server_error', ['server_error', 'not_watching']),
  answering('S3: 503 SlowDown', 'slow_down', ['throttled', null]),
  answering('S3: takes the request, never answers', 'stall', ['timeout', null]),
  answering('S3: stops in the middle of an answer', 'stall_body', ['timeout', null]),
  answering('S3: cut in the middle of an answer', 'cut', ['unreachable', 'not_watching']),
  answering('S3: garbage in place of XML', 'garbage', ['server_error', null]),
  answering('S3: 400 ExpiredToken', 'expired_token', ['denied', null]),
  answering('S3: 301 to another region', 'wrong_region', ['wrong_region', 'not_watching']),
  answering('S3: 403 RequestTimeTooSkewed', 'clock_skew', ['clock_skew', null]),
  {
    name: 'Clock of the exporter jumps two hours ahead',
    needs: 'faketime',
    begin: async (world) => {
      await world.restart('SIGTERM', {
        env: {
          LD_PRELOAD: FAKETIME,
          FAKETIME_TIMESTAMP_FILE: clockFile(world),
          FAKETIME_CACHE_DURATION: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
        },
      });
      await world.compare(30);
      writeFileSync(clockFile(world), '+2h\n');
    },
    seen: (now) => {
      // The count is that of this process: it has only just been started, with the right time.
      const skewed = valueOf(now, 'exporter_s3_request_errors_total', { reason: 'clock_skew' }) ?? 0;
      return skewed > 0
        ? '`s3_request_errors_total{reason="clock_skew"}`; requests are signed with the time of S3 then'
        : null;
    },
    end: (world) => {
      writeFileSync(clockFile(world), '+0\n');
    },
  },
];
