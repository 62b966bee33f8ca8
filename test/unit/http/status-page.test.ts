import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { MOST_POOLS } from '../../../src/canary/dag-file.ts';
import type { PoolVerdict } from '../../../src/canary/verdict.ts';
import type { Finding } from '../../../src/diagnosis/evidence.ts';
import { MAX_FINDINGS } from '../../../src/diagnosis/evidence.ts';
import { PROBLEM_CODES, PROBLEMS } from '../../../src/diagnosis/problem-catalogue.ts';
import type { ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import type { Problem, ProblemState } from '../../../src/diagnosis/problem.ts';
import type { Report } from '../../../src/diagnosis/report.ts';
import { html } from '../../../src/http/html.ts';
import { parseFindingsQuery, parsePageQuery } from '../../../src/http/queries.ts';
import { renderStatusPage } from '../../../src/http/status-page.ts';
import type { PageView } from '../../../src/http/status-page.ts';
import { STYLE_HASH } from '../../../src/http/style.ts';
import { formatBytes, formatMoment, formatSeconds, shorten } from '../../../src/lib/format.ts';
import { NO_HISTORY, withCycle, withProbe } from '../../../src/status/history.ts';
import { findFindings, statusDocument } from '../../../src/status/status-document.ts';
import type { Status } from '../../../src/status/status.ts';
import { verdictOf } from '../../../src/status/verdict.ts';
import { BACKEND, VERSIONS } from '../../support/canary.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  '"><script>alert(1)</script>',
  `'"&<>`,
  'a\nb',
  'Straße – 東京',
  '<'.repeat(250),
  '\ud800',
  'אבג\u202eexe.gpj',
  '\u0000\u001b[31m',
];

function findingOf(changes: Partial<Finding> = {}): Finding {
  return {
    dagId: 'orders',
    runId: 'scheduled__2026-01-01T00:00:00+00:00',
    taskId: 'extract',
    mapIndex: -1,
    key: 'return_value',
    bytes: 2_097_152,
    queue: 'legacy',
    executor: 'CeleryExecutor',
    hostname: 'worker-1',
    operator: 'PythonOperator',
    at: NOW - 60_000,
    ...changes,
  };
}

function problemOf(code: ProblemCode, changes: Partial<Problem> = {}): Problem {
  return {
    code,
    evidence: '12 of 40 values of 1 MiB and more are in the database.',
    where: [{ label: 'queue', value: 'legacy', rows: 12 }],
    since: NOW - 3_600_000,
    findings: [findingOf()],
    ...changes,
  };
}

const WINDOW: NonNullable<Report['window']> = {
  seconds: 86_400,
  rows: { db: 1_234, s3: 56, other: 0 },
  bytes: { db: 10, s3: null, other: 0 },
  oversizeRows: 12,
  oversizeBytes: 25_165_824,
  broken: { missing: 7, empty: 0, unreadable: 0, path_mismatch: 0, leaked: null },
  orphanObjects: null,
  orphanBytes: null,
  unseenRuns: 0,
  unlistable: { runs: 0, paths: [] },
};

function reportOf(changes: Partial<Report> = {}): Report {
  const raised = (changes.problems ?? []).map(({ code }) => code);
  return {
    at: NOW - 10_000,
    durationSeconds: 0.25,
    databaseFailure: null,
    s3Failure: null,
    s3Answered: true,
    heard: [],
    told: {
      'xcom.backend': true,
      'xcom.path': true,
      'xcom.threshold': true,
      'xcom.compression': true,
    },
    undecided: {},
    takenBack: [],
    backend: {
      airflow: '3.0',
      schema: 'public',
      bucket: 'xcom-bucket',
      prefix: 'team/xcom',
      connection: 'aws_default',
      compression: '',
    },
    canary: { verdict: null, refusals: new Map() },
    thresholdBytes: 1_024,
    observed: {
      threshold: { above: 999, atMost: 1_024 },
      values: 40,
      objects: 12,
      paths: [{ path: 's3://aws_default@xcom-bucket/team/xcom', rows: 12 }],
      elsewhere: 0,
    },
    oversizeBytes: 1_048_576,
    increments: [],
    writes: {},
    window: WINDOW,
    states: Object.fromEntries(
      PROBLEM_CODES.map((code) => [code, raised.includes(code) ? 'raised' : 'clear']),
    ) as Record<ProblemCode, ProblemState>,
    problems: [],
    standbyDoubt: null,
    unreadColumns: [],
    pushFault: null,
    lagSeconds: 0,
    coverage: 0.999,
    ...changes,
  };
}

/** A probe in which every operation worked. */
const WORKED = {
  steps: [
    { operation: 'put', ok: true, seconds: 0.02 },
    { operation: 'head', ok: true, seconds: 0.004 },
  ],
  leftoversDeleted: 0,
} as const;

/** The states that a look gives these problems if it began before a probe had ended. */
const UNPROBED = {
  write_denied: 'unknown',
  writes_failing: 'unknown',
  reads_denied: 'unknown',
  not_watching: 'unknown',
  bucket_unreachable: 'unknown',
  deletes_denied: 'unknown',
  permissions_unverifiable: 'unknown',
} as const;

function statusOf(changes: Partial<Status> = {}): Status {
  return {
    version: '1.2.3',
    startedAt: NOW - 7_200_000,
    reloadedAt: null,
    reloading: false,
    cleared: [],
    now: NOW,
    leader: true,
    report: reportOf(),
    stale: false,
    everRead: true,
    probe: {
      steps: [
        {
          operation: 'put',
          ok: false,
          seconds: 0.02,
          reason: 'denied',
          detail: 'AccessDenied (403)',
          said: {
            by: 's3',
            code: 'AccessDenied',
            status: 403,
            cause: 'permission',
            action: null,
            policy: null,
          },
        },
        { operation: 'head', ok: true, seconds: 0.004 },
        { operation: 'get', ok: null },
      ],
      leftoversDeleted: 0,
    },
    listing: null,
    clockSkewSeconds: null,
    hasStorage: true,
    jobs: [
      {
        job: 'sample',
        runs: 10,
        failures: 1,
        skips: 2,
        lastRunAt: NOW - 10_000,
        lastSuccessAt: null,
        lastDurationSeconds: 0.25,
        lastFailure: 'timeout',
      },
    ],
    requests: null,
    history: NO_HISTORY,
    settings: [
      {
        name: 'window',
        flag: '--window',
        variable: 'XCOM_EXPORTER_WINDOW',
        shown: '24h',
        origin: 'default',
        from: '',
      },
    ],
    warnings: [],
    airflowBaseUrl: null,
    act: null,
    ...changes,
  };
}

