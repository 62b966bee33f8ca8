import type { CanarySettings } from '../../../src/canary/report.ts';
import type { CanaryVerdict, PoolVerdict } from '../../../src/canary/verdict.ts';
import { describe, expect, test } from 'vitest';
import type { Shape } from '../../../src/airflow/shape.ts';
import { conclude, concludeAgain } from '../../../src/diagnosis/conclude.ts';
import { diagnose } from '../../../src/diagnosis/diagnose.ts';
import type { Observation, Sampled } from '../../../src/diagnosis/diagnose.ts';
import { NO_EVIDENCE } from '../../../src/diagnosis/evidence.ts';
import type { Evidence } from '../../../src/diagnosis/evidence.ts';
import { PROBLEMS, PROBLEM_CODES } from '../../../src/diagnosis/problem-catalogue.ts';
import type { Grounds, ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import { momentOf } from '../../../src/diagnosis/problem.ts';
import type { Kind } from '../../../src/diagnosis/evidence-kinds.ts';
import type { Survey } from '../../../src/diagnosis/survey.ts';
import type { Placed } from '../../../src/diagnosis/worker-pools.ts';
import type { ProbeResult, ProbeStep } from '../../../src/probe/bucket.ts';
import { ProxyFailure } from '../../../src/s3/agents.ts';
import { CredentialsFailure } from '../../../src/s3/credentials-failure.ts';
import { explainFailure, unasked, unknown } from '../../../src/s3/failure.ts';
import type { ToldSetting } from '../../../src/settings/catalogue.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { lookOf } from '../../support/canary.ts';

/**
 * Tries every rule of the verdict on plain values: its sentence, when nothing is raised, when nothing is known, and
 * the limits.
 */

const SHAPE: Shape = {
  airflow: '3.0-3.2',
  major: 3,
  tooOld: false,
  name: 'xcom-jsonb',
  sources: [{ table: 'xcom', value: 'jsonb', keyedBy: 'dag_run' }],
  mapIndexColumn: 'map_index',
  hasExecutor: true,
  keepsTries: false,
  knowsOwners: false,
  hasRunAfter: true,
  unread: [],
};

const KINDS: readonly Kind[] = [
  'missing',
  'empty',
  'unreadable',
  'path_mismatch',
  'doubtful',
  'leaked',
  'local',
  'third_party',
  'skips',
  'oversize',
  'fallback',
  'otherThreshold',
  'bypassed',
  'aboveThreshold',
  'belowThreshold',
];

/** A moment, and its text in the evidence. */
const AT = Date.UTC(2026, 0, 1, 14, 5);
const MOMENT = '2026-01-01T14:05Z';

/** A window with 10 references, all looked up and found, and 20 small values. */
const SURVEY: Survey = {
  window: {
    seconds: 86_400,
    rows: { db: 20, s3: 10, other: 0 },
    bytes: { db: 2_000, s3: 50_000, other: 0 },
    oversizeRows: 0,
    oversizeBytes: 0,
    broken: { missing: 0, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0 },
    orphanObjects: 0,
    orphanBytes: 0,
    unseenRuns: 0,
    unlistable: { runs: 0, paths: [] },
  },
  rows: Object.fromEntries(KINDS.map((kind) => [kind, NO_EVIDENCE])) as Survey['rows'],
  count: 30,
  references: 10,
  inOtherStore: 0,
  unlooked: { waiting: { rows: 0, oldest: null }, inVain: { rows: 0, oldest: null, reasons: [] } },
  unowned: { missing: 0, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0, skip: 0, disk: 0 },
  inForce: 10,
  inexact: 0,
  unattributed: 0,
  foreign: 0,
  past: 0,
  bypassedSince: { rows: 0, before: 0 },
  doubtful: [],
  largestOversize: 0,
  placed: [],
  paths: [],
  mismatchedPrefixes: [],
  mismatchedBases: [],
  doubtfulPrefixes: [],
  objects: { count: 10, smallest: 1_000 },
  values: { count: 20, largest: 999 },
  times: {
    latestReference: AT,
    keptSince: 0,
    firstKept: null,
    latestSmall: null,
    firstInForce: AT - 3_600_000,
    latestWritten: null,
    latestMismatched: null,
  },
};

const AGREED = { backend: null, path: null, threshold: null, compression: null };
const WORKS: PoolVerdict = {
  name: 'default',
  state: 'works',
  heardAt: Date.UTC(2026, 10, 28),
  payload: null,
  settings: null,
  operations: [],
  succeededAt: {},
  silence: null,
};

const SAMPLED: Sampled = {
  shape: SHAPE,
  survey: SURVEY,
  now: AT,
  orphanGrowth: 'none',
  coverage: 1,
  lagSeconds: 0,
  standby: { lagSeconds: 0, doubt: null },
  unmeasured: 0,
  canary: { pools: [WORKS], differences: [], agreed: AGREED },
  isCanaryGone: false,
};

const OPERATIONS = ['put', 'head', 'get', 'list', 'delete'] as const;
type Operation = (typeof OPERATIONS)[number];
type Failure = Pick<Extract<ProbeStep, { ok: false }>, 'reason' | 'detail' | 'said'>;

/** The failure that the exporter reads from such an answer of S3. */
function answered(code: string, status: number): Failure {
  return explainFailure(
    { name: code, $metadata: { httpStatusCode: status } },
    { now: 0, sent: true, hasBody: true },
  );
}

/** The words for a storage that names no action but accepts other requests. */
const PUT_ALONE =
  's3:PutObject is missing, or the storage does not take the checksum of a PUT (AWS_REQUEST_CHECKSUM_CALCULATION=when_required leaves it out; botocore before 1.36 sends none)';
const REFUSED = answered('AccessDenied', 403);
const DOWN: Failure = explainFailure({ code: 'ECONNREFUSED' }, { now: 0, sent: true, hasBody: true });
const TIMEOUT: Failure = explainFailure(
  { name: 'TimeoutError', message: 'no answer in 7000 ms' },
  { now: 0, sent: true, hasBody: true },
);
/** Answers without a code of S3: a page, and the refusal of a HEAD, which has no body. */
const BY_PROXY: Failure = explainFailure(
  { $metadata: { httpStatusCode: 405 }, $response: { headers: { 'content-type': 'text/html' } } },
  { now: 0, sent: true, hasBody: true },
);
/** Envoy's answers when the mesh has no server for the request. */
const MESH = { $metadata: { httpStatusCode: 503 }, $response: { headers: { 'content-type': 'text/plain' } } };
const BY_MESH: Failure = explainFailure(MESH, { now: 0, sent: true, hasBody: true });
const HEAD_BY_MESH: Failure = explainFailure(MESH, { now: 0, sent: true, hasBody: false });
const BY_RATE_LIMIT: Failure = explainFailure(
  { $metadata: { httpStatusCode: 429 }, $response: { headers: { 'content-type': 'text/plain' } } },
  { now: 0, sent: true, hasBody: true },
);
const PROXY_DOWN: Failure = explainFailure(
  new ProxyFailure('proxy:3128', { status: null, code: 'ECONNREFUSED' }),
  { now: 0, sent: true, hasBody: true },
);
const NO_WAY_TO_STS: Failure = explainFailure(
  new CredentialsFailure(new ProxyFailure('proxy:3128', { status: 407, code: null })),
  { now: 0, sent: false, hasBody: true },
);
const BODILESS: Failure = explainFailure(
  { $metadata: { httpStatusCode: 403 } },
  { now: 0, sent: true, hasBody: false },
);
const NO_CREDENTIALS: Failure = explainFailure(new CredentialsFailure({ name: 'CredentialsProviderError' }), {
  now: 0,
  sent: false,
  hasBody: true,
});

const STS_REFUSED: Failure = explainFailure(
  new CredentialsFailure({ name: 'AccessDenied', $metadata: { httpStatusCode: 403 } }),
  { now: 0, sent: false, hasBody: true },
);
const NOT_SENT: Failure = explainFailure(
  Object.assign(new Error('S3 Accelerate cannot be used in this region'), { name: 'EndpointError' }),
  { now: 0, sent: false, hasBody: true },
);
const NO_REGION: Failure = explainFailure(new Error('Region not accepted: region="eu west"'), {
  now: 0,
  sent: false,
  hasBody: true,
});
const SENT_AWAY: Failure = unasked(unknown('throttled', 'before it was sent', 'exporter'));
const MISMATCH: Failure = { reason: 'content_mismatch', detail: 'other content than was put', said: null };

/** The connection is not known. The process's own credentials stand in for it, and S3 refuses them. */
const STANDS_IN: Failure = {
  ...REFUSED,
  detail:
    'the connection aws is not known here, and with the credentials found in its place: AccessDenied (403)',
  said: REFUSED.said === null ? null : { ...REFUSED.said, by: 'credentials' },
};

function worked(operation: Operation): ProbeStep {
  return { operation, ok: true, seconds: 0 };
}

function failed(operation: Operation, failure: Failure): ProbeStep {
  const { reason, detail, said } = failure;
  return { operation, ok: false, seconds: 0, reason, detail, said };
}

function untried(operation: Operation): ProbeStep {
  return { operation, ok: null };
}

const XCOM = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_';
const ENV: Readonly<Record<string, string>> = {
  [`${XCOM}PATH`]: 's3://aws@bucket/xcom',
  [`${XCOM}THRESHOLD`]: '1000',
  [`${XCOM}COMPRESSION`]: '',
  AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
};

const EXECUTOR = 'AIRFLOW__CORE__EXECUTOR';
const VARIABLES: Readonly<Record<ToldSetting, string>> = {
  'xcom.backend': 'AIRFLOW__CORE__XCOM_BACKEND',
  'xcom.path': `${XCOM}PATH`,
  'xcom.threshold': `${XCOM}THRESHOLD`,
  'xcom.compression': `${XCOM}COMPRESSION`,
};

interface World {
  /** Null removes a variable: nobody has told its setting. */
  readonly env?: Readonly<Record<string, string | null>>;
  /** Replaces what was sampled of a healthy window; null: the database was not read. */
  readonly sampled?: Partial<Sampled> | { readonly unsupported: string } | null;
  readonly survey?: Partial<Survey>;
  readonly window?: Partial<Survey['window']>;
  /** How many rows of each kind there are. */
  readonly rows?: Partial<Record<Kind, number>>;
  /** The operations that did not work; null: no probe has ended. */
  readonly probe?: Partial<Record<Operation, Failure | 'untried'>> | null;
  /** Whose credentials the probe has: the workers' unless given. */
  readonly asker?: ProbeResult['asker'];
  readonly othersWriteFrom?: number;
  readonly othersReachFrom?: number;
  readonly writesFailSince?: number;
}

/** A healthy deployment, except for the given changes. */
function observed(world: World): Observation {
  const { env = {}, sampled = {}, survey, window, rows = {}, probe = {} } = world;
  const { asker = 'workers', writesFailSince = null } = world;
  const { othersWriteFrom = null, othersReachFrom = null } = world;
  const kinds = Object.entries(rows).map(([kind, count]) => [kind, evidenceOf(kind, count)]);
  return {
    config: configOf({ ...ENV, ...env }),
    sampled:
      sampled === null || 'unsupported' in sampled
        ? sampled
        : {
            ...SAMPLED,
            survey: {
              ...SURVEY,
              rows: { ...SURVEY.rows, ...(Object.fromEntries(kinds) as Partial<Survey['rows']>) },
              ...survey,
              window: { ...SURVEY.window, ...window },
            },
            ...sampled,
          },
    probe:
      probe === null
        ? null
        : {
            steps: OPERATIONS.map((operation) => {
              const outcome = probe[operation];
              if (outcome === undefined) return worked(operation);
              return outcome === 'untried' ? untried(operation) : failed(operation, outcome);
            }),
            leftoversDeleted: 0,
            asker,
            othersWriteFrom,
            othersReachFrom,
            writesFailSince,
          },
  };
}

function configOf(env: Readonly<Record<string, string | null>>): Observation['config'] {
  const told = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
  );
  return readConfig({ argv: [], env: told, readFile: () => '' });
}

