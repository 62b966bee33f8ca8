import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { airflowLink, formatBytes, formatSeconds, shorten } from '../../src/http/format.ts';
import { html } from '../../src/http/html.ts';
import { findFindings, parseFindingsQuery, statusDocument } from '../../src/http/status-api.ts';
import { renderStatusPage } from '../../src/http/status-page.ts';
import { STYLE_HASH } from '../../src/http/status-style.ts';
import { verdictOf } from '../../src/http/verdict.ts';
import { PROBLEM_CODES, PROBLEMS, type ProblemCode } from '../../src/problems.ts';
import type { Finding, Problem, ProblemState, Report } from '../../src/report.ts';
import type { Status } from '../../src/status.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  '"><script>alert(1)</script>',
  `'"&<>`,
  'a\nb',
  'Straße – 東京',
  '<'.repeat(250),
  '\ud800',
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

function reportOf(changes: Partial<Report> = {}): Report {
  const raised = (changes.problems ?? []).map(({ code }) => code);
  return {
    at: NOW - 10_000,
    durationSeconds: 0.25,
    databaseFailure: null,
    s3Failure: null,
    s3Answered: true,
    backend: {
      airflow: '3.0',
      schema: 'public',
      bucket: 'xcom-bucket',
      prefix: 'team/xcom',
      connection: 'aws_default',
      compression: '',
    },
    thresholdBytes: 1_024,
    oversizeBytes: 1_048_576,
    increments: [],
    window: {
      seconds: 86_400,
      rows: { db: 1_234, s3: 56, other: 0 },
      bytes: { db: 10, s3: null, other: 0 },
      oversizeRows: 12,
      oversizeBytes: 25_165_824,
      broken: { missing: 7, empty: 0, path_mismatch: 0, leaked: null },
      orphanObjects: null,
      orphanBytes: null,
    },
    states: Object.fromEntries(
      PROBLEM_CODES.map((code) => [code, raised.includes(code) ? 'raised' : 'clear']),
    ) as Record<ProblemCode, ProblemState>,
    problems: [],
    lagSeconds: 0,
    coverage: 0.999,
    ...changes,
  };
}

function statusOf(changes: Partial<Status> = {}): Status {
  return {
    version: '1.2.3',
    startedAt: NOW - 7_200_000,
    now: NOW,
    leader: true,
    report: reportOf(),
    stale: false,
    probe: {
      steps: [
        { operation: 'put', ok: false, seconds: 0.02, reason: 'denied', detail: 'AccessDenied (403)' },
        { operation: 'head', ok: true, seconds: 0.004 },
        { operation: 'get', ok: null },
      ],
      leftoversDeleted: 0,
    },
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
    airflowBaseUrl: null,
    act: null,
    ...changes,
  };
}

/** What a reader sees: no tags, entities resolved, white space as one blank. */
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
  /<h1>(.*?)<\/h1>/s.exec(renderStatusPage(status))?.[1];

