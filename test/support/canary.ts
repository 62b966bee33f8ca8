import type { CanaryTask } from '../../src/airflow/canary-queries.ts';

/**
 * Reports of the canary on Airflow 3.3.2: of a healthy queue, of one without the backend, of one that may not write.
 */
export const VERSIONS = {
  s3fs: '2026.9.0',
  amazon: '9.36.0',
  fsspec: '2026.9.0',
  python: '3.12.1',
  airflow: '3.3.2',
  common_io: '1.9.0',
  universal_pathlib: '0.3.10',
};
export const BACKEND = 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend';
export const POOLS = { default: 'default', legacy: 'legacy', denied: 'denied' };

const SETTINGS = {
  path: 's3://aws_xcom@airflow-xcom/xcom',
  backend: BACKEND,
  versions: VERSIONS,
  threshold: '1000',
  compression: '',
  object_storage: true,
};

type Fields = Readonly<Record<string, unknown>>;

export function lookOf(pool: string, changes: Fields = {}): Fields {
  return {
    canary: 1,
    step: 'look',
    pool,
    pools: POOLS,
    interval: 300,
    ok: true,
    operations: [
      { ok: true, seconds: 0.383, operation: 'push' },
      { ok: true, got: 'equal', seconds: 0.0324, operation: 'pull' },
    ],
    settings: SETTINGS,
    payload: { form: 'reference', bytes: 1066 },
    warm_up_seconds: 0.4718,
    ...changes,
  };
}

export function settingsWith(changes: Fields): Fields {
  return { settings: { ...SETTINGS, ...changes } };
}

export const WITHOUT_BACKEND = {
  ...settingsWith({
    path: '',
    backend: 'airflow.sdk.bases.xcom.BaseXCom',
    threshold: '-1',
    object_storage: false,
  }),
  payload: { form: 'value', bytes: 1002 },
};

export const DENIED = {
  ok: false,
  payload: { form: null, bytes: 1066 },
  operations: [
    {
      ok: false,
      error: {
        code: 'AccessDenied',
        cause: 'botocore.errorfactory.AccessDenied',
        class: 'builtins.PermissionError',
        request: 'PutObject',
      },
      seconds: 0.2641,
      operation: 'push',
    },
  ],
};

export function readOf(pool: string, operations: readonly Fields[]): Fields {
  return { canary: 1, step: 'read', pool, pools: POOLS, interval: 300, ok: true, operations };
}

/** A task of the canary as it stands in the database, with the report that it left. */
export function taskOf(
  report: Fields | string | null,
  { at = 0, ...more }: Partial<CanaryTask> & { readonly at?: number } = {},
): CanaryTask {
  const { step, pool } =
    typeof report === 'string' || report === null ? { step: 'look', pool: 'default' } : report;
  return {
    dagRunId: 1,
    runAt: at,
    taskId: `${step as string}_${pool as string}`,
    state: 'success',
    ...more,
    report:
      report === null
        ? null
        : { version: String(at), at, text: typeof report === 'string' ? report : JSON.stringify(report) },
  };
}