function evidenceOf(kind: string, rows: number): Evidence {
  return { rows, where: [{ label: 'task', value: kind, rows }], findings: [], written: null };
}

function allProbed(outcome: Failure | 'untried'): Record<Operation, Failure | 'untried'> {
  return { put: outcome, head: outcome, get: outcome, list: outcome, delete: outcome };
}

/** One queue whose values (`rows` of them) went past S3, and another queue with 12 values that did not. */
function bypassed(rows: number): World {
  const on = (queue: string) => ({ queue, executor: null, hostname: null, operator: null });
  const placed: Placed[] = [
    { worker: on('legacy'), bypassed: rows, offloaded: 0, kept: null, latestPut: null },
    { worker: on('default'), bypassed: 0, offloaded: 12, kept: null, latestPut: AT },
  ];
  return {
    rows: { oversize: rows, fallback: rows, bypassed: rows },
    survey: { placed, largestOversize: 2_000 },
  };
}

/**
 * Values of one operator went past S3, kept in these minutes on the first host. Values of another operator on that
 * host went to S3, until minute 10. That operator also put `others` values on another host.
 */
function byOperator({
  kept: [first, last] = [0, 5],
  host = 'a',
  others = 9,
}: {
  readonly kept?: readonly [first: number, last: number];
  readonly host?: string | null;
  readonly others?: number;
}): World {
  const at = (operator: string, hostname: string | null) => ({
    ...{ queue: 'default', executor: null },
    ...{ hostname, operator },
  });
  const put = { bypassed: 0, kept: null };
  const kept = host === null ? null : { first: first * 60_000, last: last * 60_000 };
  const placed: Placed[] = [
    { worker: at('OwnOperator', host), bypassed: 12, offloaded: 0, kept, latestPut: null },
    { worker: at('PythonOperator', host), ...put, offloaded: 3, latestPut: 600_000 },
    ...(others === 0
      ? []
      : [{ worker: at('PythonOperator', 'other'), ...put, offloaded: others, latestPut: AT }]),
  ];
  const world = bypassed(12);
  return { ...world, survey: { ...world.survey, placed } };
}

/** Large values in the database, and not a single reference. */
const WITHOUT_REFERENCES: Partial<Survey> = {
  references: 0,
  inForce: 0,
  objects: { count: 0, smallest: Infinity },
  times: { ...SURVEY.times, latestReference: null, firstInForce: null },
};
const NOWHERE: World = {
  rows: { oversize: 2, fallback: 2 },
  survey: { ...WITHOUT_REFERENCES, largestOversize: 2_000 },
};
const NOTHING_LARGE: World = { survey: WITHOUT_REFERENCES };
const FORMER = 'airflow.providers.common.io.xcom.backend.XComObjectStoreBackend';

/** Sizes on both sides of a threshold that is not the configured one. */
function sizes(world: {
  readonly small?: number;
  readonly large?: number;
  readonly values?: Survey['values'];
  readonly objects?: Survey['objects'];
}): World {
  return {
    rows: { belowThreshold: world.small ?? 0, aboveThreshold: world.large ?? 0 },
    survey: {
      values: world.values ?? { count: 3, largest: 499 },
      objects: world.objects ?? { count: 3, smallest: 500 },
    },
  };
}

/** A pool of workers that has put a value into object storage, below its own path. */
function stored(at: number, path = 's3://aws@bucket/xcom'): World {
  const { settings } = lookOf('default');
  return canary([{ heardAt: at, payload: 'stored', settings: { ...(settings as CanarySettings), path } }]);
}

const REFUSED_SINCE: World = { probe: { put: REFUSED }, othersWriteFrom: AT };

/** References that nobody has looked up, by the reason why they wait. */
function unlooked({
  waitingSince = null,
  askedSince = null,
}: {
  readonly waitingSince?: number | null;
  readonly askedSince?: number | null;
}): Partial<Survey> {
  const rowsSince = (since: number | null) => (since === null ? 0 : 2);
  return {
    unlooked: {
      waiting: { rows: rowsSince(waitingSince), oldest: waitingSince },
      inVain: { rows: rowsSince(askedSince), oldest: askedSince, reasons: ['timeout', 'unconfirmed'] },
    },
  };
}

/** Sets the time of the latest reference whose object is not known to be gone. */
function writtenAt(at: number): Partial<Survey> {
  return { times: { ...SURVEY.times, latestWritten: at } };
}

/** All references lie in another place than the configured one, and every request to the configured place fails. */
function mistyped(place: { bucket: string; connection: string }, failure: Failure): World {
  return {
    probe: allProbed(failure),
    rows: { path_mismatch: 10 },
    survey: {
      mismatchedPrefixes: [`s3://${place.connection}@${place.bucket}/xcom`],
      mismatchedBases: [place],
    },
  };
}

function withTimes(world: World, times: Partial<Survey['times']>): World {
  return { ...world, survey: { ...world.survey, times: { ...SURVEY.times, ...times } } };
}

const UNREAD: World = { sampled: null };
const UNSUPPORTED: World = { sampled: { unsupported: 'there is no table xcom, xcom_v1 or xcom_v2' } };

/** The expected words in a world: the sentence, or that nothing is raised, or that nothing is known. */
type Case = readonly [name: string, world: World, expected: string];

const PULL = { operation: 'pull', ok: true, seconds: 0.1, faults: [] } as const;
const PULL_FAILS = { ...PULL, ok: false, faults: ['nothing was handed over'] } as const;
const READ_BACK: Partial<PoolVerdict> = { payload: 'stored', operations: [PULL] };

/** A canary with these pools. */
function canary(
  pools: readonly Partial<PoolVerdict>[],
  differences: CanaryVerdict['differences'] = [],
): World {
  return {
    sampled: { canary: { pools: pools.map((pool) => ({ ...WORKS, ...pool })), differences, agreed: AGREED } },
  };
}
const SILENT = {
  name: 'gpu',
  state: 'silent',
  silence: 'its task waits (queued): no worker takes it',
} as const;
const FAILS = {
  name: 'legacy',
  state: 'fails',
  operations: [{ operation: 'pull', ok: false, seconds: 1, faults: ['nothing was handed over'] }],
} as const;
const DIFFERS = {
  option: 'xcom_objectstorage_path',
  values: [
    { value: 's3://aws@bucket/xcom', pools: ['default', 'gpu'] },
    { value: '', pools: ['legacy'] },
  ],
  told: null,
  odd: ['legacy'],
} as const;

const ON_DISK = { [`${XCOM}PATH`]: 'file:///opt/xcom' };
const FOUND: Evidence['findings'][number] = {
  ...{ dagId: 'orders', runId: 'r', taskId: 't', mapIndex: -1, key: 'k', bytes: 1, at: 0 },
  ...{ queue: null, executor: null, hostname: 'one', operator: null },
};
const SEEN_ON_TWO: Evidence = {
  ...{ rows: 2, where: [], written: null },
  findings: [FOUND, { ...FOUND, hostname: 'two' }],
};