describe('the verdict', () => {
  test.each<[string, Partial<Status>]>([
    ['Healthy', {}],
    ['No cycle yet', { report: null }],
    ['Standby', { leader: false, report: null, jobs: [] }],
    ['Unknown: the database could not be asked who leads', { leader: false, report: null }],
    [
      'Unknown: the figures are stale',
      { stale: true, report: reportOf({ problems: [problemOf('path_leaked')] }) },
    ],
    ['1 problem', { report: reportOf({ problems: [problemOf('path_leaked')] }) }],
    [
      '2 problems',
      { report: reportOf({ problems: [problemOf('path_leaked'), problemOf('oversize_in_db')] }) },
    ],
    ['Healthy', { report: reportOf({ problems: [problemOf('third_party_backend')] }) }],
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

  test('names what was not decided, and why S3 gave no answer', () => {
    const report = reportOf({ s3Failure: { reason: 'denied', detail: 'AccessDenied (403)' } });
    const states = { ...report.states, objects_missing: 'unknown' } as const;
    const { state, notes } = verdictOf(statusOf({ report: { ...report, states } }));
    expect(state).toBe('healthy');
    expect(notes).toEqual(['Cannot read S3: denied (AccessDenied (403)).', 'Not decided: objects_missing.']);
  });
});

describe('the page', () => {
  test('shows a problem with its evidence, places, remedy and rows', () => {
    const text = textOf(
      renderStatusPage(statusOf({ report: reportOf({ problems: [problemOf('worker_bypass')] }) })),
    );
    expect(text).toContain(`critical: ${PROBLEMS.worker_bypass.title}`);
    expect(text).toContain('12 of 40 values of 1 MiB and more are in the database.');
    expect(text).toContain('Where: queue legacy (12).');
    expect(text).toContain(`What to do: ${PROBLEMS.worker_bypass.remedy}`);
    expect(text).toContain('since 1 h ago');
    expect(text).toMatch(/orders .* extract - return_value 2\.0 MiB legacy worker-1 1 min ago/);
  });

  test('shows the window, and says what is not known of it', () => {
    const text = textOf(renderStatusPage(statusOf()));
    expect(text).toContain('The window: 1 d');
    expect(text).toContain('values in the database 1,234 10 B');
    expect(text).toContain('references to S3 56 not known');
    expect(text).toContain('broken references: leaked not known');
    expect(text).toContain('objects without a row not known not known');
    expect(text).toContain('Decided: 99 %');
  });

  test('shows storage, probe, jobs and settings', () => {
    const text = textOf(renderStatusPage(statusOf()));
    expect(text).toContain('bucket xcom-bucket');
    expect(text).toContain('compression -');
    expect(text).toContain('threshold 1.0 KiB');
    expect(text).toContain('put failed : denied (AccessDenied (403)) 20 ms');
    expect(text).toContain('head ok 4 ms');
    expect(text).toContain('get not tried');
    expect(text).toContain('sample 10 1 2 10 s ago never 250 ms timeout');
    expect(text).toContain('window 24h default');
  });

  test('shows what the demo plays', () => {
    expect(textOf(renderStatusPage(statusOf({ act: 'Act 2: one worker lacks the setting' })))).toContain(
      'Demo: Act 2: one worker lacks the setting',
    );
    expect(renderStatusPage(statusOf())).not.toContain('Demo:');
  });

  test('has no script, one style that its hash allows, a refresh, and headers with a scope', () => {
    const page = renderStatusPage(statusOf());
    expect(page).not.toMatch(/<script| on\w+=|style=|javascript:/i);
    const style = /<style>(.*)<\/style>/s.exec(page)?.[1] ?? '';
    expect(`sha256-${createHash('sha256').update(style).digest('base64')}`).toBe(STYLE_HASH);
    expect(page).toContain('<meta http-equiv="refresh" content="15" />');
    expect(page.match(/<th[ >]/g)?.length).toBe(page.match(/<th scope="(?:row|col)"/g)?.length);
    for (const landmark of ['<header', '<main', '<footer', 'lang="en"']) expect(page).toContain(landmark);
    expect(style).toContain('prefers-color-scheme:dark');
  });

  test('shows ten rows and says how many more there are', () => {
    const findings = Array.from({ length: 50 }, (_, i) => findingOf({ key: `key-${i}` }));
    const page = renderStatusPage(
      statusOf({ report: reportOf({ problems: [problemOf('worker_bypass', { findings })] }) }),
    );
    expect(page).toContain('key-9<');
    expect(page).not.toContain('key-10<');
    expect(page).toContain('<a href="/api/v1/findings?problem=worker_bypass">40 more as JSON</a>');
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
  ])('stays under 100 kB with twenty problems of fifty rows: %s', (_, finding) => {
    const findings = Array.from({ length: 50 }, () => finding);
    const problems = PROBLEM_CODES.map((code) => problemOf(code, { findings }));
    expect(problems).toHaveLength(20);
    const settings = Array.from({ length: 25 }, () => statusOf().settings).flat();
    const page = renderStatusPage(
      statusOf({ report: reportOf({ problems }), settings, airflowBaseUrl: 'https://airflow.example.com' }),
    );
    expect(Buffer.byteLength(page)).toBeLessThan(100_000);
    for (const code of PROBLEM_CODES) expect(page).toContain(`problem=${code}">`);
  });

  test.each(HOSTILE)('cannot be broken by %j in any place', (name) => {
    const finding = findingOf({
      dagId: name,
      runId: name,
      taskId: name,
      key: name,
      queue: name,
      executor: name,
      hostname: name,
      operator: name,
    });
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
      }),
      probe: {
        steps: [{ operation: 'put', ok: false, seconds: 1, reason: 'denied', detail: name }],
        leftoversDeleted: 0,
      },
      jobs: statusOf().jobs.map((job) => ({ ...job, lastFailure: name })),
      settings: statusOf().settings.map((setting) => ({ ...setting, shown: name, from: name })),
    });
    const page = renderStatusPage(hostile);
    const tame = renderStatusPage({ ...hostile, ...tamed(hostile) });
    expect(tagsOf(page)).toEqual(tagsOf(tame));
    expect(textOf(page)).toContain(name.slice(0, 50).replaceAll(/\s+/g, ' '));
  });
});