/** Names whose characters take the most room: three bytes each and nine in an address, or six in HTML. */
const LONGEST = findingOf({
  dagId: '東'.repeat(70),
  runId: '東'.repeat(70),
  taskId: '東'.repeat(70),
  key: '"'.repeat(250),
  queue: '"'.repeat(250),
  hostname: '"'.repeat(250),
});

/** A row in which every name is this one. */
function namedAll(name: string): Finding {
  return findingOf({
    dagId: name,
    runId: name,
    taskId: name,
    key: name,
    queue: name,
    executor: name,
    hostname: name,
    operator: name,
  });
}

const NONE_BROKEN = { missing: 0, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0 };

/** As many cycles and probes as the history keeps. */
const HISTORY = Array.from({ length: 300 }, (_, i) => NOW - (300 - i) * 30_000).reduce((history, at, i) => {
  const increments = [{ metric: 'value_bytes', storage: 'db', bytes: 4 ** (i % 14) } as const];
  const steps = (['put', 'head', 'get', 'list', 'delete'] as const).map(
    (operation) => ({ operation, ok: true, seconds: 0.01 + (i % 7) / 100 }) as const,
  );
  const rows = { db: 10_000 + i * 37, s3: 20_000 - i * 41, other: i };
  const window = { ...WINDOW, rows, bytes: rows };
  return withProbe(
    withCycle(history, reportOf({ at, increments, window })),
    { steps, leftoversDeleted: 0 },
    at,
  );
}, NO_HISTORY);

const RESOLVED: NonNullable<PoolVerdict['settings']> = {
  backend: BACKEND,
  object_storage: true,
  path: 's3://aws_xcom@airflow-xcom/xcom',
  threshold: '1000',
  compression: '',
  versions: VERSIONS,
};
const WENT: PoolVerdict['operations'] = [
  { operation: 'push', ok: true, seconds: 0.383, faults: [] },
  { operation: 'pull', ok: true, seconds: 0.0324, faults: [] },
];

function poolOf(name: string, changes: Partial<PoolVerdict> = {}): PoolVerdict {
  const nothing = {
    heardAt: null,
    payload: null,
    settings: null,
    operations: [],
    succeededAt: {},
    silence: null,
  };
  return { name, state: 'waits', ...nothing, ...changes };
}

function canaryReport(pools: readonly PoolVerdict[]): Report {
  const agreed = { backend: null, path: null, threshold: null, compression: null };
  return reportOf({ canary: { verdict: { pools, differences: [], agreed }, refusals: new Map() } });
}

const render = (status: Status, view: Partial<PageView> = {}): string =>
  renderStatusPage(status, { problem: null, page: 1, refresh: true, runbook: null, ...view });