const CASES: Readonly<Record<ProblemCode, readonly Case[]>> = {
  schema_unsupported: [
    ['no table that is known', UNSUPPORTED, 'There is no table xcom, xcom_v1 or xcom_v2.'],
    ['a known shape', {}, 'clear'],
    ['database not read', UNREAD, 'unknown'],
  ],
  airflow_too_old: [
    [
      'before 2.9',
      { sampled: { shape: { ...SHAPE, airflow: 'before 2.9', name: 'xcom-bytea', tooOld: true } } },
      'The tables have the shape of Airflow before 2.9: xcom-bytea.',
    ],
    ['a release that has the backend', {}, 'clear'],
    ['no known shape', UNSUPPORTED, 'unknown'],
    ['database not read', UNREAD, 'unknown'],
  ],
  threshold_disabled: [
    [
      'nothing large yet',
      { env: { [`${XCOM}THRESHOLD`]: '-1' }, survey: WITHOUT_REFERENCES },
      'The threshold is -1 although s3://aws@bucket/xcom is configured; no value in the database has 1 MiB (1,048,576 B) or more.',
    ],
    [
      'large values',
      {
        env: { [`${XCOM}THRESHOLD`]: '-1' },
        survey: WITHOUT_REFERENCES,
        rows: { oversize: 2, fallback: 2 },
        window: { oversizeRows: 2, oversizeBytes: 3_000_000 },
      },
      'The threshold is -1 although s3://aws@bucket/xcom is configured; the database holds 2 values of at least 1 MiB (1,048,576 B), 2.9 MiB (3,000,000 B) together.',
    ],
    [
      'database not read',
      { env: { [`${XCOM}THRESHOLD`]: '-1' }, ...UNREAD },
      'The threshold is -1 although s3://aws@bucket/xcom is configured.',
    ],
    [
      'no known shape',
      { env: { [`${XCOM}THRESHOLD`]: '-1' }, ...UNSUPPORTED },
      'The threshold is -1 although s3://aws@bucket/xcom is configured.',
    ],
    [
      'references until values as large stayed in the database',
      {
        env: { [`${XCOM}THRESHOLD`]: '-1' },
        survey: { times: { ...SURVEY.times, keptSince: 1 } },
      },
      `The threshold is -1 although s3://aws@bucket/xcom is configured; no value in the database has 1 MiB (1,048,576 B) or more; values went to S3 until ${MOMENT}.`,
    ],
    ['references contradict it', { env: { [`${XCOM}THRESHOLD`]: '-1' } }, 'unknown'],
    ['nobody told the threshold', { env: { [`${XCOM}THRESHOLD`]: null } }, 'unknown'],
    ['0 is a threshold', { env: { [`${XCOM}THRESHOLD`]: '0' } }, 'clear'],
    ['no path', { env: { [`${XCOM}THRESHOLD`]: '-1', [`${XCOM}PATH`]: '' } }, 'clear'],
    [
      'another backend has it',
      { env: { [`${XCOM}THRESHOLD`]: '-1', AIRFLOW__CORE__XCOM_BACKEND: 'company.S3XComBackend' } },
      'clear',
    ],
    [
      'the backend is none, and the path is there for one',
      { env: { [`${XCOM}THRESHOLD`]: '-1', AIRFLOW__CORE__XCOM_BACKEND: '' }, ...UNREAD },
      'The threshold is -1 although s3://aws@bucket/xcom is configured.',
    ],
    [
      'nobody told the backend',
      { env: { [`${XCOM}THRESHOLD`]: '-1', AIRFLOW__CORE__XCOM_BACKEND: null }, ...UNREAD },
      'unknown',
    ],
  ],
  backend_inactive: [
    [
      'no reference',
      NOWHERE,
      'The database holds 2 values of at least 1000 B, the largest of 2 KiB (2,000 B), and not one reference is in the window.',
    ],
    [
      'one value more that the server wrote',
      { ...NOWHERE, rows: { oversize: 2, fallback: 1 } },
      'The database holds 2 values of at least 1000 B, the largest of 2 KiB (2,000 B) (1 written by the REST API or the server), and not one reference is in the window.',
    ],
    ['one reference', { ...NOWHERE, survey: { ...NOWHERE.survey, references: 1 } }, 'clear'],
    [
      'the server may have written all of them',
      { ...NOWHERE, survey: { ...NOWHERE.survey, unattributed: 2 } },
      'unknown',
    ],
    [
      'one is of a worker',
      { ...NOWHERE, survey: { ...NOWHERE.survey, unattributed: 1 } },
      'The database holds 2 values of at least 1000 B, the largest of 2 KiB (2,000 B), and not one reference is in the window.',
    ],
    ['only the server wrote large values', { ...NOWHERE, rows: { oversize: 2 } }, 'unknown'],
    ['the threshold says so', { ...NOWHERE, env: { [`${XCOM}THRESHOLD`]: '-1' } }, 'clear'],
    [
      'nobody told the backend: the path and the threshold are there for one',
      { ...NOWHERE, env: { AIRFLOW__CORE__XCOM_BACKEND: null } },
      'The database holds 2 values of at least 1000 B, the largest of 2 KiB (2,000 B), and not one reference is in the window.',
    ],
    [
      'another backend, which may do as it likes',
      { ...NOWHERE, env: { AIRFLOW__CORE__XCOM_BACKEND: 'company.Backend' } },
      'unknown',
    ],
    [
      'another backend, and nothing large yet',
      { ...NOTHING_LARGE, env: { AIRFLOW__CORE__XCOM_BACKEND: 'company.Backend' } },
      'unknown',
    ],
    [
      'the class of common-io 1.3.0, and nothing large yet',
      { ...NOTHING_LARGE, env: { AIRFLOW__CORE__XCOM_BACKEND: FORMER } },
      'unknown',
    ],
    [
      'nothing large is in the database, for it is on a disk',
      { ...NOTHING_LARGE, rows: { local: 2 }, env: ON_DISK },
      'clear',
    ],
    [
      'no value is in the window',
      { ...NOTHING_LARGE, survey: { ...NOTHING_LARGE.survey, count: 0 } },
      'unknown',
    ],
    [
      'nothing large yet, and a canary was stored and read back',
      { ...canary([READ_BACK]), ...NOTHING_LARGE },
      'clear',
    ],
    [
      'nothing large yet, and a canary was kept in the database',
      { ...canary([{ ...READ_BACK, payload: 'kept' }]), ...NOTHING_LARGE },
      'unknown',
    ],
    [
      'nothing large yet, and a canary was stored and not read back',
      { ...canary([{ ...READ_BACK, operations: [PULL_FAILS] }]), ...NOTHING_LARGE },
      'unknown',
    ],
    [
      'nothing large yet, and a canary was stored and no pull was tried',
      { ...canary([{ ...READ_BACK, operations: [] }]), ...NOTHING_LARGE },
      'unknown',
    ],
    ['another backend with references', { env: { AIRFLOW__CORE__XCOM_BACKEND: 'company.Backend' } }, 'clear'],
    [
      "Airflow's own backend, and nothing large yet",
      { ...NOTHING_LARGE, env: { AIRFLOW__CORE__XCOM_BACKEND: 'airflow.models.xcom.BaseXCom' } },
      "The backend is airflow.models.xcom.BaseXCom, Airflow's own, which keeps every value in the database, although s3://aws@bucket/xcom is configured; no value in the database has 1000 B or more.",
    ],
    [
      "Airflow's own backend by an empty option",
      { ...NOWHERE, env: { AIRFLOW__CORE__XCOM_BACKEND: '' } },
      "The backend is empty, Airflow's own, which keeps every value in the database, although s3://aws@bucket/xcom is configured; the database holds 2 values of at least 1000 B, 0 B together.",
    ],
    [
      "Airflow's own backend, and references that contradict it",
      { env: { AIRFLOW__CORE__XCOM_BACKEND: 'airflow.models.xcom.BaseXCom' } },
      'unknown',
    ],
    [
      "Airflow's own backend, and a value that stayed since the last reference",
      {
        env: { AIRFLOW__CORE__XCOM_BACKEND: 'airflow.models.xcom.BaseXCom' },
        survey: { times: { ...SURVEY.times, keptSince: 1 } },
      },
      `The backend is airflow.models.xcom.BaseXCom, Airflow's own, which keeps every value in the database, although s3://aws@bucket/xcom is configured; no value in the database has 1000 B or more; values went to S3 until ${MOMENT}.`,
    ],
    [
      "Airflow's own backend, and no path that it could use",
      { ...NOWHERE, env: { AIRFLOW__CORE__XCOM_BACKEND: '', [`${XCOM}PATH`]: '' } },
      'clear',
    ],
    ['an empty path', { ...NOWHERE, env: { [`${XCOM}PATH`]: '' } }, 'clear'],
    ['nobody told the path', { ...NOWHERE, env: { [`${XCOM}PATH`]: null } }, 'unknown'],
    ['nobody told the threshold', { ...NOWHERE, env: { [`${XCOM}THRESHOLD`]: null } }, 'unknown'],
    ['one shard of two', { ...NOWHERE, env: { XCOM_EXPORTER_SHARD: '0/2' } }, 'unknown'],
    ['one shard of two with references', { env: { XCOM_EXPORTER_SHARD: '0/2' } }, 'clear'],
    ['database not read', UNREAD, 'unknown'],
    ['no known shape', UNSUPPORTED, 'unknown'],
  ],
  worker_bypass: [
    [
      '3 of 3 there and 0 of 12 elsewhere',
      bypassed(3),
      '3 of 3 large values on queue "legacy" stayed in the database, none of 12 elsewhere. The database holds 3 values of at least 1000 B, the largest of 2 KiB (2,000 B).',
    ],
    ['2 of 2 there may be chance', bypassed(2), 'clear'],
    ['an operator, on the one host, which puts those of others', byOperator({ others: 0 }), 'unknown'],
    ['an operator, on one of the hosts, which puts those of others', byOperator({}), 'unknown'],
    [
      'an operator, on a host that put those of others before, and none since',
      byOperator({ kept: [11, 15] }),
      'unknown',
    ],
    [
      'an operator, on hosts that are not known',
      byOperator({ host: null }),
      '12 of 12 large values on operator "OwnOperator" stayed in the database, none of 12 elsewhere. The database holds 12 values of at least 1000 B, the largest of 2 KiB (2,000 B).',
    ],
    [
      'who wrote others is not known yet',
      { ...bypassed(3), survey: { ...bypassed(3).survey, unattributed: 2 } },
      '3 of 3 large values on queue "legacy" stayed in the database, none of 12 elsewhere; who wrote 2 more large values is not known yet. The database holds 3 values of at least 1000 B, the largest of 2 KiB (2,000 B).',
    ],
    [
      'nothing stands out among those whose worker is known',
      { ...bypassed(2), survey: { ...bypassed(2).survey, unattributed: 2 } },
      'unknown',
    ],
    ['nothing large', {}, 'clear'],
    [
      'the threshold says so',
      {
        env: { [`${XCOM}THRESHOLD`]: '-1' },
        rows: bypassed(3).rows ?? {},
        survey: { ...bypassed(3).survey, times: { ...SURVEY.times, keptSince: 3 } },
      },
      'clear',
    ],
    [
      'it takes no setting to know it',
      {
        ...bypassed(3),
        env: { [`${XCOM}THRESHOLD`]: null, [`${XCOM}PATH`]: null, AIRFLOW__CORE__XCOM_BACKEND: null },
      },
      '3 of 3 large values on queue "legacy" stayed in the database, none of 12 elsewhere. The database holds 3 values of at least 1 MiB (1,048,576 B), the largest of 2 KiB (2,000 B).',
    ],
    [
      'beside objects that a lower threshold left behind',
      {
        rows: { ...bypassed(3).rows, belowThreshold: 3 },
        survey: { ...bypassed(3).survey, objects: { count: 12, smallest: 500 } },
      },
      '3 of 3 large values on queue "legacy" stayed in the database, none of 12 elsewhere. The database holds 3 values of at least 1000 B, the largest of 2 KiB (2,000 B).',
    ],
    [
      'neither threshold nor sizes are known',
      {
        env: { [`${XCOM}THRESHOLD`]: null },
        rows: { oversize: 3, fallback: 3 },
        survey: { objects: { count: 0, smallest: Infinity } },
      },
      'unknown',
    ],
    ['database not read', UNREAD, 'unknown'],
  ],
  compression_unsupported: [
    [
      'snappy',
      { env: { [`${XCOM}COMPRESSION`]: 'snappy' } },
      'The compression is snappy, for which fsspec knows no file extension.',
    ],
    [
      'gz, nothing read',
      { env: { [`${XCOM}COMPRESSION`]: 'gz' }, ...UNREAD, probe: null },
      'The compression is gz, for which fsspec knows no file extension.',
    ],
    // fsspec compares the name letter by letter.
    ...['GZIP', 'zlib', 'brotli', 'br', 'deflate', 'none', ' gzip'].map((compression): Case => [
      compression,
      { env: { [`${XCOM}COMPRESSION`]: compression } },
      `The compression is ${compression}, for which fsspec knows no file extension.`,
    ]),
    ...['zip', 'bz2', 'gzip', 'lzma', 'xz', 'lz4', 'zstd'].map((compression): Case => [
      compression,
      { env: { [`${XCOM}COMPRESSION`]: compression } },
      'clear',
    ]),
    ['none', {}, 'clear'],
    ['nobody told it', { env: { [`${XCOM}COMPRESSION`]: null } }, 'unknown'],
  ],
  canary_failing: [
    [
      'one pool fails',
      canary([{}, FAILS]),
      '1 pool of workers: on legacy: pull failed, nothing was handed over.',
    ],
    [
      'five pools fail',
      canary(Array.from({ length: 5 }, (_, i) => ({ ...FAILS, name: `q${i}` }))),
      '5 pools of workers: on q0: pull failed, nothing was handed over; on q1: pull failed, nothing was handed over; on q2: pull failed, nothing was handed over; and 2 more.',
    ],
    ['all work', canary([{}]), 'clear'],
    ['one did not see where its value went', canary([{}, { state: 'untold' }]), 'unknown'],
    [
      'one fails, and one did not see where its value went',
      canary([{ state: 'untold' }, FAILS]),
      '1 pool of workers: on legacy: pull failed, nothing was handed over.',
    ],
    ['one is not heard', canary([{}, SILENT]), 'unknown'],
    ['one has not been heard yet', canary([{}, { state: 'waits' }]), 'unknown'],
    ['no canary', { sampled: { canary: null } }, 'unknown'],
    ['database not read', UNREAD, 'unknown'],
  ],
  canary_silent: [
    [
      'one pool is silent',
      canary([{}, SILENT]),
      '1 pool of workers: on gpu: nothing since 2026-11-28T00:00:00.000Z; its task waits (queued): no worker takes it.',
    ],
    [
      'it was never heard',
      canary([{ ...SILENT, heardAt: null }]),
      '1 pool of workers: on gpu: it was never heard; its task waits (queued): no worker takes it.',
    ],
    ['all are heard', canary([{}, FAILS, { state: 'untold' }]), 'clear'],
    ['one has not been heard yet', canary([{}, { state: 'waits' }]), 'unknown'],
    ['no canary', { sampled: { canary: null } }, 'unknown'],
    ['database not read', UNREAD, 'unknown'],
  ],
  worker_settings_differ: [
    [
      'one pool differs',
      canary([{}], [DIFFERS]),
      'xcom_objectstorage_path is s3://aws@bucket/xcom on default, gpu, and nothing on legacy.',
    ],
    [
      'all differ from what was told',
      canary([{}], [{ ...DIFFERS, values: DIFFERS.values.slice(0, 1), told: 's3://aws@bucket/old' }]),
      'xcom_objectstorage_path is s3://aws@bucket/xcom on default, gpu; the exporter was told s3://aws@bucket/old.',
    ],
    [
      'all differ from an empty one that was told',
      canary([{}], [{ ...DIFFERS, values: DIFFERS.values.slice(0, 1), told: '' }]),
      'xcom_objectstorage_path is s3://aws@bucket/xcom on default, gpu; the exporter was told that it is empty.',
    ],
    ['all agree', canary([{}]), 'clear'],
    ['one is not heard', canary([{}, SILENT]), 'unknown'],
    ['no canary', { sampled: { canary: null } }, 'unknown'],
    ['database not read', UNREAD, 'unknown'],
  ],
  write_denied: [
    [
      'a permission is missing',
      { probe: { put: REFUSED } },
      `A test write to the bucket bucket was refused: AccessDenied (403); ${PUT_ALONE}.`,
    ],
    [
      'a key that is not known',
      { probe: { put: answered('InvalidAccessKeyId', 403) } },
      'A test write to the bucket bucket was refused: InvalidAccessKeyId (403); the credentials are not accepted.',
    ],
    ['a clock that is wrong', { probe: { put: answered('RequestTimeTooSkewed', 403) } }, 'unknown'],
    ["the exporter's own credentials", { probe: { put: REFUSED }, asker: 'exporter' }, 'unknown'],
    ['others have written since', { ...REFUSED_SINCE, survey: writtenAt(AT) }, 'unknown'],
    [
      'others wrote before',
      { ...REFUSED_SINCE, survey: writtenAt(AT - 1) },
      `A test write to the bucket bucket was refused: AccessDenied (403); ${PUT_ALONE}.`,
    ],
    [
      'others have written since, to another path',
      {
        ...REFUSED_SINCE,
        survey: writtenAt(AT),
        env: {
          [`${XCOM}PATH`]: 's3://aws@bucket/xcom',
          XCOM_EXPORTER_XCOM_PATH: 's3://aws@bucket/xcom,s3://b',
        },
      },
      `A test write to the bucket bucket was refused: AccessDenied (403); ${PUT_ALONE}.`,
    ],
    ['a canary has written since', { ...REFUSED_SINCE, ...stored(AT) }, 'unknown'],
    [
      'a canary wrote before',
      { ...REFUSED_SINCE, ...stored(AT - 1) },
      `A test write to the bucket bucket was refused: AccessDenied (403); ${PUT_ALONE}.`,
    ],
    [
      'a canary has written since, below the path',
      { ...REFUSED_SINCE, ...stored(AT, 's3://aws@bucket/xcom/v2/') },
      'unknown',
    ],
    ...[
      ['to another bucket', 's3://aws@other/xcom'],
      ['beside the path', 's3://aws@bucket/xcom-old'],
      ['above the path', 's3://aws@bucket'],
      ['with another connection', 's3://own@bucket/xcom'],
      ['without the connection', 's3://bucket/xcom'],
      ['to a path that Airflow refuses', 's3://aws:secret@bucket/xcom'],
      ['to its own disk', '/xcom'],
    ].map(([where = '', path]): Case => [
      `a canary has written since, ${where}`,
      { ...REFUSED_SINCE, ...stored(AT, path) },
      `A test write to the bucket bucket was refused: AccessDenied (403); ${PUT_ALONE}.`,
    ]),
    ['it was written', {}, 'clear'],
    ['no write was tried', { probe: { put: 'untried' } }, 'unknown'],
    ['it failed for another reason', { probe: { put: DOWN } }, 'unknown'],
    ['no credentials to ask with', { probe: { put: NO_CREDENTIALS } }, 'unknown'],
    ['no host of AWS to send to', { probe: allProbed(NOT_SENT) }, 'unknown'],
    ['a proxy that opens no way to STS', { probe: allProbed(NO_WAY_TO_STS) }, 'unknown'],
    ['no path in S3', { env: { [`${XCOM}PATH`]: '' } }, 'unknown'],
    ['a path elsewhere', { env: { [`${XCOM}PATH`]: 'gs://bucket/xcom' } }, 'unknown'],
    ['no probe', { probe: null }, 'unknown'],
  ],
  writes_failing: [
    [
      'there is no room',
      { probe: { put: answered('XMinioStorageFull', 507) } },
      'A test write to the bucket bucket failed: XMinioStorageFull (507); there is no room, or a quota is reached.',
    ],
    [
      'something else comes back',
      { probe: { get: MISMATCH } },
      'The bucket bucket took a test write and gave back something else: get, other content than was put.',
    ],
    [
      'HEAD sees something else, and nothing was read',
      { probe: { head: MISMATCH, get: DOWN } },
      'The bucket bucket took a test write and gave back something else: head, other content than was put.',
    ],
    ['HEAD alone sees something else', { probe: { head: MISMATCH } }, 'unknown'],
    ['it was written', {}, 'clear'],
    [
      'there is no room, and others have written since',
      { probe: { put: answered('XMinioStorageFull', 507) }, othersWriteFrom: AT, survey: writtenAt(AT) },
      'unknown',
    ],
    ['it was refused', { probe: { put: REFUSED } }, 'unknown'],
    ['a fault that may pass', { probe: { put: answered('InternalError', 500) } }, 'unknown'],
    [
      'an object is in the way of the prefix',
      { probe: { put: answered('ObjectParentIsFile', 409) } },
      'A test write to the bucket bucket failed: ObjectParentIsFile (409).',
    ],
    ['a gateway asks for fewer requests', { probe: { put: BY_RATE_LIMIT } }, 'unknown'],
    [
      'a gateway has asked for fewer for long',
      { probe: { put: BY_RATE_LIMIT }, writesFailSince: AT },
      `Each test write to the bucket bucket has failed since ${momentOf(AT)}, lately with no code (429).`,
    ],
    ['a conflict of the moment', { probe: { put: answered('OperationAborted', 409) } }, 'unknown'],
    [
      'a conflict that lasts',
      { probe: { put: answered('ExistingObjectIsDirectory', 409) }, writesFailSince: AT },
      `Each test write to the bucket bucket has failed since ${momentOf(AT)}, lately with ExistingObjectIsDirectory (409).`,
    ],
    [
      'a fault that lasts',
      { probe: { put: answered('InternalError', 500) }, writesFailSince: AT },
      `Each test write to the bucket bucket has failed since ${momentOf(AT)}, lately with InternalError (500).`,
    ],
    [
      'no answer to a write for long, and one to the rest',
      { probe: { put: DOWN }, writesFailSince: AT },
      `Each test write to the bucket bucket has failed since ${momentOf(AT)}, lately with ECONNREFUSED.`,
    ],
    ['nothing answers for long', { probe: allProbed(DOWN), writesFailSince: AT }, 'unknown'],
    [
      'a proxy answers a write, and S3 the listing',
      { probe: { ...allProbed('untried'), put: BY_PROXY, head: BODILESS, list: REFUSED } },
      'A test write to the bucket bucket failed: no code (405); a proxy in between answers in place of S3.',
    ],
    ['it was refused for long', { probe: { put: REFUSED }, writesFailSince: AT }, 'unknown'],
    [
      'a fault that lasts, and others have written since',
      {
        probe: { put: answered('InternalError', 500) },
        writesFailSince: AT,
        othersWriteFrom: AT,
        survey: writtenAt(AT),
      },
      'unknown',
    ],
    ['nothing answers', { probe: { put: DOWN } }, 'unknown'],
    ['no credentials to ask with', { probe: { put: NO_CREDENTIALS } }, 'unknown'],
    ['no host of AWS to send to', { probe: allProbed(NOT_SENT) }, 'unknown'],
    ['a proxy that opens no way to STS', { probe: allProbed(NO_WAY_TO_STS) }, 'unknown'],
    ['no write was tried', { probe: { put: 'untried' } }, 'unknown'],
    ['no probe', { probe: null }, 'unknown'],
  ],
  reads_denied: [
    [
      'a permission is missing',
      { probe: { get: REFUSED } },
      'Reading a test object in the bucket bucket was refused: get, AccessDenied (403); s3:GetObject is missing.',
    ],
    ['it was read', {}, 'clear'],
    [
      'nothing was written that could be read',
      { probe: { put: REFUSED, head: REFUSED, get: 'untried' } },
      'unknown',
    ],
    ['it failed for another reason', { probe: { get: DOWN } }, 'unknown'],
    ['no probe', { probe: null }, 'unknown'],
  ],
  deletes_denied: [
    [
      'a permission is missing',
      { probe: { delete: REFUSED } },
      'Deleting a test object in the bucket bucket was refused: AccessDenied (403); s3:DeleteObject is missing.',
    ],
    ['it was deleted', {}, 'clear'],
    ['nothing was there to be deleted', { probe: { delete: 'untried' } }, 'unknown'],
    ['it failed for another reason', { probe: { delete: DOWN } }, 'unknown'],
    ['no probe', { probe: null }, 'unknown'],
  ],
  not_watching: [
    [
      'no credentials',
      { probe: { ...allProbed('untried'), put: NO_CREDENTIALS, head: NO_CREDENTIALS, list: NO_CREDENTIALS } },
      'The exporter cannot ask for the bucket bucket: no credentials found, and the exporter asks nothing without a signature, as a worker may: give it AIRFLOW_CONN_… of the connection that the path names, or credentials of AWS.',
    ],
    [
      'nothing is sent to a region that is no name of one',
      { probe: allProbed(NO_REGION) },
      'The exporter cannot ask for the bucket bucket: not sent: the region is no name of a region.',
    ],
    ['no request had its turn', { probe: allProbed(SENT_AWAY) }, 'unknown'],
    [
      'STS refuses the role',
      { probe: allProbed(STS_REFUSED) },
      'The exporter cannot ask for the bucket bucket: no credentials: STS answered AccessDenied (403).',
    ],
    [
      'a proxy opens no way to STS',
      { probe: allProbed(NO_WAY_TO_STS) },
      'The exporter cannot ask for the bucket bucket: no credentials: the proxy proxy:3128 answered 407.',
    ],
    ['one refusal of S3 is an answer', { probe: { ...allProbed('untried'), head: REFUSED } }, 'clear'],
    [
      'its own credentials are not accepted',
      { probe: allProbed(answered('InvalidAccessKeyId', 403)), asker: 'exporter' },
      'The exporter cannot look into the bucket bucket: its credentials are not accepted (InvalidAccessKeyId (403)).',
    ],
    [
      'the credentials of the workers are not accepted',
      { probe: allProbed(answered('InvalidAccessKeyId', 403)) },
      'clear',
    ],
    ...[
      { survey: writtenAt(AT), name: 'a reference' },
      { ...stored(AT), name: 'a canary' },
    ].map(({ name, ...since }): Case => [
      `the credentials are not accepted, and ${name} was written since`,
      { ...since, probe: allProbed(answered('InvalidAccessKeyId', 403)), othersWriteFrom: AT },
      'The exporter cannot look into the bucket bucket: its credentials are not accepted (InvalidAccessKeyId (403)).',
    ]),
    [
      'a clock that is wrong',
      { probe: allProbed(answered('RequestTimeTooSkewed', 403)) },
      'The exporter cannot look into the bucket bucket: the clock of this machine is wrong (RequestTimeTooSkewed (403)).',
    ],
    [
      'S3 points to another region',
      { probe: allProbed(answered('PermanentRedirect', 301)) },
      'The exporter cannot look into the bucket bucket: it asks in the wrong region (PermanentRedirect (301)).',
    ],
    [
      'no host of AWS to send to',
      { probe: allProbed(NOT_SENT) },
      'The exporter cannot ask for the bucket bucket: not sent: S3 Accelerate cannot be used in this region.',
    ],
    [
      'no credentials for a connection that no reference names',
      mistyped({ bucket: 'bucket', connection: 'aws_xcom' }, NO_CREDENTIALS),
      'unknown',
    ],
    [
      'no credentials for the connection that references name',
      mistyped({ bucket: 'old', connection: 'aws' }, NO_CREDENTIALS),
      'The exporter cannot ask for the bucket bucket: no credentials found, and the exporter asks nothing without a signature, as a worker may: give it AIRFLOW_CONN_… of the connection that the path names, or credentials of AWS.',
    ],
    ...[
      {
        survey: writtenAt(AT),
        said: 'a reference was written at MOMENT, which Airflow does after its object',
      },
      { ...stored(AT), said: 'the canary of default wrote there at MOMENT' },
    ].map(({ said, ...since }): Case => [
      `nothing answers the exporter, yet ${said}`,
      { ...since, probe: allProbed(DOWN), othersReachFrom: AT },
      `The exporter cannot reach the bucket bucket: unreachable (ECONNREFUSED), yet ${said.replace('MOMENT', momentOf(AT))}.`,
    ]),
    [
      'nothing answers, and others wrote before',
      { probe: allProbed(DOWN), othersReachFrom: AT, survey: writtenAt(AT - 1) },
      'unknown',
    ],
    ['what stands in for a connection may read alone', { probe: { put: STANDS_IN } }, 'clear'],
    ['everything works', {}, 'clear'],
    ['nothing answers', { probe: allProbed(DOWN) }, 'unknown'],
    ['nothing was tried', { probe: allProbed('untried') }, 'unknown'],
    ['no probe', { probe: null }, 'unknown'],
  ],
  bucket_unreachable: [
    ['S3 points to another region', { probe: allProbed(answered('PermanentRedirect', 301)) }, 'unknown'],
    ['nothing is sent to a region that is no name of one', { probe: allProbed(NO_REGION) }, 'unknown'],
    [
      'nothing answers',
      { probe: { ...allProbed('untried'), put: DOWN, head: DOWN } },
      'No request to the bucket bucket succeeds: unreachable (ECONNREFUSED).',
    ],
    [
      'the proxy on the way does not answer',
      { probe: { ...allProbed('untried'), put: PROXY_DOWN, head: PROXY_DOWN } },
      'No request to the bucket bucket succeeds: unreachable (the proxy proxy:3128 did not answer: ECONNREFUSED). What answers the workers is not known.',
    ],
    [
      'it is not there',
      { probe: allProbed(answered('NoSuchBucket', 404)) },
      'No request to the bucket bucket succeeds: no_such_bucket (NoSuchBucket (404)).',
    ],
    [
      'it is not there, and every reference lies in another',
      mistyped({ bucket: 'old', connection: 'aws' }, answered('NoSuchBucket', 404)),
      'unknown',
    ],
    [
      'it is not there, and references name it with another connection',
      mistyped({ bucket: 'bucket', connection: 'old' }, answered('NoSuchBucket', 404)),
      'No request to the bucket bucket succeeds: no_such_bucket (NoSuchBucket (404)).',
    ],
    [
      'nothing answers, and every reference lies in another',
      mistyped({ bucket: 'old', connection: 'aws' }, DOWN),
      'No request to the bucket bucket succeeds: unreachable (ECONNREFUSED).',
    ],
    ...[
      { survey: writtenAt(AT), name: 'a reference' },
      { ...stored(AT), name: 'a canary' },
    ].map(({ name, ...since }): Case => [
      `nothing answers, and ${name} was written since`,
      { ...since, probe: allProbed(DOWN), othersReachFrom: AT },
      'unknown',
    ]),
    [
      'nothing answers, and others wrote before, while test writes alone were refused',
      {
        probe: allProbed(DOWN),
        ...{ othersWriteFrom: AT - 3_600_000, othersReachFrom: AT },
        survey: writtenAt(AT - 1),
      },
      'No request to the bucket bucket succeeds: unreachable (ECONNREFUSED).',
    ],
    [
      'one refused, another unanswered',
      { probe: { ...allProbed('untried'), put: REFUSED, head: DOWN } },
      'clear',
    ],
    [
      'S3 refuses the credentials of the exporter, and a listing alone is not answered',
      { probe: { ...allProbed('untried'), put: REFUSED, head: REFUSED, list: TIMEOUT }, asker: 'exporter' },
      'clear',
    ],
    [
      'S3 has no room, and a listing is not answered',
      { probe: { ...allProbed('untried'), put: answered('QuotaExceeded', 403), list: TIMEOUT } },
      'unknown',
    ],
    [
      'S3 is asked too much, and a listing is not answered',
      { probe: { ...allProbed('untried'), put: answered('SlowDown', 503), list: TIMEOUT } },
      'unknown',
    ],
    [
      'a write is not answered, and S3 points the listing to another region',
      { probe: { ...allProbed('untried'), put: TIMEOUT, list: answered('PermanentRedirect', 301) } },
      'unknown',
    ],
    [
      'a write is refused, and S3 says that there is no bucket',
      { probe: { ...allProbed('untried'), put: REFUSED, list: answered('NoSuchBucket', 404) } },
      'No request to the bucket bucket succeeds: no_such_bucket (NoSuchBucket (404)).',
    ],
    [
      'a proxy answers, and who refuses a HEAD is not known',
      { probe: { ...allProbed(BY_PROXY), head: BODILESS } },
      'No request to the bucket bucket succeeds: a proxy or a web console answers in place of S3 (no code (405)). What answers the workers is not known.',
    ],
    [
      'a mesh has no server, and nothing is written',
      { probe: { ...allProbed('untried'), head: HEAD_BY_MESH, list: BY_MESH } },
      'No request to the bucket bucket succeeds: a proxy or a web console answers in place of S3 (no code (503)). What answers the workers is not known.',
    ],
    [
      'a proxy answers a write, and S3 the listing',
      { probe: { ...allProbed('untried'), put: BY_PROXY, head: BODILESS, list: REFUSED } },
      'clear',
    ],
    ['one refusal is an answer', { probe: { ...allProbed('untried'), head: REFUSED } }, 'clear'],
    ['everything works', {}, 'clear'],
    ['one operation works', { probe: { put: DOWN, head: DOWN, get: DOWN, delete: DOWN } }, 'clear'],
    ['refusals are answers', { probe: allProbed(REFUSED) }, 'clear'],
    ['nothing was tried', { probe: allProbed('untried') }, 'unknown'],
    ['too many requests', { probe: allProbed(answered('SlowDown', 503)) }, 'unknown'],
    ['too many requests for a gateway', { probe: allProbed(BY_RATE_LIMIT) }, 'unknown'],
    [
      'a write is too much for a gateway, and a listing is not answered',
      { probe: { ...allProbed('untried'), put: BY_RATE_LIMIT, list: TIMEOUT } },
      'unknown',
    ],
    ['no credentials to ask with', { probe: allProbed(NO_CREDENTIALS) }, 'unknown'],
    ['no host of AWS to send to', { probe: allProbed(NOT_SENT) }, 'unknown'],
    ['a proxy that opens no way to STS', { probe: allProbed(NO_WAY_TO_STS) }, 'unknown'],
    ['no path in S3', { env: { [`${XCOM}PATH`]: '' } }, 'unknown'],
    ['no probe', { probe: null }, 'unknown'],
  ],
  objects_missing: [
    [
      'one',
      { rows: { missing: 1 } },
      '1 of 10 references in the window points at an object that is not there.',
    ],
    [
      'two',
      { rows: { missing: 2 } },
      '2 of 10 references in the window point at objects that are not there.',
    ],
    [
      'the only one',
      { rows: { missing: 1 }, window: { rows: { db: 0, s3: 1, other: 0 } } },
      '1 of 1 reference in the window points at an object that is not there.',
    ],
    [
      'some, while most are not looked up',
      { rows: { missing: 1 }, window: { broken: { ...SURVEY.window.broken, missing: null } } },
      '1 of 10 references in the window points at an object that is not there.',
    ],
    ['HEAD did not find what was put', { rows: { missing: 1 }, probe: { head: MISMATCH } }, 'unknown'],
    [
      'all',
      { rows: { missing: 10 } },
      '10 of 10 references in the window point at objects that are not there.',
    ],
    ['none', {}, 'clear'],
    ['none was looked up', { window: { broken: { ...SURVEY.window.broken, missing: null } } }, 'unknown'],
    ['some are not known for 2 minutes', { survey: unlooked({ askedSince: AT - 120_000 }) }, 'clear'],
    ['some are not known for longer', { survey: unlooked({ askedSince: AT - 121_000 }) }, 'unknown'],
    ['some wait for a request', { survey: unlooked({ waitingSince: AT - 3_600_000 }) }, 'clear'],
    [
      'one, and others are not known',
      { rows: { missing: 1 }, survey: unlooked({ askedSince: AT - 121_000 }) },
      '1 of 10 references in the window points at an object that is not there.',
    ],
    ['database not read', UNREAD, 'unknown'],
  ],
  objects_empty: [
    ['one', { rows: { empty: 1 } }, '1 of 10 references in the window points at an object of 0 bytes.'],
    ['two', { rows: { empty: 2 } }, '2 of 10 references in the window point at objects of 0 bytes.'],
    ['HEAD tells another size than was put', { rows: { empty: 2 }, probe: { head: MISMATCH } }, 'unknown'],
    ['none', {}, 'clear'],
    ['none was looked up', { window: { broken: { ...SURVEY.window.broken, empty: null } } }, 'unknown'],
    ['some are not known for 2 minutes', { survey: unlooked({ askedSince: AT - 120_000 }) }, 'clear'],
    ['some are not known for longer', { survey: unlooked({ askedSince: AT - 121_000 }) }, 'unknown'],
    [
      'one, and others are not known',
      { rows: { empty: 1 }, survey: unlooked({ askedSince: AT - 121_000 }) },
      '1 of 10 references in the window points at an object of 0 bytes.',
    ],
    ['database not read', UNREAD, 'unknown'],
  ],
  objects_unreadable: [
    [
      'one',
      { rows: { unreadable: 1 } },
      '1 of 10 references in the window points at an object that is in an archive and not restored.',
    ],
    [
      'two',
      { rows: { unreadable: 2 } },
      '2 of 10 references in the window point at objects that are in an archive and not restored.',
    ],
    ['none', {}, 'clear'],
    ['none was looked up', { window: { broken: { ...SURVEY.window.broken, unreadable: null } } }, 'unknown'],
    ['some are not known for 2 minutes', { survey: unlooked({ askedSince: AT - 120_000 }) }, 'clear'],
    ['some are not known for longer', { survey: unlooked({ askedSince: AT - 121_000 }) }, 'unknown'],
    [
      'one, and others are not known',
      { rows: { unreadable: 1 }, survey: unlooked({ askedSince: AT - 121_000 }) },
      '1 of 10 references in the window points at an object that is in an archive and not restored.',
    ],
    ['database not read', UNREAD, 'unknown'],
  ],
  path_mismatch: [
    [
      'one',
      { rows: { path_mismatch: 1 }, survey: { mismatchedPrefixes: ['s3://old/xcom'] } },
      '1 of 10 references in the window lies outside s3://aws@bucket/xcom; seen is s3://old/xcom.',
    ],
    [
      'two under three paths',
      { rows: { path_mismatch: 2 }, survey: { mismatchedPrefixes: ['s3://a/', 's3://b/', 's3://c/'] } },
      '2 of 10 references in the window lie outside s3://aws@bucket/xcom; seen is s3://a/ and 2 more.',
    ],
    [
      'all, and the bucket that was told is not there',
      mistyped({ bucket: 'old', connection: 'aws' }, answered('NoSuchBucket', 404)),
      '10 of 10 references in the window lie outside s3://aws@bucket/xcom; seen is s3://aws@old/xcom. There is no bucket bucket (NoSuchBucket (404)).',
    ],
    [
      'all, and nobody knows the connection that was told',
      mistyped({ bucket: 'bucket', connection: 'aws_xcom' }, NO_CREDENTIALS),
      '10 of 10 references in the window lie outside s3://aws@bucket/xcom; seen is s3://aws_xcom@bucket/xcom. The exporter has no credentials for the connection aws either.',
    ],
    ['none', {}, 'clear'],
    [
      'those of a time before',
      {
        rows: { path_mismatch: 1 },
        survey: {
          mismatchedPrefixes: ['s3://old/xcom'],
          times: { ...SURVEY.times, latestMismatched: AT - 3_600_001 },
        },
      },
      '1 of 10 references in the window lies outside s3://aws@bucket/xcom; seen is s3://old/xcom.',
    ],
    [
      'two paths at once',
      {
        rows: { path_mismatch: 1 },
        survey: { mismatchedPrefixes: ['s3://team/xcom'], times: { ...SURVEY.times, latestMismatched: AT } },
      },
      'unknown',
    ],
    [
      'outside of both',
      {
        env: { XCOM_EXPORTER_XCOM_PATH: 's3://aws@bucket/xcom,s3://team/xcom' },
        rows: { path_mismatch: 1 },
        survey: { mismatchedPrefixes: ['s3://old/xcom'] },
      },
      '1 of 10 references in the window lies outside s3://aws@bucket/xcom and s3://team/xcom; seen is s3://old/xcom.',
    ],
    [
      'what may be of one task alone',
      { rows: { doubtful: 1 }, survey: { doubtfulPrefixes: ['s3://lake/raw'] } },
      'unknown',
    ],
    ['nobody told the path', { env: { [`${XCOM}PATH`]: null }, rows: { path_mismatch: 1 } }, 'unknown'],
    ['database not read', UNREAD, 'unknown'],
  ],
  path_leaked: [
    ['one', { rows: { leaked: 1 } }, '1 row in the window holds the path of another row.'],
    ['two', { rows: { leaked: 2 } }, '2 rows in the window hold the path of another row.'],
    ['none', {}, 'clear'],
    ['database not read', UNREAD, 'unknown'],
  ],
  local_path: [
    [
      'one, and nothing in S3',
      { rows: { local: 1 }, survey: WITHOUT_REFERENCES },
      '1 row in the window names a file on the disk of a worker.',
    ],
    [
      'two, and nothing in S3',
      { rows: { local: 2 }, survey: WITHOUT_REFERENCES },
      '2 rows in the window name a file on the disk of a worker.',
    ],
    ['one beside references: a task may have returned it', { rows: { local: 1 } }, 'unknown'],
    [
      'the path is not known, and there are references',
      { rows: { local: 1 }, env: { [`${XCOM}PATH`]: null } },
      'unknown',
    ],
    [
      'meant, and one machine',
      { rows: { local: 2 }, env: { ...ON_DISK, [EXECUTOR]: 'LocalExecutor' } },
      'clear',
    ],
    [
      'meant, and several machines, which may share it',
      { rows: { local: 2 }, env: { ...ON_DISK, [EXECUTOR]: 'LocalExecutor,k8s:my.KubernetesExecutor' } },
      'unknown',
    ],
    [
      'meant without a scheme, and several machines',
      { rows: { local: 2 }, env: { [`${XCOM}PATH`]: '/mnt/efs/xcom', [EXECUTOR]: 'CeleryExecutor' } },
      'unknown',
    ],
    [
      'a folder that depends on where the worker was started',
      { rows: { local: 2 }, survey: WITHOUT_REFERENCES, env: { [`${XCOM}PATH`]: 'xcom' } },
      '2 rows in the window name a file on the disk of a worker.',
    ],
    ['meant, and the executor is not known', { rows: { local: 2 }, env: ON_DISK }, 'unknown'],
    [
      'meant, on one machine as it is said, but two are seen',
      {
        survey: { rows: { ...SURVEY.rows, local: SEEN_ON_TWO } },
        env: { ...ON_DISK, [EXECUTOR]: 'LocalExecutor' },
      },
      'unknown',
    ],
    [
      'not meant: the path is empty',
      { rows: { local: 1 }, env: { [`${XCOM}PATH`]: '', [EXECUTOR]: 'LocalExecutor' } },
      '1 row in the window names a file on the disk of a worker.',
    ],
    ['none', {}, 'clear'],
    ['database not read', UNREAD, 'unknown'],
  ],
  skip_decision_offloaded: [
    ['one', { rows: { skips: 1 } }, '1 skip decision in the window is a reference.'],
    ['two', { rows: { skips: 2 } }, '2 skip decisions in the window are references.'],
    ['none', {}, 'clear'],
    [
      'Airflow 2 reads them back',
      { rows: { skips: 2 }, sampled: { shape: { ...SHAPE, major: 2 } } },
      'clear',
    ],
    ['database not read', UNREAD, 'unknown'],
  ],
  oversize_in_db: [
    [
      'an operator keeps them on a host that puts those of others',
      byOperator({}),
      'The database holds 12 values of at least 1000 B, the largest of 2 KiB (2,000 B); the threshold is 1000 B, and 10 references in the window are as configured. 12 of 15 large values on hostname "a" stayed in the database, none of 9 elsewhere, those of operator "OwnOperator" on hosts that put others.',
    ],
    [
      'one, on no pool of workers',
      { rows: { oversize: 1, fallback: 1 }, survey: { largestOversize: 1_000 } },
      'The database holds 1 value of at least 1000 B, the largest of 1000 B; the threshold is 1000 B, and 10 references in the window are as configured.',
    ],
    [
      'no threshold is known',
      {
        rows: { oversize: 1, fallback: 1 },
        survey: { largestOversize: 2_000_000, inForce: 1 },
        env: { [`${XCOM}THRESHOLD`]: null, [`${XCOM}PATH`]: null },
      },
      'The database holds 1 value of at least 1 MiB (1,048,576 B), the largest of 1.9 MiB (2,000,000 B); no threshold is known, and 1 reference in the window is as configured.',
    ],
    [
      'only the server wrote large values',
      { ...NOWHERE, rows: { oversize: 2 } },
      'The database holds 2 values of at least 1000 B, the largest of 2 KiB (2,000 B) (2 written by the REST API or the server); what the REST API, the server and other languages write never goes to object storage.',
    ],
    ['none', {}, 'clear'],
    [
      'another backend, which may not go by the threshold',
      { ...NOWHERE, env: { AIRFLOW__CORE__XCOM_BACKEND: 'company.Backend' } },
      'unknown',
    ],
    [
      'another backend, and a limit that was told',
      {
        ...NOWHERE,
        env: { AIRFLOW__CORE__XCOM_BACKEND: 'company.Backend', XCOM_EXPORTER_XCOM_OVERSIZE: '2000' },
      },
      'The database holds 2 values of at least 2 KiB (2,000 B), the largest of 2 KiB (2,000 B); the threshold is 1000 B, and 0 references in the window are as configured.',
    ],
    [
      'another backend, and a value that is large by any measure',
      {
        ...NOWHERE,
        survey: { ...NOWHERE.survey, largestOversize: 2_000_000 },
        env: { AIRFLOW__CORE__XCOM_BACKEND: 'company.Backend' },
      },
      'The database holds 2 values of at least 1000 B, the largest of 1.9 MiB (2,000,000 B); the threshold is 1000 B, and 0 references in the window are as configured.',
    ],
    ['a pool of workers explains it', bypassed(3), 'clear'],
    ['no reference explains it', NOWHERE, 'clear'],
    ['the threshold explains it', { ...NOWHERE, env: { [`${XCOM}THRESHOLD`]: '-1' } }, 'clear'],
    [
      'the threshold would, with a backend that nobody told',
      { ...NOWHERE, env: { [`${XCOM}THRESHOLD`]: '-1', AIRFLOW__CORE__XCOM_BACKEND: null } },
      'The database holds 2 values of at least 1 MiB (1,048,576 B), the largest of 2 KiB (2,000 B); the threshold is -1, and 0 references in the window are as configured.',
    ],
    [
      'a higher threshold everywhere explains it',
      {
        rows: { oversize: 3, fallback: 3, aboveThreshold: 3 },
        survey: { values: { count: 3, largest: 4_999 }, objects: { count: 3, smallest: 5_000 } },
      },
      'clear',
    ],
    ['database not read', UNREAD, 'unknown'],
  ],
  threshold_mismatch: [
    [
      'a lower one everywhere',
      sizes({ small: 3 }),
      'The threshold is 1000 B, but the largest value in the database has 499 B and the smallest object 500 B: the workers use a threshold between the two.',
    ],
    [
      'a higher one everywhere',
      sizes({ large: 3, values: { count: 3, largest: 4_999 }, objects: { count: 3, smallest: 5_000 } }),
      'The threshold is 1000 B, but the largest value in the database has 4.9 KiB (4,999 B) and the smallest object 4.9 KiB (5,000 B): the workers use a threshold between the two.',
    ],
    [
      'a higher one everywhere, or the server wrote the values',
      {
        rows: { aboveThreshold: 3 },
        survey: {
          values: { count: 3, largest: 4_999 },
          objects: { count: 3, smallest: 5_000 },
          unattributed: 1,
        },
      },
      'unknown',
    ],
    [
      'small objects beside values of the same size',
      sizes({ small: 3, values: { count: 3, largest: 500 } }),
      '3 objects are smaller than the threshold of 1000 B, the smallest has 500 B: some workers use a lower one.',
    ],
    [
      'too few values to tell the other side',
      sizes({ small: 3, values: { count: 2, largest: 499 } }),
      '3 objects are smaller than the threshold of 1000 B, the smallest has 500 B: some workers use a lower one.',
    ],
    [
      'a value as large stayed in the database before the last small object',
      withTimes(sizes({ small: 3, values: { count: 3, largest: 999 } }), {
        firstKept: AT,
        latestSmall: AT + 1,
      }),
      `3 objects are smaller than the threshold of 1000 B, the smallest has 500 B: some workers use a lower one, or did until ${momentOf(AT + 1)}.`,
    ],
    [
      'values as large stay in the database since the last small object',
      withTimes(sizes({ small: 3, values: { count: 3, largest: 999 } }), {
        firstKept: AT,
        latestSmall: AT - 1,
      }),
      'clear',
    ],
    ['nobody told the threshold', { ...sizes({ small: 3 }), env: { [`${XCOM}THRESHOLD`]: null } }, 'unknown'],
    [
      'no object was looked up',
      { ...sizes({ small: 3 }), window: { broken: { ...SURVEY.window.broken, missing: null, empty: null } } },
      'unknown',
    ],
    ['two small objects are too few', sizes({ small: 2 }), 'clear'],
    ['two large values are too few', sizes({ large: 2 }), 'clear'],
    [
      'large values beside objects of the same size',
      sizes({ large: 3, values: { count: 3, largest: 500 } }),
      'clear',
    ],
    ['sizes as configured', {}, 'clear'],
    ['a threshold that is none', { ...sizes({ small: 3 }), env: { [`${XCOM}THRESHOLD`]: '-1' } }, 'clear'],
    ['database not read', UNREAD, 'unknown'],
  ],
  orphans_growing: [
    [
      'they grew',
      { sampled: { orphanGrowth: { from: 3, to: 5 } } },
      'Objects that no row refers to grew from 3 to 5 under the runs of the window.',
    ],
    ['they did not', {}, 'clear'],
    ['they were not counted twice', { sampled: { orphanGrowth: 'unknown' } }, 'unknown'],
    ['no run was listed', { window: { orphanObjects: null } }, 'unknown'],
    ['database not read', UNREAD, 'unknown'],
  ],
  permissions_unverifiable: [
    [
      'a listing is refused',
      { probe: { list: REFUSED } },
      'Listing the bucket bucket is refused: AccessDenied (403); s3:ListBucket is missing.',
    ],
    ['everything is refused, which is said of the write', { probe: allProbed(REFUSED) }, 'unknown'],
    [
      'everything is refused, and others have written since',
      { probe: allProbed(REFUSED), othersWriteFrom: AT, survey: writtenAt(AT) },
      'Listing the bucket bucket is refused: AccessDenied (403); s3:ListBucket is missing.',
    ],
    [
      'everything is refused to the credentials of the exporter alone',
      { probe: allProbed(REFUSED), asker: 'exporter' },
      'Listing the bucket bucket is refused: AccessDenied (403); s3:ListBucket is missing.',
    ],
    ['a clock that is wrong', { probe: { list: answered('RequestTimeTooSkewed', 403) } }, 'unknown'],
    ['who asks is not known', { probe: { list: answered('', 401) } }, 'unknown'],
    ['it was listed', { probe: { put: REFUSED } }, 'clear'],
    ['no listing was tried', { probe: { list: 'untried' } }, 'unknown'],
    ['it failed for another reason', { probe: { list: DOWN } }, 'unknown'],
    ['no credentials to ask with', { probe: { list: NO_CREDENTIALS } }, 'unknown'],
    ['no path in S3', { env: { [`${XCOM}PATH`]: '' } }, 'unknown'],
    ['no probe', { probe: null }, 'unknown'],
  ],
  exporter_behind: [
    [
      'one value was not measured',
      { sampled: { unmeasured: 1 } },
      '1 new values were too many or too large to be measured exactly in this cycle.',
    ],
    [
      'a reference waits for more than 2 minutes',
      { sampled: { coverage: 0.995 }, survey: unlooked({ waitingSince: AT - 121_000 }) },
      '99 % of the window is decided; the oldest reference waits since 121 s.',
    ],
    [
      'a reference waits for 2 minutes',
      { sampled: { coverage: 0.5 }, survey: unlooked({ waitingSince: AT - 120_000 }) },
      'clear',
    ],
    [
      'it was asked about in vain: more requests would not help',
      { sampled: { coverage: 0.5 }, survey: unlooked({ askedSince: AT - 3_600_000 }) },
      'clear',
    ],
    ['all is decided', { sampled: { coverage: 1, lagSeconds: 1_000 } }, 'clear'],
    ['database not read', UNREAD, 'unknown'],
  ],
  third_party_backend: [
    [
      'one',
      { rows: { third_party: 1 } },
      '1 row in the window holds a reference of another backend, or to a store that is not S3.',
    ],
    [
      'two',
      { rows: { third_party: 2 } },
      '2 rows in the window hold references of another backend, or to a store that is not S3.',
    ],
    ['none', {}, 'clear'],
    ['database not read', UNREAD, 'unknown'],
  ],
};

