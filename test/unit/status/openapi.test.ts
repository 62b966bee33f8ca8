import { format } from 'oxfmt';
import { describe, expect, test } from 'vitest';
import type { CanaryVerdict } from '../../../src/canary/verdict.ts';
import type { Finding } from '../../../src/diagnosis/evidence.ts';
import type { ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import { PROBLEM_CODES } from '../../../src/diagnosis/problem-catalogue.ts';
import type { Problem, ProblemState } from '../../../src/diagnosis/problem.ts';
import type { Report } from '../../../src/diagnosis/report.ts';
import { parseFindingsQuery } from '../../../src/http/queries.ts';
import type { Tried } from '../../../src/probe/bucket.ts';
import { PREFLIGHT_CHECKS } from '../../../src/probe/preflight-step.ts';
import { checkDocument } from '../../../src/status/check-document.ts';
import { NO_HISTORY } from '../../../src/status/history.ts';
import { openApiDocument } from '../../../src/status/openapi.ts';
import { preflightDocument } from '../../../src/status/preflight-document.ts';
import { findFindings, statusDocument } from '../../../src/status/status-document.ts';
import type { Status } from '../../../src/status/status.ts';
import { VERSIONS } from '../../support/canary.ts';
import { faultOf, readOpenApi } from '../../support/open-api.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

describe('docs/openapi.json', () => {
  // `npm run docs` writes the differences.
  test('is what the schemas of the answers give', async () => {
    const { code } = await format('openapi.json', JSON.stringify(openApiDocument()), { printWidth: 110 });
    await expect(code).toMatchFileSnapshot('../../../docs/openapi.json');
  });

  test('is strict: every object is closed, and lists what must be there', () => {
    const open: string[] = [];
    walk(readOpenApi().components.schemas, [], (node, path) => {
      if (!('properties' in node)) return;
      const required = [...((node['required'] ?? []) as string[])].sort();
      const isClosed =
        node['additionalProperties'] === false &&
        String(Object.keys(node['properties'] as object).sort()) === String(required);
      if (!isClosed) open.push(path.join('.'));
    });
    expect(open).toEqual([]);
  });

  test('points nowhere that is not', () => {
    const document = readOpenApi();
    const targets = new Set<string>();
    walk(document, [], (node) => {
      if (typeof node['$ref'] === 'string') targets.add(node['$ref']);
    });
    expect(targets.size).toBeGreaterThan(8);
    for (const target of targets)
      expect(Object.keys(document.components.schemas)).toContain(target.replace('#/components/schemas/', ''));
  });
});

describe('a document of every shape is as described', () => {
  const statuses: Readonly<Record<string, Status>> = {
    'before the first cycle': statusOf({ report: null, probe: null, jobs: [] }),
    'with everything known': statusOf({}),
    'with nothing known': statusOf({ report: reportOf('nothing') }),
    'with every problem': statusOf({ report: reportOf('everything', PROBLEM_CODES.map(problemOf)) }),
    'on standby': statusOf({ leader: false, report: null, act: 'Act 1 of 5' }),
    'with odd settings': statusOf({ warnings: ['a warning'] }),
    'with a listing that lacks keys': statusOf({ listing: { kind: 'lacking', words: 'it lacks keys' } }),
  };

  test.each(Object.entries(statuses))('Status %s', (_name, status) => {
    expect(faultOf(throughJson(statusDocument(status)), 'Status')).toBeNull();
  });

  test.each(Object.entries(statuses))('Findings %s', (_name, status) => {
    const query = parseFindingsQuery({ limit: '1000' });
    if ('error' in query) throw new Error(query.error);
    expect(faultOf(throughJson(findFindings(status, query)), 'Findings')).toBeNull();
  });

  test.each(Object.entries(statuses).filter(([, { report }]) => report !== null))(
    'Check %s',
    (_name, { report, probe }) => {
      if (report === null) throw new Error('no report');
      const checked = { report, probed: probe, warnings: ['a warning'], version: '1.2.3' };
      expect(faultOf(throughJson(checkDocument(checked)), 'Check')).toBeNull();
      expect(faultOf(throughJson(checkDocument({ ...checked, probed: null })), 'Check')).toBeNull();
    },
  );

  test('Preflight with and without a target', () => {
    const steps = PREFLIGHT_CHECKS.map((check, index) => ({
      check,
      ok: [true, false, null][index % 3] ?? null,
      isOpen: index % 3 === 2,
      detail: 'detail',
      iamAction: index % 2 === 0 ? 's3:PutObject' : null,
      fix: null,
    }));
    const greeting = {
      kind: 'answered',
      url: 'http://127.0.0.1:1/b',
      seconds: 0.1,
      skewSeconds: -3,
      bucketRegion: null,
      tls: null,
    } as const;
    const target = { path: 's3://c@b/p', bucket: 'b', prefix: 'p', connection: 'c', shown: '', greeting };
    const told = { pushFault: null, warnings: ['a warning'], version: '1' };
    for (const tried of [
      { ...told, target, steps },
      { ...told, target: { untried: 'xcom.path is not known: nothing was tried.' }, steps: [] },
    ])
      expect(faultOf(throughJson(preflightDocument(tried)), 'Preflight')).toBeNull();
  });

  test.each([
    ['every push fails', 1, 'With these settings every push fails'],
    ['the pushes of some workers fail', 1, 'With these settings the pushes of some workers fail'],
    ['pushes may fail', 2, 'Could not decide'],
  ] as const)('a place with which %s is not ready', (effect, code, title) => {
    const pushFault = { sentence: 'A fault', effect, unless: null };
    const place = { path: 's3://b', bucket: 'b', prefix: '', connection: '', shown: '' };
    const greeting = { kind: 'unsent' } as const;
    const tried = { pushFault, warnings: [], version: '1', steps: [], target: { ...place, greeting } };
    expect(preflightDocument(tried)).toMatchObject({
      exit_code: code,
      verdict: { title, notes: ['A fault.'] },
    });
    expect(preflightDocument({ ...tried, pushFault: null }).exit_code).toBe(0);
  });

  test('a clock that is not known is not right', () => {
    for (const clockSkewSeconds of [null, 0, -300])
      expect(statusDocument(statusOf({ clockSkewSeconds })).clock_skew_seconds).toBe(clockSkewSeconds);
  });

  test('the listing is named by its kind', () => {
    const listing = { kind: 'unordered', words: 'not in the order of keys' } as const;
    expect(statusDocument(statusOf({ listing })).listing).toBe('unordered');
    expect(statusDocument(statusOf({})).listing).toBeNull();
  });

  test('and what is not as described is said', () => {
    const document = throughJson(statusDocument(statusOf({}))) as Record<string, unknown>;
    expect(faultOf({ ...document, problemStates: {} }, 'Status')).toContain('problemStates');
    expect(faultOf({ ...document, now: NOW }, 'Status')).toContain('now');
    const { verdict, ...rest } = document;
    expect([verdict === undefined, faultOf(rest, 'Status')]).toEqual([
      false,
      expect.stringContaining('verdict'),
    ]);
  });
});

test('the names are in snake case, in every document', () => {
  const names = new Set<string>();
  const report = reportOf('everything', PROBLEM_CODES.map(problemOf));
  for (const document of [
    statusDocument(statusOf({ report })),
    checkDocument({ report, probed: PROBE, warnings: [], version: '1' }),
  ])
    walk(throughJson(document), [], (node) => {
      for (const name of Object.keys(node)) names.add(name);
    });
  expect([...names].filter((name) => !/^[a-z][a-z0-9_]*$/.test(name))).toEqual([]);
});

test('check and the status share every name that they have in common', () => {
  const report = reportOf('everything', PROBLEM_CODES.map(problemOf));
  const status = throughJson(statusDocument(statusOf({ report }))) as Record<string, unknown>;
  const check = throughJson(
    checkDocument({ report, probed: PROBE, warnings: [], version: '1.2.3' }),
  ) as Record<string, unknown>;
  const shared = [
    'schema_version',
    'cycle',
    'backend',
    'threshold_bytes',
    'effective',
    'oversize_bytes',
    'window',
  ];
  for (const name of [...shared, 'problem_states', 'problems', 'probe', 'canary'])
    expect(check[name]).toEqual(status[name]);
  const all = parseFindingsQuery({ limit: '1000' });
  if ('error' in all) throw new Error(all.error);
  expect(check['findings']).toEqual(findFindings(statusOf({ report }), all).findings);
});

const POOL = {
  heardAt: null,
  payload: null,
  settings: null,
  operations: [],
  succeededAt: {},
  silence: null,
} as const;
const CANARY: CanaryVerdict = {
  pools: [
    {
      ...POOL,
      name: 'default',
      state: 'fails',
      heardAt: NOW,
      settings: {
        backend: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
        object_storage: true,
        path: 's3://c@b/p',
        threshold: null,
        compression: '',
        versions: { ...VERSIONS, s3fs: null },
      },
      operations: [
        { operation: 'push', ok: false, seconds: 0.5, faults: ['builtins.PermissionError'] },
        { operation: 'delete', ok: true, seconds: 0, faults: [] },
      ],
      succeededAt: { push: NOW - 60_000 },
    },
    { ...POOL, name: '<legacy>', state: 'silent', silence: 'no task of it is in the latest runs' },
    { ...POOL, name: 'new', state: 'waits' },
  ],
  differences: [
    {
      option: 'xcom_objectstorage_path',
      values: [{ value: 's3://c@b/p', pools: ['default'] }],
      told: 's3://c@b/q',
      odd: ['default'],
    },
  ],
  agreed: { backend: null, path: null, threshold: null, compression: null },
};

const PROBE: Tried = {
  steps: [
    { operation: 'put', ok: true, seconds: 0.01 },
    {
      operation: 'head',
      ok: false,
      seconds: 0.01,
      reason: 'denied',
      detail: 'AccessDenied (403)',
      said: { by: 's3', code: 'AccessDenied', status: 403, cause: 'permission', action: null, policy: null },
    },
    { operation: 'get', ok: null },
  ],
  leftoversDeleted: 0,
};

function problemOf(code: ProblemCode): Problem {
  const finding: Finding = {
    dagId: 'orders',
    runId: 'manual__1',
    taskId: 'extract',
    mapIndex: -1,
    key: 'return_value',
    bytes: 2_000,
    queue: null,
    executor: null,
    hostname: 'worker-1',
    operator: 'PythonOperator',
    at: NOW,
  };
  return {
    code,
    evidence: '12 of 40.',
    where: [{ label: 'queue', value: 'legacy', rows: 12 }],
    since: NOW - 1_000,
    findings: [
      finding,
      { ...finding, bytes: null, queue: 'q', executor: 'e', hostname: null, operator: null },
    ],
  };
}

function reportOf(known: 'everything' | 'nothing', problems: readonly Problem[] = []): Report {
  const all = known === 'everything';
  const figure = (value: number) => (all ? value : null);
  const raised = problems.map(({ code }) => code);
  const stateOf = (code: ProblemCode): ProblemState =>
    raised.includes(code) ? 'raised' : all ? 'clear' : 'unknown';
  return {
    at: NOW,
    durationSeconds: 0.25,
    databaseFailure: all ? null : { reason: 'unreachable', detail: 'ECONNREFUSED' },
    s3Failure: all
      ? null
      : {
          reason: 'denied',
          detail: 'AccessDenied (403)',
        },
    s3Answered: all,
    heard: [],
    told: {
      'xcom.backend': all,
      'xcom.path': all,
      'xcom.threshold': all,
      'xcom.compression': all,
    },
    undecided: all ? {} : { threshold_disabled: 'xcom.threshold is not known' },
    takenBack: [],
    backend: all
      ? { airflow: '3.3', schema: 'xcom-jsonb', bucket: 'b', prefix: 'p', connection: 'c', compression: '' }
      : null,
    thresholdBytes: figure(-1),
    observed: all
      ? {
          threshold: { above: 999, atMost: null },
          values: 40,
          objects: 0,
          paths: [{ path: 's3://c@b/p', rows: 2 }],
          elsewhere: 1,
        }
      : null,
    canary: { verdict: all ? CANARY : null, refusals: new Map() },
    oversizeBytes: 1_048_576,
    increments: [],
    writes: {},
    window: {
      seconds: 86_400,
      rows: { db: 1, s3: 2, other: 0 },
      bytes: { db: figure(1), s3: figure(2), other: figure(0) },
      oversizeRows: 1,
      oversizeBytes: 2_000,
      broken: {
        missing: figure(0),
        empty: figure(0),
        unreadable: figure(0),
        path_mismatch: figure(0),
        leaked: figure(1),
      },
      orphanObjects: figure(0),
      orphanBytes: figure(0),
      unseenRuns: 0,
      unlistable: { runs: 0, paths: [] },
    },
    states: Object.fromEntries(PROBLEM_CODES.map((code) => [code, stateOf(code)])) as Report['states'],
    problems,
    standbyDoubt: null,
    unreadColumns: [],
    pushFault: null,
    lagSeconds: figure(-0.5),
    coverage: figure(1),
  };
}

function statusOf(changes: Partial<Status>): Status {
  const setting = { name: 'window', flag: '--window', variable: 'XCOM_EXPORTER_WINDOW', shown: '24h' };
  const job = { runs: 1, failures: 0, skips: 0, lastRunAt: NOW, lastSuccessAt: null };
  return {
    version: '1.2.3',
    startedAt: NOW - 60_000,
    reloadedAt: null,
    reloading: false,
    cleared: [],
    now: NOW,
    leader: true,
    report: reportOf('everything'),
    stale: false,
    everRead: true,
    probe: PROBE,
    listing: null,
    clockSkewSeconds: null,
    hasStorage: true,
    jobs: [
      { job: 'sample', ...job, lastDurationSeconds: 0.2, lastFailure: null },
      { job: 'probe', ...job, lastDurationSeconds: null, lastFailure: 'put: AccessDenied (403)' },
    ],
    requests: null,
    history: NO_HISTORY,
    settings: [{ ...setting, origin: 'default', from: '' }],
    warnings: [],
    airflowBaseUrl: null,
    act: null,
    ...changes,
  };
}

function throughJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function walk(
  node: unknown,
  path: readonly string[],
  visit: (node: Readonly<Record<string, unknown>>, path: readonly string[]) => void,
): void {
  if (typeof node !== 'object' || node === null) return;
  if (!Array.isArray(node)) visit(node as Record<string, unknown>, path);
  for (const [name, child] of Object.entries(node)) walk(child, [...path, name], visit);
}
