import type { S3Operation } from '../s3/calls.ts';
import type { ToldSetting } from '../settings/catalogue.ts';

/** How loud a problem is. The same word is the `severity` label of `airflow_xcom_problem`. */
export type Severity = 'critical' | 'warning' | 'info';

/** Everything that a verdict rests on. While one of these is not known, nothing is known of the problem. */
export interface Grounds {
  /** Airflow's settings that somebody must have told. */
  readonly settings: readonly ToldSetting[];
  /** Settings that alter the verdict if they are told, but are not asked for. */
  readonly heeds: readonly (ToldSetting | typeof EXECUTOR)[];
  /** Operations of the probe; at least one of them must have been tried. */
  readonly probe: readonly S3Operation[];
  /** The tables alone, or the rows of the window as well. */
  readonly database: 'nothing' | 'tables' | 'rows';
  /** Answers of S3 about references and objects of the window. */
  readonly objects: boolean;
}

interface ProblemKind {
  readonly severity: Severity;
  readonly title: string;
  readonly remedy: string;
  readonly restsOn: Grounds;
  /**
   * How many observations in a row must speak against the problem before it is cleared. One is enough for what is
   * certain: settings, tables, and a permission that was just used. Two are needed for what may come and go.
   */
  readonly clearsAfter: 1 | 2;
}

const EXECUTOR = 'AIRFLOW__CORE__EXECUTOR';
const NOTHING = {
  settings: [],
  heeds: [],
  probe: [],
  database: 'nothing',
  objects: false,
} as const satisfies Grounds;
const TABLES = { ...NOTHING, database: 'tables' } as const satisfies Grounds;
const ROWS = { ...NOTHING, database: 'rows' } as const satisfies Grounds;
const OBJECTS = { ...ROWS, objects: true } as const satisfies Grounds;