function saidOf(code: ProblemCode, world: World): string {
  const { states, problems } = diagnose(observed(world));
  const problem = problems.find((one) => one.code === code);
  expect(states[code] === 'raised').toBe(problem !== undefined);
  return problem?.evidence ?? states[code];
}

describe.each(PROBLEM_CODES)('%s', (code) => {
  test.each(CASES[code])('%s', (_name, world, expected) => {
    expect(saidOf(code, world)).toBe(expected);
  });

  test('is raised, clear and unknown in the table', () => {
    const states = new Set(
      CASES[code].map(([, , expected]) => (['clear', 'unknown'].includes(expected) ? expected : 'raised')),
    );
    expect([...states].sort()).toEqual(['clear', 'raised', 'unknown']);
  });
});

test('of a healthy deployment nothing is said, and nothing is unknown', () => {
  const { states, problems } = diagnose(observed({}));
  expect(problems).toEqual([]);
  expect(new Set(Object.values(states))).toEqual(new Set(['clear']));
});

test('problems come in the order of the catalogue, each with its places', () => {
  const { problems } = diagnose(observed({ rows: { third_party: 1, missing: 2 }, probe: { put: REFUSED } }));
  expect(problems.map(({ code, where }) => [code, where])).toEqual([
    ['write_denied', []],
    ['objects_missing', [{ label: 'task', value: 'missing', rows: 2 }]],
    ['third_party_backend', [{ label: 'task', value: 'third_party', rows: 1 }]],
  ]);
});

