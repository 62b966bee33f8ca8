import { openWriter } from '../../src/postgres/writer.ts';
import type { EmbeddedS3 } from '../../src/demo/embedded-s3.ts';
import type { ProblemCode } from '../../src/diagnosis/problem-catalogue.ts';
import { readSchema, replay } from '../support/airflow-fixture.ts';
import { startArchiveDoor } from '../support/archive-door.ts';
import { BACKEND, DENIED, lookOf } from '../support/canary.ts';
import { eventually, startDaemon } from '../support/daemon.ts';
import type { Daemon } from '../support/daemon.ts';
import { createDatabase } from '../support/database.ts';
import { startHttpFaultProxy } from '../support/http-fault-proxy.ts';
import type { HttpFault } from '../support/http-fault-proxy.ts';
import { openStage } from '../support/seed.ts';
import { BUCKET } from '../support/plant.ts';
import { expect } from 'vitest';

type Env = Record<string, string>;
export interface Planted {
  readonly env: Env;
  readonly close: () => Promise<void>;
}

export interface Servers {
  readonly postgres: { readonly url: string };
  /** A server that has the bucket of the recordings. */
  readonly s3: EmbeddedS3;
}

type Plant = (servers: Servers) => Promise<Planted>;

interface Changes {
  readonly env?: Env;
  readonly fault?: HttpFault;
  /** Chooses the objects that a lifecycle rule has moved. */
  readonly archives?: (key: string) => boolean;
}

/** A recorded run of a real Airflow, behind a fault or with a changed setting. */
function recorded(release: string, scenario: string, changes: Changes = {}): Plant {
  return async ({ postgres, s3 }) => {
    const door = await startArchiveDoor(s3);
    const proxy = await startHttpFaultProxy({ upstream: door });
    proxy.setFault(changes.fault ?? null);
    const fixture = await replay({ postgres, s3 }, { release, scenario });
    for (const { key } of fixture.recordedObjects.filter(({ key }) => changes.archives?.(key) === true))
      door.archived.set(key, { storageClass: 'GLACIER', agoDays: 1 });
    const env = Object.fromEntries(
      Object.entries(fixture.env).map(([name, value]) => [
        name,
        name.startsWith('AIRFLOW_CONN_')
          ? value.replace(/endpoint_url=[^&]*/, `endpoint_url=${encodeURIComponent(proxy.url)}`)
          : value,
      ]),
    );
    return {
      env: { ...env, ...changes.env },
      close: async () => {
        await fixture.close();
        await proxy.stop();
        await door.stop();
      },
    };
  };
}

/** A database with a schema and without rows. */
function tables(schema: string, change = ''): Plant {
  return async ({ postgres }) => {
    const url = await createDatabase(postgres);
    const writer = await openWriter({ url, connections: 1 });
    if (schema !== '') await writer.query(readSchema(schema));
    if (change !== '') await writer.query(change);
    await writer.close();
    return { env: { XCOM_EXPORTER_DATABASE_URL: url }, close: () => Promise.resolve() };
  };
}

/** The reports of the canary on two queues, one of which may not write. */
function canary(): Plant {
  return async ({ postgres, s3 }) => {
    const stage = await openStage(postgres, '3.3.2');
    const pools = { default: 'default', legacy: 'legacy' };
    for (const [pool, changes] of [
      ['default', {}],
      ['legacy', DENIED],
    ] as const) {
      const run = await stage.addRun({
        dagId: 'airflow_xcom_canary',
        runId: `scheduled__${pool}`,
        state: 'success',
      });
      const stored = JSON.stringify(lookOf(pool, { pools, ...changes }));
      await stage.push({ run, taskId: `look_${pool}`, key: 'canary_report', stored, queue: pool });
    }
    return {
      env: {
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: stage.url,
        AIRFLOW__CORE__XCOM_BACKEND: BACKEND,
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: `s3://aws_xcom@${BUCKET}/xcom`,
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1000',
        AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: '',
        AIRFLOW_CONN_AWS_XCOM: `aws://${s3.accessKeyId}:${s3.secretAccessKey}@/?endpoint_url=${encodeURIComponent(s3.endpoint)}&region_name=${s3.region}`,
      },
      close: () => stage.close(),
    };
  };
}

