/** How loud a problem is. The same word is the `severity` label of `airflow_xcom_problem`. */
export type Severity = 'critical' | 'warning' | 'info';

interface ProblemKind {
  readonly severity: Severity;
  readonly title: string;
  readonly remedy: string;
}

/** Every problem the exporter can say, most telling first: pages and `check` keep this order. */
export const PROBLEMS = {
  schema_unsupported: {
    severity: 'critical',
    title: 'The tables are no known shape of Airflow',
    remedy:
      'Point database.url at the metadata database and its schema (options=-csearch_path=…); if it is, the Airflow release is newer than this exporter: upgrade the exporter.',
  },
  airflow_too_old: {
    severity: 'critical',
    title: 'Airflow is older than 2.9: the object storage backend does not exist there',
    remedy: 'Upgrade Airflow to 2.9.2 or newer before setting [core] xcom_backend.',
  },
  threshold_disabled: {
    severity: 'critical',
    title: 'The threshold is negative: every value stays in the database',
    remedy:
      'Set [common.io] xcom_objectstorage_threshold (AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD) to a size in bytes on every component, then restart the workers: the option is cached per process.',
  },
  backend_inactive: {
    severity: 'critical',
    title: 'Nothing reaches object storage',
    remedy:
      'On a worker, run `airflow config get-value core xcom_backend` and `airflow config get-value common.io xcom_objectstorage_threshold`; correct the misspelt or missing variable and restart the workers.',
  },
  worker_bypass: {
    severity: 'critical',
    title: 'Some workers lack the object storage setting',
    remedy:
      'Give the workers named here [core] xcom_backend and the [common.io] xcom_objectstorage_* options that the others have, then restart them.',
  },
  compression_unsupported: {
    severity: 'critical',
    title: 'The configured compression makes pushes fail',
    remedy:
      'Set [common.io] xcom_objectstorage_compression to gzip, bz2, xz, lzma, zip, zstd or nothing; `gz` and `snappy` are not accepted by fsspec.',
  },
  write_denied: {
    severity: 'critical',
    title: 'Writes to the bucket are denied',
    remedy:
      'Allow s3:PutObject on the prefix for the credentials of the connection, or renew the credentials.',
  },
  canary_failing: {
    severity: 'critical',
    title: 'A pool of workers cannot use its XComs',
    remedy:
      'Open the task of the canary on the queue named here in Airflow: its log has the whole exception. Give those workers the permission, the connection or the path that it asks for.',
  },
  bucket_unreachable: {
    severity: 'critical',
    title: 'The bucket cannot be reached',
    remedy:
      'Check that the bucket exists, its region, the endpoint_url of the connection, TLS and the network path.',
  },
  objects_missing: {
    severity: 'critical',
    title: 'Rows point at objects that are gone: tasks are handed a path instead of a value',
    remedy:
      'Find what deletes objects under the prefix (lifecycle rule, clean-up job); clear the writing tasks so that they write again.',
  },
  objects_empty: {
    severity: 'critical',
    title: 'Rows point at empty objects',
    remedy:
      'Clear the writing tasks so that they write again, and find what truncates objects under the prefix.',
  },
  path_mismatch: {
    severity: 'critical',
    title: 'References lie outside the configured path: Airflow cannot read them back',
    remedy:
      'Set [common.io] xcom_objectstorage_path, connection id included, back to what the rows hold, or clear the tasks that wrote them.',
  },
  path_leaked: {
    severity: 'critical',
    title: 'Rows hold the path of another row: a task was handed a path instead of a value',
    remedy:
      'Find why the row that the path belongs to could not be read (missing object, changed path), mend that, then clear the task.',
  },
  local_path: {
    severity: 'critical',
    title: 'Values are written to the disk of the worker',
    remedy:
      'Set [common.io] xcom_objectstorage_path (AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH) on the workers: it is empty or names a local path there.',
  },
  skip_decision_offloaded: {
    severity: 'critical',
    title: 'Skip decisions went to object storage: branches are silently not skipped',
    remedy:
      'Raise [common.io] xcom_objectstorage_threshold above a few hundred bytes, or upgrade Airflow to a release that keeps skipmixin_key in the database.',
  },
  oversize_in_db: {
    severity: 'warning',
    title: 'Large values are in the database',
    remedy: 'Look at the tasks listed; compare their worker’s xcom_backend and threshold with the others.',
  },
  worker_settings_differ: {
    severity: 'warning',
    title: 'Pools of workers resolve different XCom settings',
    remedy:
      'Give the workers named here the [core] xcom_backend and the [common.io] xcom_objectstorage_path and xcom_objectstorage_threshold of the others, restart them, and tell the exporter the same.',
  },
  canary_silent: {
    severity: 'warning',
    title: 'Nothing is heard from a pool of workers',
    remedy:
      'Open the DAG of the canary in Airflow. A task that waits has no worker; one that failed without a report may have an XCom backend that cannot be imported there; a DAG that is paused tells nothing. If the queue is no more, print the DAG again without it.',
  },
  threshold_mismatch: {
    severity: 'warning',
    title: 'The sizes seen do not come from the configured threshold',
    remedy:
      'Give every component the same [common.io] xcom_objectstorage_threshold and restart the workers: the option is cached per process.',
  },
  orphans_growing: {
    severity: 'warning',
    title: 'Objects without a row are growing in number',
    remedy:
      'Retries, `airflow db clean` and deleted runs leave objects behind: add a lifecycle rule on the prefix longer than any run is kept.',
  },
  permissions_unverifiable: {
    severity: 'warning',
    title: 'Missing and forbidden objects look alike',
    remedy: 'Allow s3:ListBucket on the bucket for the exporter’s credentials.',
  },
  exporter_behind: {
    severity: 'warning',
    title: 'The figures are partial',
    remedy:
      'Raise s3.requests-per-cycle or labels.max-dags, or sample less often; see the evidence for which.',
  },
  third_party_backend: {
    severity: 'info',
    title: 'References of another XCom backend',
    remedy:
      'Nothing to do if that backend is intended: its objects are counted as storage="other", not checked.',
  },
} as const satisfies Record<string, ProblemKind>;

/** What a canary alone can tell. */
export type CanaryCode = 'canary_failing' | 'canary_silent' | 'worker_settings_differ';
export const CANARY_CODES: ReadonlySet<ProblemCode> = new Set<CanaryCode>([
  'canary_failing',
  'canary_silent',
  'worker_settings_differ',
]);

export type ProblemCode = keyof typeof PROBLEMS;

export const PROBLEM_CODES = Object.keys(PROBLEMS) as readonly ProblemCode[];

/** In the repository and in the package; the daemon serves it under the same path. */
export const RUNBOOK = 'docs/runbook.md';

/** Where the runbook has more: the one link of pages, `check` and alerts. */
export function runbookOf(code: ProblemCode): string {
  return `${RUNBOOK}#${code}`;
}

/** What a verdict rests on, by the code; all others rest on the rows of the database. */
export const SOURCES: Readonly<Partial<Record<ProblemCode, 'settings' | 'probe'>>> = {
  threshold_disabled: 'settings',
  compression_unsupported: 'settings',
  write_denied: 'probe',
  bucket_unreachable: 'probe',
  permissions_unverifiable: 'probe',
};

/** What settings or catalogue say is certain, and so is a permission that was just made use of: clear at once. */
export const CERTAIN: ReadonlySet<ProblemCode> = new Set([
  'threshold_disabled',
  'compression_unsupported',
  'schema_unsupported',
  'airflow_too_old',
  'write_denied',
  'permissions_unverifiable',
]);