test.each<[string, World, ProblemCode, string]>([
  [
    "the exporter's own credentials",
    { probe: { put: REFUSED }, asker: 'exporter' },
    'write_denied',
    `the exporter's own credentials were refused a test put (AccessDenied (403); ${PUT_ALONE}), which says nothing of the workers (if they are to read alone, set probe.write to false)`,
  ],
  [
    'credentials in place of a connection',
    { probe: { put: STANDS_IN }, asker: 'exporter' },
    'write_denied',
    'the connection aws is not known here, and with the credentials found in its place: AccessDenied (403)',
  ],
  [
    'others who write',
    { ...REFUSED_SINCE, survey: writtenAt(AT) },
    'write_denied',
    `a test write to the bucket bucket was refused: AccessDenied (403); ${PUT_ALONE}, yet a reference was written at ${momentOf(AT)}, which Airflow does after its object`,
  ],
  [
    'a canary that writes',
    { ...REFUSED_SINCE, ...stored(AT) },
    'write_denied',
    `a test write to the bucket bucket was refused: AccessDenied (403); ${PUT_ALONE}, yet the canary of default wrote there at ${momentOf(AT)}`,
  ],
  [
    'a bucket that others reach',
    { probe: allProbed(DOWN), othersReachFrom: AT, survey: writtenAt(AT) },
    'bucket_unreachable',
    `no request to the bucket bucket succeeds: unreachable (ECONNREFUSED), yet a reference was written at ${momentOf(AT)}, which Airflow does after its object`,
  ],
  ...(
    [
      [
        'permissions_unverifiable',
        { put: REFUSED, head: REFUSED, list: TIMEOUT },
        'list failed (no answer in 7000 ms)',
      ],
      [
        'write_denied',
        { put: TIMEOUT, head: REFUSED, list: REFUSED },
        'put had no answer in 7000 ms, and a worker waits longer',
      ],
      [
        'write_denied',
        { put: DOWN, head: REFUSED, list: REFUSED },
        'put failed (ECONNREFUSED), which may pass',
      ],
    ] as const
  ).map(([code, probe, words]): [string, World, ProblemCode, string] => [
    `a request without an answer, while S3 refuses others: ${code}, ${words}`,
    { probe: { ...allProbed('untried'), ...probe }, asker: 'exporter' },
    code,
    `a test ${words}`,
  ]),
  ...(['objects_empty', 'objects_unreadable', 'threshold_mismatch'] as const).map(
    (code): [string, World, ProblemCode, string] => [
      `references that were asked about in vain: ${code}`,
      { survey: unlooked({ askedSince: AT - 3_600_000 }) },
      code,
      'the objects of 2 references are not known: S3 did not answer in time; S3 has no usable object, which counts once the same connection is shown another one of the bucket and the row is known to stay',
    ],
  ),
  [
    'canaries that did not see where their values went',
    canary([{ state: 'untold' }, { state: 'untold', name: 'gpu' }]),
    'canary_failing',
    'default, gpu pushed a value and did not see where it went',
  ],
  [
    'references that were asked about in vain',
    { survey: unlooked({ askedSince: AT - 3_600_000 }) },
    'objects_missing',
    'the objects of 2 references are not known: S3 did not answer in time; S3 has no usable object, which counts once the same connection is shown another one of the bucket and the row is known to stay',
  ],
  [
    'an operator that kept its values before hosts put those of others',
    byOperator({ others: 0 }),
    'worker_bypass',
    '12 of 12 large values on operator "OwnOperator" stayed in the database, none of 3 elsewhere; the same hosts put values of other operators into object storage since, so that they have the setting',
  ],
  [
    'an operator that keeps its values while hosts put those of others',
    byOperator({ others: 0, kept: [5, 15] }),
    'worker_bypass',
    '12 of 12 large values on operator "OwnOperator" stayed in the database, none of 3 elsewhere; the same hosts put values of other operators into object storage, so that they have the setting',
  ],
  [
    'an operator that keeps its values since hosts put those of others',
    byOperator({ others: 0, kept: [11, 15] }),
    'worker_bypass',
    '12 of 12 large values on operator "OwnOperator" stayed in the database, none of 3 elsewhere; the same hosts put values of other operators into object storage before, and none since: whether they still have the setting is not known',
  ],
  [
    'an operator that kept its values on one host before it put those of others',
    byOperator({}),
    'worker_bypass',
    '12 of 15 large values on hostname "a" stayed in the database, none of 9 elsewhere, those of operator "OwnOperator" on hosts that put others; the same hosts put values of other operators into object storage since, so that they have the setting',
  ],
  [
    'an operator that keeps its values on one host while it puts those of others',
    byOperator({ kept: [5, 15] }),
    'worker_bypass',
    '12 of 15 large values on hostname "a" stayed in the database, none of 9 elsewhere, those of operator "OwnOperator" on hosts that put others; the same hosts put values of other operators into object storage, so that they have the setting',
  ],
  [
    'an operator that keeps its values on one host since it put those of others',
    byOperator({ kept: [11, 15] }),
    'worker_bypass',
    '12 of 15 large values on hostname "a" stayed in the database, none of 9 elsewhere, those of operator "OwnOperator" on hosts that put others; the same hosts put values of other operators into object storage before, and none since: whether they still have the setting is not known',
  ],
  [
    'a HEAD that tells what is not so',
    { rows: { empty: 6 }, probe: { head: { ...MISMATCH, detail: '0 bytes, 65 were put' } } },
    'objects_empty',
    'a HEAD tells what is not so: 0 bytes, 65 were put',
  ],
])('that nothing can be said is told with its reason: %s', (_, world, code, reason) => {
  const { states, undecided } = diagnose(observed(world));
  expect([states[code], undecided[code]]).toEqual(['unknown', reason]);
});