/** Every problem that the exporter can report, most telling first: pages and `check` keep this order. */
export const PROBLEMS = {
  schema_unsupported: {
    severity: 'critical',
    title: 'The tables are no known shape of Airflow',
    remedy:
      'Point database.url at the metadata database and its schema (options=-csearch_path=…), and grant the role USAGE on it. A database that is new gets its tables from `airflow db migrate`. Where Airflow already runs on these tables, it is newer than this exporter: upgrade the exporter.',
    restsOn: TABLES,
    clearsAfter: 1,
  },
  airflow_too_old: {
    severity: 'critical',
    title: 'Airflow is older than 2.9: the object storage backend does not exist there',
    remedy: 'Upgrade Airflow to 2.9.2 or newer before setting [core] xcom_backend.',
    restsOn: TABLES,
    clearsAfter: 1,
  },
  threshold_disabled: {
    severity: 'critical',
    title: 'The threshold is negative: every value stays in the database',
    remedy:
      'Set [common.io] xcom_objectstorage_threshold (AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD) to a size in bytes on every component. Then restart the workers: each process caches the option.',
    restsOn: { ...NOTHING, settings: ['xcom.backend', 'xcom.path', 'xcom.threshold'] },
    clearsAfter: 1,
  },
  backend_inactive: {
    severity: 'critical',
    title: 'Nothing reaches object storage',
    remedy:
      'On a worker, run `airflow config get-value core xcom_backend` and `airflow config get-value common.io xcom_objectstorage_threshold`. Correct the misspelt or missing variable and restart the workers.',
    restsOn: { ...ROWS, settings: ['xcom.path', 'xcom.threshold'], heeds: ['xcom.backend'] },
    clearsAfter: 2,
  },
  worker_bypass: {
    severity: 'critical',
    title: 'Some workers lack the object storage setting',
    remedy:
      'Give the workers named here [core] xcom_backend and the [common.io] xcom_objectstorage_* options that the others have, then restart them. If the evidence names an operator alone, look at the image of its pods.',
    restsOn: { ...ROWS, heeds: ['xcom.path', 'xcom.threshold'] },
    clearsAfter: 2,
  },
  compression_unsupported: {
    severity: 'critical',
    title: 'The configured compression makes pushes fail',
    remedy:
      'Set [common.io] xcom_objectstorage_compression to gzip, bz2, xz, lzma, zip, zstd or nothing. fsspec does not accept `gz` and `snappy`.',
    restsOn: { ...NOTHING, settings: ['xcom.compression'] },
    clearsAfter: 1,
  },
  write_denied: {
    severity: 'critical',
    title: 'Writes to the bucket are denied',
    remedy:
      'If the credentials are not accepted, renew or correct them. If they are, allow them s3:PutObject on the prefix, and kms:GenerateDataKey where KMS encrypts the bucket. Allow what else the evidence names. Remove a policy that denies it, and give the bucket a key of KMS that can be used.',
    restsOn: { ...NOTHING, settings: ['xcom.path'], probe: ['put'] },
    clearsAfter: 1,
  },
  writes_failing: {
    severity: 'critical',
    title: 'Writes to the bucket fail',
    remedy:
      'Do what the answer asks for: make room, raise the quota, read the log of the storage, open the proxy for PUT, or let the endpoint take plain PUT requests. Airflow’s pushes fail as well if they go the same way.',
    restsOn: { ...NOTHING, settings: ['xcom.path'], probe: ['put'] },
    clearsAfter: 2,
  },
  reads_denied: {
    severity: 'critical',
    title: 'Objects in the bucket may not be read',
    remedy:
      'Allow the credentials of the connection s3:GetObject on the prefix. A bucket that is encrypted by KMS also needs kms:Decrypt on the key. Remove a policy that denies it. Where GET alone is allowed, let a proxy or a firewall pass HEAD as well.',
    restsOn: { ...NOTHING, settings: ['xcom.path'], probe: ['get'] },
    clearsAfter: 1,
  },
  not_watching: {
    severity: 'warning',
    title: 'The exporter cannot look into object storage',
    remedy:
      'Set a wrong clock by NTP. Where S3 names another region, set region_name of the connection. Renew credentials that are not accepted. Where there are none, give the exporter the connection that the path names (AIRFLOW_CONN_…), or credentials of AWS. If it assumes a role, the trust policy of the role has to name the exporter and its ExternalId. If the agent of EKS Pod Identity gives none, associate a role with the service account of the exporter. A worker that has none asks without a signature; the exporter does not. If workers still write, open its way to the bucket.',
    restsOn: { ...NOTHING, settings: ['xcom.path'], probe: ['put', 'head', 'get', 'list', 'delete'] },
    clearsAfter: 1,
  },
  canary_failing: {
    severity: 'critical',
    title: 'A pool of workers cannot use its XComs',
    remedy:
      'Open the task of the canary on the queue named here in Airflow: its log has the whole exception. Give those workers the permission, the connection or the path that it asks for.',
    restsOn: ROWS,
    clearsAfter: 1,
  },
  bucket_unreachable: {
    severity: 'critical',
    title: 'The bucket cannot be reached',
    remedy:
      'Check that the bucket exists, its region, the endpoint_url of the connection, TLS and the network path. Where a proxy or a web console answers, endpoint_url has to name the port of S3 itself, or the proxy has to let S3 through. A storage that itself fails says why in its own log.',
    restsOn: { ...NOTHING, settings: ['xcom.path'], probe: ['put', 'head', 'get', 'list', 'delete'] },
    clearsAfter: 2,
  },
  objects_missing: {
    severity: 'critical',
    title: 'Rows point at objects that are gone: tasks are handed a path instead of a value',
    remedy:
      'If all are missing at once, compare endpoint_url, account and bucket of the connection with those of the workers: the exporter may look in another place. Otherwise find what deletes objects under the prefix (lifecycle rule, clean-up job). Then clear the writing tasks so that they write again.',
    restsOn: OBJECTS,
    clearsAfter: 2,
  },
  objects_empty: {
    severity: 'critical',
    title: 'Rows point at empty objects',
    remedy:
      'Clear the writing tasks so that they write again, and find what truncates objects under the prefix.',
    restsOn: OBJECTS,
    clearsAfter: 2,
  },
  objects_unreadable: {
    severity: 'critical',
    title: 'Rows point at objects in an archive: tasks that pull them fail',
    remedy:
      'Take the prefix out of the lifecycle rule, the archive tiers of S3 Intelligent-Tiering or the upload option that puts its objects into an archive. Then restore the objects named here, or clear the tasks that wrote them.',
    restsOn: OBJECTS,
    clearsAfter: 2,
  },
  path_mismatch: {
    severity: 'critical',
    title: 'References lie outside the configured path: Airflow cannot read them back',
    remedy:
      'Set [common.io] xcom_objectstorage_path, connection id included, back to what the rows hold, or clear the tasks that wrote them.',
    restsOn: { ...ROWS, settings: ['xcom.path'] },
    clearsAfter: 2,
  },
  path_leaked: {
    severity: 'critical',
    title: 'Rows hold the path of another row: a task was handed a path instead of a value',
    remedy:
      'Find why the row that the path belongs to could not be read (missing object, changed path), and fix that. Then clear the task.',
    restsOn: ROWS,
    clearsAfter: 2,
  },
  local_path: {
    severity: 'critical',
    title: 'Values are written to the disk of the worker',
    remedy:
      'Set [common.io] xcom_objectstorage_path (AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH) on the workers. There it is empty or names a local path.',
    restsOn: { ...ROWS, heeds: ['xcom.path', EXECUTOR] },
    clearsAfter: 2,
  },
  skip_decision_offloaded: {
    severity: 'critical',
    title: 'Skip decisions went to object storage: branches are silently not skipped',
    remedy:
      'Raise [common.io] xcom_objectstorage_threshold above a few hundred bytes, or upgrade Airflow to a release that keeps skipmixin_key in the database.',
    restsOn: ROWS,
    clearsAfter: 2,
  },
  oversize_in_db: {
    severity: 'warning',
    title: 'Large values are in the database',
    remedy:
      'Look at the tasks listed. If the REST API, the server or a language other than Python wrote a value, have it write less: no setting of a worker moves it. For values of workers, compare their xcom_backend and threshold with the others, or with those from before references stopped. If the evidence names an operator, look at how it writes.',
    restsOn: { ...ROWS, heeds: ['xcom.backend', 'xcom.path', 'xcom.threshold'] },
    clearsAfter: 2,
  },
  worker_settings_differ: {
    severity: 'warning',
    title: 'Pools of workers have different XCom settings',
    remedy:
      'Give the workers named here the [core] xcom_backend and the [common.io] xcom_objectstorage_path and xcom_objectstorage_threshold of the others, and restart them. Tell the exporter the same.',
    restsOn: ROWS,
    clearsAfter: 1,
  },
  canary_silent: {
    severity: 'warning',
    title: 'A pool of workers sends no reports',
    remedy:
      'Open the DAG of the canary in Airflow. A task that waits has no worker. A task that failed without a report may have an XCom backend that cannot be imported there. A DAG that is paused sends nothing. If the queue no longer exists, print the DAG again without it.',
    restsOn: ROWS,
    clearsAfter: 1,
  },
  threshold_mismatch: {
    severity: 'warning',
    title: 'The sizes do not fit the configured threshold',
    remedy:
      'Give every component the same [common.io] xcom_objectstorage_threshold and restart the workers: each process caches the option.',
    restsOn: { ...OBJECTS, settings: ['xcom.threshold'] },
    clearsAfter: 2,
  },
  orphans_growing: {
    severity: 'warning',
    title: 'Objects without a row are growing in number',
    remedy:
      'Retries, `airflow db clean` and deleted runs leave objects behind. Add a lifecycle rule on the prefix that is longer than any run is kept.',
    restsOn: { ...OBJECTS, settings: ['xcom.path'] },
    clearsAfter: 2,
  },
  deletes_denied: {
    severity: 'warning',
    title: 'Objects in the bucket may not be deleted',
    remedy:
      'Allow s3:DeleteObject on the prefix. Airflow deletes the objects of a task before the task runs again, and fails if it may not.',
    restsOn: { ...NOTHING, settings: ['xcom.path'], probe: ['delete'] },
    clearsAfter: 1,
  },
  permissions_unverifiable: {
    severity: 'warning',
    title: 'Missing and forbidden objects look alike',
    remedy: 'Allow s3:ListBucket on the bucket for the exporter’s credentials.',
    restsOn: { ...NOTHING, settings: ['xcom.path'], probe: ['list'] },
    clearsAfter: 1,
  },
  exporter_behind: {
    severity: 'warning',
    title: 'The figures are partial',
    remedy: 'Raise s3.requests-per-cycle or labels.max-dags, or sample less often. The evidence says which.',
    restsOn: OBJECTS,
    clearsAfter: 2,
  },
  third_party_backend: {
    severity: 'info',
    title: 'References of another XCom backend',
    remedy:
      'If you use that backend or store on purpose, do nothing. Its objects count as storage="other" and are not checked.',
    restsOn: ROWS,
    clearsAfter: 2,
  },
} as const satisfies Record<string, ProblemKind>;

/** The problems that only a canary can show. */
export type CanaryCode = 'canary_failing' | 'canary_silent' | 'worker_settings_differ';
export const CANARY_CODES: ReadonlySet<ProblemCode> = new Set<CanaryCode>([
  'canary_failing',
  'canary_silent',
  'worker_settings_differ',
]);

export type ProblemCode = keyof typeof PROBLEMS;

export const PROBLEM_CODES = Object.keys(PROBLEMS) as readonly ProblemCode[];

/** The path in the repository and in the package. The daemon serves the runbook under the same path. */
export const RUNBOOK = 'docs/runbook.md';

/** The section of the runbook for a problem. Pages, `check` and alerts all use this link. */
export function runbookOf(code: ProblemCode): string {
  return `${RUNBOOK}#${code}`;
}