const NO_ROOM = {
  status: 507,
  code: 'XMinioStorageFull',
  message: 'Storage backend has reached its minimum free drive threshold',
  html: false,
};

/** Each state has a name, the problems that are raised, and a function that brings it about. */
export const STATES: readonly (readonly [string, readonly ProblemCode[], Plant])[] = [
  ['healthy', [], recorded('3.3.2', 'healthy')],
  [
    'unknown',
    [],
    recorded('3.3.2', 'healthy', {
      env: { XCOM_EXPORTER_DATABASE_URL: 'postgresql://u@127.0.0.1:1/airflow' },
    }),
  ],
  ['schema_unsupported', ['schema_unsupported'], tables('')],
  [
    'airflow_too_old',
    ['airflow_too_old'],
    tables('2.9.3', 'ALTER TABLE public.task_instance DROP COLUMN rendered_map_index CASCADE'),
  ],
  ['threshold_disabled', ['threshold_disabled'], recorded('3.3.2', 'threshold-disabled')],
  ['backend_inactive', ['backend_inactive'], recorded('3.3.2', 'backend-inactive')],
  ['worker_bypass', ['worker_bypass'], recorded('3.3.2', 'worker-bypass')],
  [
    'compression_unsupported',
    ['compression_unsupported'],
    recorded('3.3.2', 'healthy', { env: { XCOM_EXPORTER_XCOM_COMPRESSION: 'snappy' } }),
  ],
  [
    'write_denied',
    ['write_denied'],
    recorded('3.3.2', 'healthy', { fault: { match: ({ kind }) => kind === 'put', answer: 'deny' } }),
  ],
  [
    'writes_failing',
    ['writes_failing'],
    recorded('3.3.2', 'healthy', {
      fault: { match: ({ kind }) => kind === 'put', answer: { error: NO_ROOM } },
    }),
  ],
  [
    'reads_denied',
    ['reads_denied'],
    recorded('3.3.2', 'healthy', { fault: { match: ({ kind }) => kind === 'get', answer: 'deny' } }),
  ],
  [
    'not_watching',
    ['not_watching'],
    recorded('3.3.2', 'healthy', { env: { AIRFLOW_CONN_AWS_XCOM: 'aws://' } }),
  ],
  ['canary_failing', ['canary_failing'], canary()],
  [
    'bucket_unreachable',
    ['bucket_unreachable'],
    recorded('3.3.2', 'healthy', { fault: { answer: 'no_such_bucket' } }),
  ],
  ['objects_missing', ['objects_missing', 'path_leaked'], recorded('3.3.2', 'objects-missing')],
  ['objects_empty', ['objects_empty'], recorded('2.10.5', 'objects-empty')],
  ['objects_unreadable', ['objects_unreadable'], recorded('3.3.2', 'healthy', { archives: () => true })],
  ['path_mismatch', ['path_mismatch'], recorded('3.4.0b2', 'path-changed')],
  ['path_leaked', ['path_mismatch', 'path_leaked'], recorded('3.1.8', 'path-changed-rerun')],
  ['local_path', ['local_path'], recorded('3.3.2', 'local-path')],
  ['skip_decision_offloaded', ['skip_decision_offloaded'], recorded('3.1.8', 'skipmixin')],
];

/** Runs a real exporter until it has looked at the state and probed, and then calls `look`. */
export async function inState(
  [, codes, plant]: (typeof STATES)[number],
  servers: Servers,
  look: (daemon: Daemon) => Promise<void>,
): Promise<void> {
  const planted = await plant(servers);
  const daemon = await startDaemon({
    XCOM_EXPORTER_AIRFLOW_BASE_URL: 'https://airflow.example.com',
    ...planted.env,
    // Figures go stale after three intervals: a busy machine must not look like a fault.
    XCOM_EXPORTER_SAMPLE_SCHEDULE: '*/5 * * * * *',
    XCOM_EXPORTER_PROBE_SCHEDULE: '*/5 * * * * *',
    XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
  });
  try {
    const said = () => daemon.status().report?.problems.map(({ code }) => code) ?? null;
    await eventually(() => {
      expect(new Set(said())).toEqual(new Set(codes));
      // The report includes the first probe too.
      expect(daemon.status().jobs.every(({ runs }) => runs > 1)).toBe(true);
    }, 40);
    await look(daemon);
  } finally {
    await daemon.close();
    await planted.close();
  }
}