test('settings with which no push works are part of the figures, whatever the database says', () => {
  const faultOf = (env: Readonly<Record<string, string>>, read: World = {}) => {
    const { config, probe, sampled } = observed({ env, ...read });
    const figures = conclude(sampled, { config, probe, at: AT });
    expect(concludeAgain(figures, { config, probe, at: AT }).pushFault).toEqual(figures.pushFault);
    return figures.pushFault?.sentence ?? null;
  };
  const noNumber = `${XCOM}THRESHOLD is no whole number: Airflow reads a number there, and every push of Airflow fails`;
  expect(faultOf({})).toBeNull();
  expect(faultOf({ [`${XCOM}THRESHOLD`]: '1000 # bytes' })).toBe(noNumber);
  expect(faultOf({ [`${XCOM}THRESHOLD`]: '1MB' }, UNREAD)).toBe(noNumber);
  // Nobody reads the value, or Airflow has another one.
  expect(
    faultOf({ [`${XCOM}THRESHOLD`]: '1MB', AIRFLOW__CORE__XCOM_BACKEND: 'airflow.models.xcom.BaseXCom' }),
  ).toBeNull();
  expect(faultOf({ [`${XCOM}THRESHOLD`]: '1MB', XCOM_EXPORTER_XCOM_THRESHOLD: '1000' })).toBeNull();
  expect(faultOf({ [`${XCOM}THRESHOLD`]: '"1000"' })).toBeNull();
  // The tables tell the release, as long as they are read.
  const ofRelease = (airflow: string) =>
    faultOf({ [`${XCOM}THRESHOLD`]: '1e+3' }, { sampled: { shape: { ...SHAPE, airflow } } });
  expect(ofRelease('2.10-2.11')).toMatch(/before, every push of a task fails/);
  expect(ofRelease('3.3')).toBeNull();
  const faultWith = (extra: object) =>
    faultOf({ AIRFLOW_CONN_AWS: JSON.stringify({ conn_type: 'aws', extra }) });
  const styled = (style: string) => ({ config_kwargs: { s3: { addressing_style: style } } });
  expect(faultWith(styled('PATH'))).toMatch(/addressing_style, has a value that botocore refuses/);
  expect(faultWith(styled('path'))).toBeNull();
  // These faults have other words, and make every push fail too.
  expect(faultWith({ profile_name: '' })).toMatch(/has an empty profile_name, .*: every push fails/);
  expect(faultWith({ config_kwargs: { signature_version: 'unsigned' } })).toMatch(/unsigned/);
  const sts = { service_config: { sts: { endpoint_url: 'http://sts' } } };
  expect(faultWith({ role_arn: 'arn:aws:iam::1:role/x', ...sts })).toMatch(/no region is given/);
  expect(faultWith({ role_arn: 'arn:aws:iam::1:role/x' })).toBeNull();
  // The exporter does this differently, and pushes work.
  expect(faultWith({ verify: false })).toBeNull();
});