/** The text that a reader sees: no tags, entities resolved, white space as one blank. */
function textOf(page: string): string {
  return page
    .replace(/<style>.*<\/style>/s, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ');
}

const headingOf = (status: Status): string | undefined =>
  /<h1>.*<\/svg>(.*?)<\/h1>/s.exec(render(status))?.[1];

describe('the verdict', () => {
  test.each<[string, Partial<Status>]>([
    ['Healthy', { probe: WORKED }],
    ['Unknown: the test put of the probe failed', {}],
    ['Unknown: no probe has ended yet', { probe: null }],
    [
      'Unknown: no probe has been judged yet',
      { probe: WORKED, report: reportOf({ states: { ...reportOf().states, ...UNPROBED } }) },
    ],
    [
      'Unknown: nothing to judge yet, no XCom row is in the window',
      { probe: WORKED, report: reportOf({ window: { ...WINDOW, rows: { db: 0, s3: 0, other: 0 } } }) },
    ],
    [
      'Unknown: nothing to judge yet, no XCom row is in the window',
      {
        probe: WORKED,
        report: reportOf({
          states: { ...reportOf().states, backend_inactive: 'unknown' },
          window: { ...WINDOW, rows: { db: 0, s3: 0, other: 0 } },
        }),
      },
    ],
    [
      'Unknown: not everything critical could be decided',
      {
        probe: WORKED,
        report: reportOf({
          states: { ...reportOf().states, threshold_disabled: 'unknown' },
          window: { ...WINDOW, rows: { db: 0, s3: 0, other: 0 } },
        }),
      },
    ],
    [
      'Unknown: not everything critical could be decided',
      { probe: WORKED, report: reportOf({ states: { ...reportOf().states, worker_bypass: 'unknown' } }) },
    ],
    [
      'Unknown: not everything critical could be decided',
      {
        probe: WORKED,
        report: reportOf({
          states: { ...reportOf().states, compression_unsupported: 'unknown' },
          window: { ...WINDOW, rows: { ...WINDOW.rows, s3: 0 } },
        }),
      },
    ],
    // Nobody told the compression, but the references in the window show that pushes work.
    [
      'Healthy',
      {
        probe: WORKED,
        report: reportOf({ states: { ...reportOf().states, compression_unsupported: 'unknown' } }),
      },
    ],
    // The settings say that no value goes to S3, but references in the window speak against that.
    [
      'Unknown: not everything critical could be decided',
      {
        probe: WORKED,
        report: reportOf({
          states: { ...reportOf().states, threshold_disabled: 'unknown' },
          takenBack: ['threshold_disabled'],
        }),
      },
    ],
    ['No cycle yet', { report: null }],
    ['Settings reloaded, first cycle under way', { report: null, reloadedAt: NOW - 1_000, reloading: true }],
    // A leader again, long after a reload.
    ['No cycle yet', { report: null, reloadedAt: NOW - 1_000 }],
    ['Standby', { leader: false, report: null, jobs: [] }],
    [
      'Unknown: no answer yet on who leads',
      {
        leader: false,
        report: null,
        jobs: statusOf().jobs.map((job) => ({ ...job, runs: 0, lastRunAt: null, lastFailure: null })),
      },
    ],
    ['Unknown: it is not known who leads', { leader: false, report: null }],
    [
      'Unknown: the figures are stale',
      { stale: true, report: reportOf({ problems: [problemOf('path_leaked')] }) },
    ],
    [
      'Unknown: the database has not been read yet',
      {
        stale: true,
        everRead: false,
        // To stand by is a success of the job, and no reading.
        jobs: statusOf().jobs.map((job) => ({ ...job, lastSuccessAt: NOW - 1_000 })),
        report: reportOf({ window: null, databaseFailure: { reason: 'timeout', detail: 'after 5 s' } }),
      },
    ],
    [
      'Unknown: the standby is 412 s behind',
      { probe: WORKED, report: reportOf({ standbyDoubt: 'the standby is 412 s behind' }) },
    ],
    [
      'Unknown: the role may not read task_instance.executor',
      { probe: WORKED, report: reportOf({ unreadColumns: ['task_instance.executor'] }) },
    ],
    [
      'Unknown: with the settings that were told every push fails',
      {
        probe: WORKED,
        report: reportOf({
          pushFault: { sentence: 'The threshold is no number', effect: 'every push fails', unless: null },
        }),
      },
    ],
    [
      'Unknown: the probe tried nothing',
      { probe: { steps: [{ operation: 'put', ok: null }], leftoversDeleted: 0 } },
    ],
    ['1 problem', { report: reportOf({ problems: [problemOf('path_leaked')] }) }],
    [
      '2 problems',
      { report: reportOf({ problems: [problemOf('path_leaked'), problemOf('oversize_in_db')] }) },
    ],
    ['Healthy', { probe: WORKED, report: reportOf({ problems: [problemOf('third_party_backend')] }) }],
    [
      'Unknown: the database could not be read',
      { report: reportOf({ databaseFailure: { reason: 'timeout', detail: 'after 5 s' } }) },
    ],
    [
      'Unknown: nothing could be decided',
      {
        report: reportOf({
          states: Object.fromEntries(PROBLEM_CODES.map((code) => [code, 'unknown'])) as Report['states'],
        }),
      },
    ],
  ])('%s', (title, changes) => {
    expect(headingOf(statusOf(changes))).toBe(title);
  });

  test('nothing is healthy of which the probe can tell nothing', () => {
    const head = {
      operation: 'head',
      ok: false,
      seconds: 0,
      reason: 'denied',
      detail: 'no keys',
      said: { by: 's3', code: 'AccessDenied', status: 403, cause: 'permission', action: null, policy: null },
    } as const;
    const probe = { steps: [{ operation: 'put', ok: null } as const, head], leftoversDeleted: 0 };
    const { states } = reportOf();
    const report = reportOf({ states: { ...states, bucket_unreachable: 'unknown' } });
    expect(verdictOf(statusOf({ report, probe }))).toEqual({
      state: 'unknown',
      title: 'Unknown: object storage could not be looked at',
      notes: ['Cannot read S3: denied (no keys).', 'Not decided: bucket_unreachable.'],
    });
    // No operation failed, and an operation that was not tried need not work.
    const read = { steps: [{ operation: 'put', ok: null } as const, WORKED.steps[1]], leftoversDeleted: 0 };
    expect(verdictOf(statusOf({ report, probe: read })).state).toBe('healthy');
  });

  test('where no path in S3 is configured, that is said', () => {
    expect(verdictOf(statusOf({ probe: null, hasStorage: false }))).toEqual({
      state: 'unknown',
      title: 'Unknown: xcom.path names no place in S3',
      notes: ['xcom.path names no place in S3: object storage was not looked at.'],
    });
    const told = { ...reportOf().told, 'xcom.path': false };
    expect(verdictOf(statusOf({ probe: null, hasStorage: false, report: reportOf({ told }) }))).toEqual({
      state: 'unknown',
      title: 'Unknown: xcom.path is not known',
      notes: ['xcom.path is not known: object storage is probed when the exporter is told it.'],
    });
  });

  test('where the canary alone tells the path, it is said that nothing is probed there', () => {
    const heard = [{ name: 'xcom.path', shown: 's3://b/x', from: 'the canary of queue default' }] as const;
    expect(verdictOf(statusOf({ probe: null, hasStorage: false, report: reportOf({ heard }) }))).toEqual({
      state: 'unknown',
      title: 'Unknown: object storage is not probed',
      notes: [
        'xcom.path is known from the canary alone: object storage is probed when the exporter is told it.',
      ],
    });
    const none = [{ ...heard[0], shown: '' }];
    expect(
      verdictOf(statusOf({ probe: null, hasStorage: false, report: reportOf({ heard: none }) })).title,
    ).toBe('Unknown: xcom.path names no place in S3');
  });

  test('names what was not decided, and why S3 gave no answer', () => {
    const report = reportOf({
      s3Failure: {
        reason: 'denied',
        detail: 'AccessDenied (403)',
      },
    });
    const states = { ...report.states, objects_missing: 'unknown' } as const;
    const { state, notes } = verdictOf(statusOf({ probe: WORKED, report: { ...report, states } }));
    expect(state).toBe('unknown');
    expect(notes).toEqual(['Cannot read S3: denied (AccessDenied (403)).', 'Not decided: objects_missing.']);
  });
});

describe('the page', () => {
  test('shows a problem with its evidence, places, remedy and rows', () => {
    const text = textOf(render(statusOf({ report: reportOf({ problems: [problemOf('worker_bypass')] }) })));
    expect(text).toContain(`critical ${PROBLEMS.worker_bypass.title} : queue legacy , first seen 1 h ago`);
    expect(text).toContain('12 of 40 values of 1 MiB and more are in the database.');
    expect(text).toContain('Where queue legacy (12)');
    expect(text).toContain(`What to do ${PROBLEMS.worker_bypass.remedy}`);
    expect(text).toContain('First seen by the exporter 1 h ago (02:04:05 UTC)');
    expect(text).not.toContain('Last seen');
    expect(text).toMatch(
      /orders .* extract return_value 2 MiB \(2,097,152 B\) worker-1 legacy 1 min ago 03:03:05 UTC/,
    );
  });

  test('of a database that was never read it calls nothing old, and shows what the probe found', () => {
    const problems = [problemOf('bucket_unreachable')];
    const databaseFailure = { reason: 'timeout', detail: 'no answer after 5 s' };
    const pageOf = (changes: Partial<Report>) =>
      textOf(
        render(
          statusOf({
            stale: true,
            everRead: changes.window !== null,
            report: reportOf({ problems, databaseFailure, ...changes }),
          }),
        ),
      );
    const never = pageOf({ window: null });
    expect(never).toContain('no answer after 5 s.');
    expect(never).toContain(`critical ${PROBLEMS.bucket_unreachable.title} : queue legacy`);
    expect(never).not.toMatch(/stale|the past|last good cycle/);
    expect(pageOf({})).toMatch(/the figures are stale.*the past.*Problems at the last good cycle/);
  });

  test('groups the places by what they are', () => {
    const dags = Array.from({ length: 7 }, (_, i) => ({ label: 'dag', value: `d${i}`, rows: 9 - i }));
    const where = [{ label: 'queue', value: 'legacy', rows: 1_200 }, ...dags];
    const problems = [problemOf('worker_bypass', { where })];
    expect(textOf(render(statusOf({ report: reportOf({ problems }) })))).toContain(
      'Where queue legacy (1,200); dag d0 (9), d1 (8), d2 (7), d3 (6), d4 (5), 2 more First seen by the exporter',
    );
  });

  test('says when a problem was last seen, where that is known', () => {
    const problem = { ...problemOf('worker_bypass'), lastSeen: NOW - 120_000 };
    expect(textOf(render(statusOf({ report: reportOf({ problems: [problem] }) })))).toContain(
      'Last seen 2 min ago (03:02:05 UTC)',
    );
  });

  test('links to the runbook where there is one', () => {
    const status = statusOf({ report: reportOf({ problems: [problemOf('worker_bypass')] }) });
    expect(render(status, { runbook: '/docs/runbook.md' })).toContain(
      '<a href="/docs/runbook.md#worker_bypass">Runbook: worker_bypass</a>',
    );
    expect(render(status)).not.toContain('unbook');
  });

  test('says of what is well how much was looked at', () => {
    const window = { ...WINDOW, oversizeRows: 0, broken: NONE_BROKEN };
    expect(textOf(render(statusOf({ probe: WORKED, report: reportOf({ window }) })))).toContain(
      'In the last 24 h: 1,234 values in the database, none of them oversize; 56 in S3, no reference is known to be broken.',
    );
    const partly = { ...window, oversizeRows: 1, broken: { ...NONE_BROKEN, leaked: null } };
    expect(textOf(render(statusOf({ probe: WORKED, report: reportOf({ window: partly }) })))).toContain(
      'In the last 24 h: 1,234 values in the database; 56 in S3.',
    );
  });

  test('shows the window, and says what is not known of it', () => {
    const text = textOf(render(statusOf()));
    expect(text).toContain('The window: the last 24 h');
    expect(text).toContain('values in the database 1,234 10 B');
    expect(text).toContain('references to S3 56 not known');
    expect(text).toContain('broken references: leaked not known');
    expect(text).toContain('objects without a row not known not known');
    expect(text).toContain('99 % of the window is decided');
  });

  test('shows storage, probe, jobs and settings', () => {
    const text = textOf(render(statusOf()));
    expect(text).toContain('bucket xcom-bucket');
    expect(text).toContain('compression -');
    expect(text).toContain(
      'threshold 1 KiB (1,024 B) threshold seen between 1,000 and 1,024 bytes, by the sizes of 12 objects and 40 values in the database',
    );
    expect(text).toContain('path seen s3://aws_default@xcom-bucket/team/xcom (12 references)');
    expect(text).not.toContain('listings');
    const words = 'LIST lacks keys that are there: a HEAD decides what a page lacks';
    expect(textOf(render(statusOf({ listing: { kind: 'lacking', words } })))).toContain(`listings ${words}`);
    // A listing that is as it should be gets no line.
    const whole = { kind: 'whole', words: 'whole, and in the order of keys' } as const;
    expect(textOf(render(statusOf({ listing: whole })))).not.toContain('listings');
    for (const clockSkewSeconds of [null, 0])
      expect(textOf(render(statusOf({ clockSkewSeconds })))).not.toContain('by whose clock');
    expect(textOf(render(statusOf({ clockSkewSeconds: 300 })))).toContain(
      'clock this machine is 5 min behind the storage, by whose clock requests are signed',
    );
    expect(textOf(render(statusOf({ clockSkewSeconds: -61 })))).toContain('ahead of the storage');
    expect(text).toContain('put failed : denied (AccessDenied (403)) 20 ms');
    expect(text).toContain('head ok 4 ms');
    expect(text).toContain('get not tried');
    expect(text).toContain('sample 10 1 2 10 s ago never 250 ms timeout');
    expect(text).toContain('Requests to S3 not known');
    const requests = { sent: 125, ceiling: 500 };
    expect(textOf(render(statusOf({ requests })))).toContain(
      'Requests to S3 125 of at most 500 in the last cycle (25 %)',
    );
    expect(text).not.toContain('Reloaded');
    expect(textOf(render(statusOf({ reloadedAt: NOW - 5_000 })))).toContain(
      'Reloaded 5 s ago (03:04:00 UTC)',
    );
    expect(text).toContain('window 24h default');
  });

  test('shows what the workers say of themselves, a line for each queue', () => {
    const text = textOf(
      render(
        statusOf({
          report: canaryReport([
            poolOf('default', {
              state: 'works',
              settings: RESOLVED,
              operations: WENT,
              heardAt: NOW - 90_000,
            }),
            poolOf('small', {
              state: 'works',
              settings: { ...RESOLVED, threshold: '10485760' },
              payload: 'kept',
              operations: WENT,
              heardAt: NOW,
            }),
            poolOf('legacy', { state: 'silent', silence: 'its task waits (queued): no worker takes it' }),
            poolOf('denied', {
              state: 'fails',
              settings: { ...RESOLVED, path: '', threshold: null },
              operations: [
                { operation: 'push', ok: false, seconds: 0.2, faults: ['the storage answered AccessDenied'] },
                { operation: 'read', ok: false, seconds: 0, faults: ['nothing was handed over'] },
              ],
              heardAt: NOW,
            }),
            poolOf('new', { state: 'waits' }),
          ]),
        }),
      ),
    );
    expect(text).toContain(
      'default works XComObjectStorageBackend s3://aws_xcom@airflow-xcom/xcom 1000 383 ms 32 ms 1 min 30 s ago',
    );
    expect(text).toContain(
      'small works XComObjectStorageBackend s3://aws_xcom@airflow-xcom/xcom 10485760 383 ms, kept in the database 32 ms now',
    );
    expect(text).toContain(
      'legacy silent : its task waits (queued): no worker takes it not known not known not known - - never',
    );
    expect(text).toContain(
      'denied fails XComObjectStorageBackend none unset failed after 200 ms: the storage answered AccessDenied - read failed : nothing was handed over now',
    );
    expect(text).toContain('new not heard yet not known');
    expect(render(statusOf())).not.toContain('id="canary"');
  });

  test.each(HOSTILE)('cannot be broken by a queue that is called %j', (name) => {
    const pools = Array.from({ length: MOST_POOLS }, (_, i) =>
      poolOf(`${i}${name}`.slice(0, 100), {
        state: 'fails',
        settings: { ...RESOLVED, path: name, backend: name, threshold: name },
        operations: [{ operation: 'push', ok: false, seconds: 1, faults: [name] }],
        silence: name,
        heardAt: NOW,
      }),
    );
    const page = render(statusOf({ report: canaryReport(pools) }));
    const plain = render(statusOf({ report: canaryReport(pools.map((_, i) => poolOf(`q${i}`))) }));
    expect(page).not.toMatch(/<script|<img/i);
    expect(page).not.toMatch(/[\u202e\u0000\u001b]/u);
    expect(page.match(/<tr/g)?.length).toBe(plain.match(/<tr/g)?.length);
    expect(Buffer.byteLength(page)).toBeLessThan(150_000);
  });

  test('says what is odd about the settings, beside them', () => {
    const page = render(statusOf({ warnings: ['AIRFLOW__A is no variable: did you mean AIRFLOW__B?'] }));
    expect(textOf(/<section id="settings".*<\/section>/s.exec(page)?.[0] ?? '')).toContain(
      'Configuration AIRFLOW__A is no variable: did you mean AIRFLOW__B? Settings at their default: 1',
    );
    expect(render(statusOf())).not.toContain('class="odd"');
  });

  test('folds the settings that nobody gave', () => {
    const { settings } = statusOf();
    const given = settings.map((one) => ({
      ...one,
      name: 'xcom.path' as const,
      shown: 's3://b/x',
      origin: 'variable' as const,
    }));
    const page = render(statusOf({ settings: [...settings, ...given] }));
    const [shown = '', folded = ''] = (/<section id="settings".*<\/section>/s.exec(page)?.[0] ?? '').split(
      '<details>',
    );
    expect(textOf(shown)).toContain('xcom.path s3://b/x variable');
    expect(textOf(shown)).not.toContain('24h');
    expect(textOf(folded)).toContain('Settings at their default: 1');
    expect(textOf(folded)).toContain('window 24h default');
    expect(textOf(folded)).not.toContain('xcom.path');
  });

  test('says of a probe that never ran whether one will', () => {
    const probing = (runs: number) => statusOf().jobs.map((job) => ({ ...job, job: 'probe', runs }) as const);
    const textAfter = (runs: number) => textOf(render(statusOf({ probe: null, jobs: probing(runs) })));
    expect(textAfter(0)).toContain('No probe has ended yet.');
    expect(textAfter(1)).toContain('The exporter was told no path in S3: nothing is probed.');
  });

  test('shows what the demo plays', () => {
    expect(textOf(render(statusOf({ act: 'Act 2: one worker lacks the setting' })))).toContain(
      'Demo: Act 2: one worker lacks the setting',
    );
    expect(render(statusOf())).not.toContain('Demo:');
  });

  test('draws what is known of the past, and no sizes where none were counted', () => {
    expect(render(statusOf({ history: HISTORY })).match(/<figcaption>/g)).toHaveLength(3);
    const uncounted = withCycle(NO_HISTORY, reportOf());
    expect(render(statusOf({ history: uncounted })).match(/<figcaption>/g)).toHaveLength(2);
    expect(render(statusOf())).not.toContain('<figure>');
  });

  test('has all problems before the rows of any', () => {
    const problems = [problemOf('backend_inactive'), problemOf('objects_missing')];
    const page = render(statusOf({ report: reportOf({ problems }) }));
    const placeOf = (text: string) => page.indexOf(text);
    expect(placeOf('id="objects_missing"')).toBeLessThan(placeOf('class="findings"'));
    expect(page.match(/class="findings"/g)).toHaveLength(2);
    expect(textOf(page)).toContain(`${PROBLEMS.objects_missing.title}: the latest row`);
  });

  test('tells when the rows were written from when the exporter first saw it', () => {
    const written = { first: NOW - 7_200_000, last: NOW - 60_000 };
    const problems = [problemOf('objects_missing', { written })];
    expect(textOf(render(statusOf({ report: reportOf({ problems }) })))).toContain(
      'Rows written first 2 h ago (01:04:05 UTC) , last 1 min ago (03:03:05 UTC) First seen by the exporter 1 h ago',
    );
  });

  test('gives the object of a row, and the row whose path it holds', () => {
    const object = { bucket: 'xcoms', key: 'xcom/orders/run/extract/0b0e8c4e-0000-4000-8000-000000000000' };
    const owner = { dagId: 'daily', runId: 'manual', taskId: 'load', key: 'return_value', mapIndex: 3 };
    const textWith = (changes: Partial<Finding>) =>
      textOf(
        render(
          statusOf({
            report: reportOf({ problems: [problemOf('path_leaked', { findings: [findingOf(changes)] })] }),
          }),
        ),
      );
    expect(textWith({ object })).toContain(`s3://xcoms/${object.key}`);
    expect(textWith({ object, pathOf: owner })).toContain(
      'the path of dag daily , run manual , task load , key return_value , map index 3',
    );
    expect(textWith({ object, pathOf: { ...owner, key: null, mapIndex: null } })).toContain(
      'task load (not in the window)',
    );
    expect(textWith({ object: { ...object, key: 'k'.repeat(2_000) } })).not.toContain('k'.repeat(1_100));
  });

  test('tells what was cleared lately, and how long it lasted', () => {
    const cleared = [
      {
        code: 'worker_bypass',
        evidence: '6 of 8 large values on queue "<b>" stayed in the database, none of 20 elsewhere.',
        where: [{ label: 'queue', value: '<b>legacy</b>', rows: 6 }],
        since: NOW - 7_200_000,
        clearedAt: NOW - 3_600_000,
      },
    ] as const;
    const page = render(statusOf({ cleared }));
    expect(textOf(page)).toMatch(
      /Cleared lately .* critical Some workers lack the object storage setting queue <b>legacy<\/b> 1 h 1 h ago \(02:04:05 UTC\) 6 of 8/,
    );
    expect(page).not.toContain('<b>legacy');
    expect(render(statusOf())).not.toContain('Cleared lately');
    expect(statusDocument(statusOf({ cleared })).cleared).toMatchObject([
      {
        code: 'worker_bypass',
        severity: 'critical',
        lasted_seconds: 3_600,
        cleared_at: '2026-01-02T02:04:05.000Z',
      },
    ]);
  });

  test('lets the verdict of before stand after a reload, and says so', () => {
    const status = statusOf({
      probe: WORKED,
      report: reportOf({ problems: [problemOf('objects_missing')] }),
      reloadedAt: NOW - 1_000,
    });
    const { title, notes } = verdictOf({ ...status, reloading: true });
    expect(title).toBe('1 problem');
    expect(notes).toEqual([
      'Settings were reloaded at 03:04:04 UTC. The first look with them has not ended: this verdict is of those before.',
    ]);
    expect(verdictOf(status).notes).toEqual([]);
  });

  test('says after a reload that nothing is known yet of these settings', () => {
    const text = textOf(render(statusOf({ report: null, reloadedAt: NOW - 1_000, reloading: true })));
    expect(text).toContain('Nothing has been measured with these settings yet.');
    expect(textOf(render(statusOf({ report: null })))).toContain('Nothing has been measured yet.');
  });

  test('has no script, one style that its hash allows, and headers with a scope', () => {
    const page = render(statusOf({ history: HISTORY }));
    expect(page).not.toMatch(/<script| on\w+=|style=|javascript:/i);
    const style = /<style>(.*)<\/style>/s.exec(page)?.[1] ?? '';
    expect(`sha256-${createHash('sha256').update(style).digest('base64')}`).toBe(STYLE_HASH);
    expect(page.match(/<th[ >]/g)?.length).toBe(page.match(/<th scope="(?:row|col)"/g)?.length);
    for (const landmark of ['<header', '<main', '<footer', 'lang="en"']) expect(page).toContain(landmark);
    expect(style).toContain('prefers-color-scheme:dark');
  });

  test('shows ten rows and says how many more there are', () => {
    const findings = Array.from({ length: 50 }, (_, i) => findingOf({ key: `key-${i}` }));
    const page = render(
      statusOf({ report: reportOf({ problems: [problemOf('worker_bypass', { findings })] }) }),
    );
    expect(page).toContain('key-9<');
    expect(page).not.toContain('key-10<');
    expect(page).toContain('<a href="/?problem=worker_bypass">Show all 50 rows</a>');
  });

  test.each([
    [
      'names as people give them',
      findingOf({ dagId: 'orders_daily_load', taskId: 'transform.load_to_warehouse' }),
    ],
    [
      'names as long as Airflow allows',
      findingOf({ dagId: 'd'.repeat(250), runId: 'r'.repeat(250), taskId: 't'.repeat(250) }),
    ],
    ['names that are long to write', LONGEST],
    ['names that are meant to harm', namedAll('<img src=x onerror=alert(1)>'.repeat(9).slice(0, 250))],
  ])('stays under 100 kB with every problem and as many rows of each as are kept: %s', (_, finding) => {
    const findings = Array.from({ length: MAX_FINDINGS }, () => finding);
    const where = Array.from({ length: 9 }, () => ({ label: 'dag', value: finding.dagId, rows: 1 }));
    const problems = PROBLEM_CODES.map((code) => problemOf(code, { findings, where }));
    const settings = Array.from({ length: 25 }, () => statusOf().settings).flat();
    const page = render(
      statusOf({
        report: reportOf({ problems }),
        settings,
        airflowBaseUrl: 'https://airflow.example.com',
        history: HISTORY,
      }),
      { runbook: '/docs/runbook.md' },
    );
    expect(Buffer.byteLength(page)).toBeLessThan(100_000);
    for (const code of PROBLEM_CODES) expect(page).toContain(`problem=${code}">`);
  });

  test.each(HOSTILE)('cannot be broken by %j in any place', (name) => {
    const finding = namedAll(name);
    const problem = problemOf('objects_missing', {
      evidence: name,
      where: [{ label: name, value: name, rows: 1 }],
      findings: [finding],
    });
    const hostile = statusOf({
      version: name,
      act: name,
      airflowBaseUrl: 'https://airflow.example.com/',
      report: reportOf({
        problems: [problem],
        databaseFailure: { reason: name, detail: name },
        backend: {
          airflow: name,
          schema: name,
          bucket: name,
          prefix: name,
          connection: name,
          compression: name,
        },
        observed: {
          threshold: { above: 1, atMost: null },
          values: 1,
          objects: 0,
          paths: [{ path: name, rows: 1 }],
          elsewhere: 0,
        },
      }),
      probe: {
        steps: [
          {
            operation: 'put',
            ok: false,
            seconds: 1,
            reason: 'denied',
            detail: name,
            said: {
              by: 's3',
              code: 'AccessDenied',
              status: 403,
              cause: 'permission',
              action: null,
              policy: null,
            },
          },
        ],
        leftoversDeleted: 0,
      },
      jobs: statusOf().jobs.map((job) => ({ ...job, lastFailure: name })),
      settings: statusOf().settings.map((setting) => ({ ...setting, shown: name, from: name })),
      warnings: [name],
    });
    const page = render(hostile);
    const tame = render({ ...hostile, ...tamed(hostile) });
    expect(tagsOf(page)).toEqual(tagsOf(tame));
    expect(textOf(page)).toContain(shownAs(name.slice(0, 50)));
  });
});

/** A name as a reader sees it: characters that cannot be seen are shown by their number. */
function shownAs(name: string): string {
  return name.replaceAll(
    /[\n\0\u001b\u202e\ud800]/g,
    (character) => `\\u{${character.charCodeAt(0).toString(16)}}`,
  );
}

/** The same status with harmless names: its page must have the same tags. */
function tamed(status: Status): Status {
  return JSON.parse(
    JSON.stringify(status, (key, value: unknown) => {
      const free = [
        'version',
        'act',
        'evidence',
        'label',
        'value',
        'dagId',
        'runId',
        'taskId',
        'key',
        'queue',
        'hostname',
      ];
      const named = [
        ...free,
        'reason',
        'detail',
        'schema',
        'bucket',
        'prefix',
        'connection',
        'path',
        'lastFailure',
        'shown',
        'from',
      ];
      if (key === 'warnings') return ['x'];
      return typeof value === 'string' && named.includes(key) ? 'x' : value;
    }),
  ) as Status;
}

function tagsOf(page: string): readonly string[] {
  const tags = page.match(/<[^>]*>/g) ?? [];
  // A link may be there or not, since half a surrogate pair has no address. The test checks that no tag is new.
  return tags.filter((tag) => !/^<\/?a[ >]/.test(tag)).map((tag) => tag.replace(/"[^"]*"/g, '""'));
}

describe('the page of one problem', () => {
  const findings = Array.from({ length: 10_000 }, (_, i) => findingOf({ key: `key-${i}.` }));
  const problems = [problemOf('worker_bypass', { findings }), problemOf('objects_missing')];
  const status = statusOf({ report: reportOf({ problems }), history: HISTORY });

  test.each([
    [1, 0, 'Page 1 of 500', ['page=2', 'page=500']],
    [2, 20, 'Page 2 of 500', ['page=1', 'page=1', 'page=3', 'page=500']],
    [500, 9_980, 'Page 500 of 500', ['page=1', 'page=499']],
    [501, 9_980, 'Page 500 of 500', ['page=1', 'page=499']],
  ])('shows twenty rows: page %i', (page, first, place, links) => {
    const shown = render(status, { problem: 'worker_bypass', page });
    expect(shown.match(/key-\d+\./g)).toEqual(Array.from({ length: 20 }, (_, i) => `key-${first + i}.`));
    const from = (first + 1).toLocaleString('en-US');
    const to = (first + 20).toLocaleString('en-US');
    expect(textOf(shown)).toContain(`Rows ${from} to ${to} of 10,000 listed, newest first`);
    expect(textOf(shown)).toContain(place);
    const pager = /<nav aria-label="Pages of rows">(.*?)<\/nav>/s.exec(shown)?.[1] ?? '';
    expect(pager.match(/page=\d+/g)).toEqual(links);
  });

  test('stays under 100 kB with names that are long to write', () => {
    const long = problems.map((problem) => ({ ...problem, findings: findings.map(() => LONGEST) }));
    const page = render(
      { ...status, report: reportOf({ problems: long }), airflowBaseUrl: 'https://airflow.example.com' },
      { problem: 'worker_bypass' },
    );
    expect(page.match(/<tr>/g)).toHaveLength(21);
    expect(Buffer.byteLength(page)).toBeLessThan(100_000);
  });

  test('says when the problem is not there, or may be', () => {
    expect(textOf(render(status, { problem: 'path_leaked' }))).toContain('This problem is not there now.');
    expect(textOf(render(statusOf({ report: null }), { problem: 'path_leaked' }))).toContain(
      'Whether this problem is there is not known now.',
    );
  });

  test('has no pages where there are no rows', () => {
    const report = reportOf({ problems: [problemOf('write_denied', { findings: [] })] });
    const page = render(statusOf({ report }), { problem: 'write_denied' });
    expect(textOf(page)).toContain('There are no rows to list.');
    expect(page).not.toContain('Pages of rows');
  });

  test('keeps its place when it is made to renew itself', () => {
    expect(render(status, { problem: 'worker_bypass', page: 3, refresh: false })).toContain(
      '<a href="/?problem=worker_bypass&amp;page=3&amp;refresh=on">let it renew itself</a>',
    );
    expect(render(status, { refresh: true })).toContain('<a href="/?refresh=off">hold it still</a>');
  });
});

describe('what is asked of the page', () => {
  test.each([
    [{}, { problem: null, page: 1, refresh: true }],
    [{ refresh: 'off' }, { problem: null, page: 1, refresh: false }],
    [{ problem: 'path_leaked' }, { problem: 'path_leaked', page: 1, refresh: false }],
    [
      { problem: 'path_leaked', page: '12', refresh: 'on' },
      { problem: 'path_leaked', page: 12, refresh: true },
    ],
  ])('%j', (query, view) => {
    expect(parsePageQuery(query)).toEqual(view);
  });

  test.each([
    [{ problem: 'toString' }, /problem must be one of schema_unsupported/],
    [{ problem: ['path_leaked', 'path_leaked'] }, /problem/],
    [{ page: '0' }, /page/],
    [{ page: '-1' }, /page/],
    [{ page: '1e3' }, /page/],
    [{ page: '12345678' }, /page/],
    [{ page: ['1', '2'] }, /page/],
    [{ refresh: 'yes' }, /refresh/],
    [{ '<img src=x>': '' }, /^Unknown parameter: there is problem, page, refresh\.$/],
  ])('%j is refused', (query, error) => {
    expect(parsePageQuery(query)).toEqual({ error: expect.stringMatching(error) as string });
  });
});

describe('a link into Airflow', () => {
  test('is on the page, escaped, and only to the web', () => {
    const report = reportOf({ problems: [problemOf('path_leaked')] });
    const backend = report.backend && { ...report.backend, airflow: '2.10' };
    const page = render(statusOf({ report: { ...report, backend }, airflowBaseUrl: 'http://af' }));
    expect(page).toContain(
      'href="http://af/dags/orders/grid?dag_run_id=scheduled__2026-01-01T00%3A00%3A00%2B00%3A00&amp;task_id=extract&amp;tab=xcom"',
    );
    expect(render(statusOf({ report, airflowBaseUrl: 'javascript:alert(1)' }))).not.toContain('javascript:');
  });
});

describe('findings as JSON', () => {
  const findings = Array.from({ length: 50 }, (_, i) => findingOf({ dagId: i % 2 === 0 ? 'even' : 'odd' }));
  const status = statusOf({
    report: reportOf({ problems: [problemOf('path_leaked', { findings }), problemOf('oversize_in_db')] }),
  });

  test('are filtered and limited', () => {
    expect(findFindings(status, { problem: null, dagId: null, limit: 1_000 })).toMatchObject({ total: 51 });
    const some = findFindings(status, { problem: 'path_leaked', dagId: 'odd', limit: 3 });
    expect(some).toMatchObject({ at: '2026-01-02T03:03:55.000Z', stale: false, total: 25 });
    expect(some.findings.map(({ problem, dag_id }) => [problem, dag_id])).toEqual([
      ['path_leaked', 'odd'],
      ['path_leaked', 'odd'],
      ['path_leaked', 'odd'],
    ]);
  });

  test('before the first cycle are not known rather than none', () => {
    expect(findFindings(statusOf({ report: null }), { problem: null, dagId: null, limit: 1 }).at).toBeNull();
  });

  test.each([
    [{ limit: '0' }, /limit/],
    [{ limit: '1001' }, /limit/],
    [{ limit: '1.5' }, /limit/],
    [{ limit: '' }, /limit/],
    [{ limit: ['1', '2'] }, /limit/],
    [{ problem: 'toString' }, /problem/],
    [{ problem: ['path_leaked', 'path_leaked'] }, /problem/],
    [{ dag_id: '' }, /dag_id/],
    [{ dag: 'orders' }, /unknown parameter/],
  ])('are not given for %j', (query, error) => {
    expect(parseFindingsQuery(query)).toEqual({ error: expect.stringMatching(error) as string });
  });

  test('take these parameters', () => {
    expect(parseFindingsQuery({})).toEqual({ problem: null, dagId: null, limit: 100 });
    expect(parseFindingsQuery({ problem: 'path_leaked', dag_id: 'a', limit: '1000' })).toEqual({
      problem: 'path_leaked',
      dagId: 'a',
      limit: 1_000,
    });
  });
});

test('the status as JSON has the verdict and the remedies', () => {
  const problems = [problemOf('path_leaked')];
  const { severity, title, remedy } = PROBLEMS.path_leaked;
  const document = statusDocument(statusOf({ report: reportOf({ problems }) }));
  expect(document.verdict).toEqual({ state: 'problems', title: '1 problem', notes: [] });
  expect(document.problems[0]).toMatchObject({
    severity,
    title,
    remedy,
    since: '2026-01-02T02:04:05.000Z',
    findings: 1,
  });
  expect(document.window).toMatchObject({ orphan_objects: null, oversize_in_db_rows: 12 });
  expect(document.warnings).toEqual([]);
  expect(statusDocument(statusOf({ warnings: ['odd'] })).warnings).toEqual(['odd']);
  expect(statusDocument(statusOf({ report: null }))).toMatchObject({
    cycle: null,
    window: null,
    problem_states: null,
  });
});

test('values in a template are escaped, lists joined, nothing is nothing', () => {
  expect(html`<p title="${'"'}">${['<', html`<b></b>`, null, 1]}${false}</p>`.html).toBe(
    '<p title="&quot;">&lt;<b></b>1</p>',
  );
});

test('figures for people', () => {
  expect([0, 1_023, 1_024, 1_536, 1_048_576, 5 * 2 ** 40].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '1 MiB',
    '5 TiB',
  ]);
  expect([0, 0.0042, 1.25, 59, 90, 3_600, 86_400, 90_061, 172_800, 176_461].map(formatSeconds)).toEqual([
    '0 s',
    '4 ms',
    '1.3 s',
    '59 s',
    '1 min 30 s',
    '1 h',
    '24 h',
    '25 h 1 min',
    '2 d',
    '2 d 1 h',
  ]);
  expect([formatMoment(NOW, NOW + 1_000), formatMoment(NOW, NOW + 86_400_000)]).toEqual([
    '03:04:05 UTC',
    '2026-01-02 03:04:05 UTC',
  ]);
  expect([shorten('abc', 3), shorten('abcd', 3), shorten('😀😀😀', 2)]).toEqual(['abc', 'ab…', '😀…']);
});

test('what is not decided is folded away', () => {
  const states = { ...reportOf().states, objects_missing: 'unknown' } as const;
  const page = render(statusOf({ probe: WORKED, report: reportOf({ states }) }));
  expect(page).toMatch(
    /<details>\s*<summary>[^<]*<\/summary>\s*<p>Not decided: objects_missing\.<\/p>\s*<\/details>/,
  );
  expect(page.split('Not decided:')).toHaveLength(2);
});

test.each(['raised', 'clear'] as const)('large values of the past, red while it is wrong: %s', (state) => {
  const increments = [{ metric: 'value_bytes', storage: 'db', bytes: 1e9 }] as const;
  const states = { ...reportOf().states, threshold_disabled: 'clear', oversize_in_db: state } as const;
  const report = reportOf({
    increments,
    states: { ...states, backend_inactive: 'clear', worker_bypass: 'clear' },
  });
  const page = render(statusOf({ report, history: withCycle(NO_HISTORY, report) }));
  expect(page).toContain('id="plot-sizes-t"');
  expect(page.includes('<i class="over">')).toBe(state === 'raised');
});