/** The same status with harmless names: the page must have the same tags. */
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
        'lastFailure',
        'shown',
        'from',
      ];
      return typeof value === 'string' && named.includes(key) ? 'x' : value;
    }),
  ) as Status;
}

function tagsOf(page: string): readonly string[] {
  const tags = page.match(/<[^>]*>/g) ?? [];
  // An address may be there or not (half a surrogate pair has none); what counts is that no tag is new.
  return tags.filter((tag) => !/^<\/?a[ >]/.test(tag)).map((tag) => tag.replace(/"[^"]*"/g, '""'));
}

describe('a link into Airflow', () => {
  const task = { dagId: 'a b/c', runId: 'manual__2026-01-01T00:00:00+00:00', taskId: 'g.t' };
  const baseUrl = 'https://airflow.example.com/prod/';
  test('has the form of the release', () => {
    expect(airflowLink(task, { baseUrl, airflow: '3.1' })).toBe(
      'https://airflow.example.com/prod/dags/a%20b%2Fc/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00/tasks/g.t',
    );
    expect(airflowLink(task, { baseUrl, airflow: '2.11' })).toBe(
      'https://airflow.example.com/prod/dags/a%20b%2Fc/grid?dag_run_id=manual__2026-01-01T00%3A00%3A00%2B00%3A00&task_id=g.t',
    );
  });

  test('is on the page, escaped, and only to the web', () => {
    const report = reportOf({ problems: [problemOf('path_leaked')] });
    const backend = report.backend && { ...report.backend, airflow: '2.10' };
    const page = renderStatusPage(statusOf({ report: { ...report, backend }, airflowBaseUrl: 'http://af' }));
    expect(page).toContain(
      'href="http://af/dags/orders/grid?dag_run_id=scheduled__2026-01-01T00%3A00%3A00%2B00%3A00&amp;task_id=extract"',
    );
    expect(renderStatusPage(statusOf({ report, airflowBaseUrl: 'javascript:alert(1)' }))).not.toContain(
      'javascript:',
    );
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
  const document = statusDocument(statusOf({ report: reportOf({ problems }) }));
  expect(document.verdict).toEqual({ state: 'problems', title: '1 problem', notes: [] });
  expect(document.problems[0]).toMatchObject({
    ...PROBLEMS.path_leaked,
    since: '2026-01-02T02:04:05.000Z',
    findings: 1,
  });
  expect(document.window).toMatchObject({ orphan_objects: null, oversize_in_db_rows: 12 });
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
  expect([0, 1_023, 1_024, 1_048_576, 5 * 2 ** 40].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.0 MiB',
    '5.0 TiB',
  ]);
  expect([0, 0.0042, 1.25, 59, 90, 3_600, 86_400, 90_061].map(formatSeconds)).toEqual([
    '0 s',
    '4 ms',
    '1.3 s',
    '59 s',
    '1 min 30 s',
    '1 h',
    '1 d',
    '1 d 1 h',
  ]);
  expect([shorten('abc', 3), shorten('abcd', 3), shorten('😀😀😀', 2)]).toEqual(['abc', 'ab…', '😀…']);
});