describe('while the database is away', () => {
  const figuresOf = (world: World) => {
    const { config, probe, sampled } = observed(world);
    return { options: { config, probe, at: AT }, sampled };
  };
  const afterwards = (before: World, since: World) => {
    const { sampled, options } = figuresOf(before);
    const again = concludeAgain(conclude(sampled, options), figuresOf(since).options);
    return concludeAgain(again, figuresOf(since).options);
  };
  const written: World = { ...REFUSED_SINCE, survey: writtenAt(AT) };

  test('what its rows spoke against is not said', () => {
    const { states, problems, takenBack, undecided } = afterwards(written, REFUSED_SINCE);
    expect([states.write_denied, problems, takenBack]).toEqual(['unknown', [], ['write_denied']]);
    expect(undecided.write_denied).toContain('yet a reference was written');
  });

  test('what the probe finds now is', () => {
    expect(afterwards(written, {}).states.write_denied).toBe('clear');
    const { problems } = afterwards({}, REFUSED_SINCE);
    expect(problems.map(({ code }) => code)).toEqual(['write_denied']);
  });
});

test('while HEAD tells what is not so, no figure rests on it', () => {
  const figures = (head?: Failure) => {
    const { config, probe } = observed({ probe: head === undefined ? {} : { head } });
    return conclude(SAMPLED, { config, probe, at: AT }).window;
  };
  expect(figures()).toEqual(SURVEY.window);
  expect(figures(MISMATCH)).toEqual({
    ...SURVEY.window,
    bytes: { ...SURVEY.window.bytes, s3: null },
    broken: { ...SURVEY.window.broken, missing: null, empty: null, unreadable: null },
  });
});

test.each([
  ['where others were listed', { orphanObjects: 0 }],
  ['where none was', { orphanObjects: null, orphanBytes: null }],
])('the path that S3 refuses to list is why the growth of orphans is not known, %s', (_, figures) => {
  const unlistable = { runs: 3, paths: ['s3://b/theirs (S3 refuses to list it)'] };
  const window = { ...figures, unseenRuns: 3, unlistable };
  const { undecided } = diagnose(observed({ window, sampled: { orphanGrowth: 'unknown' } }));
  expect(undecided.orphans_growing).toBe(
    'there is no listing of 3 ended runs of s3://b/theirs (S3 refuses to list it)',
  );
});

describe('while S3 is asked about some references in vain', () => {
  const broken = (since: number, more: Partial<Survey['window']['broken']> = {}) => {
    const window = { broken: { ...SURVEY.window.broken, ...more } };
    const { config, probe, sampled } = observed({ survey: unlooked({ askedSince: since }), window });
    return conclude(sampled, { config, probe, at: AT }).window?.broken;
  };
  const none = SURVEY.window.broken;

  test('no figure says that nothing is broken', () => {
    expect(broken(AT - 121_000)).toEqual({ ...none, missing: null, empty: null, unreadable: null });
  });

  test('what was found broken is counted', () => {
    const found = { missing: 3, path_mismatch: 2 };
    expect(broken(AT - 121_000, found)).toEqual({ ...none, ...found, empty: null, unreadable: null });
  });

  test('two minutes are as long as a look takes', () => {
    expect(broken(AT - 120_000)).toEqual(none);
  });
});

test("where XComs are refused the logs' connection is named, if it is another", () => {
  const evidenceWith = (connection: string) => {
    const logging = {
      AIRFLOW__LOGGING__REMOTE_LOGGING: 'True',
      AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER: 's3://logs',
      AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID: connection,
    };
    return saidOf('write_denied', { env: logging, probe: { put: REFUSED } });
  };
  const plain = saidOf('write_denied', { probe: { put: REFUSED } });
  expect(evidenceWith('my_s3')).toBe(
    `${plain} Logs go to S3 with the connection my_s3, which XComs do not use: if they are to, write s3://my_s3@bucket/xcom as [common.io] xcom_objectstorage_path.`,
  );
  expect([evidenceWith('aws'), evidenceWith('')]).toEqual([plain, plain]);
});

describe('what the catalogue says that a problem rests on', () => {
  const resting = PROBLEM_CODES.map((code) => [code, PROBLEMS[code].restsOn] as const);
  const stateOf = (code: ProblemCode, world: World) => diagnose(observed(world)).states[code];

  test.each(resting)('%s: the database', (code, { database }) => {
    const unread = stateOf(code, UNREAD);
    if (database === 'nothing') expect(unread).toBe('clear');
    else expect(unread).toBe('unknown');
  });

  test.each(resting)('%s: a database that is not behind', (code, { database }) => {
    const doubt = 'the standby is 412 s behind';
    const world = { sampled: { standby: { lagSeconds: 412, doubt } } };
    const { states, undecided } = diagnose(observed(world));
    expect([states[code], undecided[code]]).toEqual(
      database === 'rows' ? ['unknown', doubt] : ['clear', undefined],
    );
  });

  test.each(resting)('%s: settings, each taken away in turn', (code, { settings }) => {
    const rests: readonly ToldSetting[] = settings;
    for (const [name, variable] of Object.entries(VARIABLES) as [ToldSetting, string][]) {
      const { states, undecided } = diagnose(observed({ env: { [variable]: null } }));
      expect([name, states[code]]).toEqual([name, rests.includes(name) ? 'unknown' : 'clear']);
      if (rests.includes(name)) expect(undecided[code]).toContain(`${name} is not known (give ${variable}=`);
    }
  });

  test.each(resting)('%s: answers about objects', (code, { objects }) => {
    const broken = { ...SURVEY.window.broken, missing: null, empty: null, unreadable: null };
    expect(stateOf(code, { window: { broken } })).toBe(objects ? 'unknown' : 'clear');
  });

  test.each(resting)('%s: the probe', (code, { probe }) => {
    expect(stateOf(code, { probe: null })).toBe(probe.length > 0 ? 'unknown' : 'clear');
  });

  test.each(resting)('%s: operations of the probe', (code, { probe }) => {
    const rests: readonly Operation[] = probe;
    const only = (operations: readonly Operation[]): World => ({
      probe: Object.fromEntries(
        OPERATIONS.filter((one) => !operations.includes(one)).map((one) => [one, 'untried'] as const),
      ),
    });
    const others = OPERATIONS.filter((one) => !rests.includes(one));
    expect(stateOf(code, only(others))).toBe(rests.length === 0 ? 'clear' : 'unknown');
    for (const operation of rests) expect(stateOf(code, only([operation])), operation).toBe('clear');
  });

  /** Settings that change a verdict in one of this file's worlds when nobody tells them. */
  const altered = PROBLEM_CODES.flatMap((code) =>
    [...Object.values(VARIABLES), EXECUTOR]
      .filter((variable) => {
        const isKnown = (told: World) => stateOf(code, told) !== 'unknown';
        return CASES[code].some(([, world]) => {
          const without = { ...world, env: { ...world.env, [variable]: null } };
          return isKnown(world) && stateOf(code, without) !== stateOf(code, world);
        });
      })
      .map((variable) => [code, variable] as const),
  );

  test.each(altered)('%s: %s, which alters it in a world of this file', (code, variable) => {
    const { settings, heeds }: Grounds = PROBLEMS[code].restsOn;
    const name = Object.entries(VARIABLES).find(([, one]) => one === variable)?.[0] ?? variable;
    expect([...settings, ...heeds]).toContain(name);
  });
});
