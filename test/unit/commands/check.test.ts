import { NO_CANARY, noteTasks } from '../../../src/canary/memory.ts';
import { judgeCanary } from '../../../src/canary/verdict.ts';
import { DENIED, lookOf, taskOf, WITHOUT_BACKEND } from '../../support/canary.ts';
import { describe, expect, test } from 'vitest';
import { checkCode, checkDocument, checkVerdict } from '../../../src/status/check-document.ts';
import { checkText } from '../../../src/commands/check-text.ts';
import { PROBLEM_CODES, PROBLEMS } from '../../../src/diagnosis/problem-catalogue.ts';
import type { ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import type { Tried } from '../../../src/probe/bucket.ts';
import type { Report } from '../../../src/diagnosis/report.ts';
import { faultOf } from '../../support/open-api.ts';

const PROBE: Tried = {
  steps: [{ operation: 'put', ok: true, seconds: 0.01 }],
  leftoversDeleted: 0,
};

function reportOf(raised: readonly ProblemCode[], changes: Partial<Report> = {}): Report {
  const states = PROBLEM_CODES.map((code) => [code, raised.includes(code) ? 'raised' : 'clear']);
  return {
    at: 0,
    durationSeconds: 1,
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
    backend: null,
    thresholdBytes: 1_000,
    observed: null,
    canary: { verdict: null, refusals: new Map() },
    oversizeBytes: 1_000,
    increments: [],
    writes: {},
    window: {
      seconds: 86_400,
      rows: { db: 900_000, s3: 100_000, other: 0 },
      bytes: { db: 1, s3: null, other: 0 },
      oversizeRows: 0,
      oversizeBytes: 0,
      broken: { missing: 0, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0 },
      orphanObjects: null,
      orphanBytes: null,
      unseenRuns: 0,
      unlistable: { runs: 0, paths: [] },
    },
    states: Object.fromEntries(states) as Report['states'],
    problems: raised.map((code) => ({ code, evidence: 'E.', where: [], since: 0, findings: [] })),
    standbyDoubt: null,
    unreadColumns: [],
    pushFault: null,
    lagSeconds: 0,
    coverage: 1,
    ...changes,
  };
}

const checked = (report: Report, probed: Tried | null = PROBE) => ({
  report,
  probed,
  warnings: [],
  version: '1.2.3',
});

test('a run that no listing leads to is named: the orphans of the others are not all', () => {
  const { window } = reportOf([]);
  if (window === null) throw new Error('A window is expected');
  const text = checkText(
    checked(reportOf([], { window: { ...window, orphanObjects: 0, unseenRuns: 2 } })),
    (words) => words,
  );
  expect(text).toContain('Objects without a row were not looked for under 2 runs: ');
});

test('runs that S3 refuses to list are told from those whose ids are shortened, by their path', () => {
  const { window } = reportOf([]);
  if (window === null) throw new Error('A window is expected');
  const unlistable = { runs: 3, paths: ['s3://b/theirs (S3 refuses to list it)'] };
  const text = checkText(
    checked(reportOf([], { window: { ...window, orphanObjects: 0, unseenRuns: 4, unlistable } })),
    (words) => words,
  );
  expect(text).toContain('Objects without a row were not looked for under one run: the ids');
  expect(text).toContain('under 3 ended runs of s3://b/theirs (S3 refuses to list it).');
});

test.each<[string, number | null, number, number, boolean]>([
  ['10 GiB, and values of 5 MiB', 10_737_418_240, 5_242_880, 0, true],
  ['10 GiB, and small values', 10_737_418_240, 1_048_575, 0, false],
  ['10 GiB, and references', 10_737_418_240, 5_242_880, 1, false],
  ['one that a value reaches', 5_242_880, 5_242_880, 0, false],
  ['none is known', null, 5_242_880, 0, false],
  ['every value stays, which is a problem of its own', -1, 5_242_880, 0, false],
])('a threshold that no large value reaches is named: %s', (_name, thresholdBytes, above, s3, isNamed) => {
  const { window } = reportOf([]);
  if (window === null) throw new Error('A window is expected');
  const observed = { threshold: { above, atMost: null }, values: 9, objects: 0, paths: [], elsewhere: 0 };
  const rows = { ...window.rows, s3 };
  const report = reportOf([], { thresholdBytes, observed, window: { ...window, rows } });
  expect(checkVerdict(checked(report)).notes).toEqual(
    isNamed
      ? [
          'The threshold of 10 GiB (10,737,418,240 B) is above every value seen, the largest of 5 MiB (5,242,880 B): no value goes to object storage.',
        ]
      : [],
  );
});

describe('the verdict of check', () => {
  test.each<[string, 0 | 1 | 2, string, readonly ProblemCode[], Partial<Report>]>([
    ['all is decided and well', 0, 'Healthy', [], {}],
    ['only what is to be known', 0, 'Healthy', ['third_party_backend'], {}],
    ['a warning is a problem', 1, '1 problem', ['oversize_in_db', 'third_party_backend'], {}],
    ['two', 1, '2 problems', ['worker_bypass', 'write_denied', 'exporter_behind'], { coverage: 0.5 }],
    ['too much to look at is no problem of theirs', 2, 'Could not decide', ['exporter_behind'], {}],
    ['a part is left', 2, 'Could not decide', [], { coverage: 0.9999999 }],
    ['no storage', 2, 'Could not decide', [], { s3Failure: { reason: 'timeout', detail: '7 s' } }],
    [
      'no database',
      2,
      'Could not decide',
      [],
      { window: null, databaseFailure: { reason: 'x', detail: 'y' } },
    ],
  ])('%s: %i, %s', (_name, code, title, raised, changes) => {
    const found = checked(reportOf(raised, changes));
    expect([checkCode(found), checkVerdict(found).title]).toEqual([code, title]);
    expect(checkText(found, (text) => text).split('\n')[0]).toBe(
      code === 1 ? `${title} found.` : `${title}.`,
    );
    expect(faultOf(JSON.parse(JSON.stringify(checkDocument(found))), 'Check')).toBeNull();
  });

  test('without a place in S3 it could not decide, and says why', () => {
    const found = checked(reportOf([]), null);
    expect(checkCode(found)).toBe(2);
    expect(checkText(found, (text) => text)).toMatch(
      /^Could not decide\.\nxcom\.path names no place in S3: object storage was not looked at\.\n/,
    );
  });

  test('without credentials it says so first', () => {
    const report = reportOf([]);
    const states = { ...report.states, bucket_unreachable: 'unknown' as const };
    const probe: Tried = {
      steps: [
        {
          operation: 'head',
          ok: false,
          seconds: 0,
          reason: 'denied',
          detail: 'no credentials found',
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
    };
    expect(checkText(checked({ ...report, states }, probe), (text) => text)).toMatch(
      /^Could not decide\.\nObject storage gave no answer: denied \(no credentials found\)\n/,
    );
  });

  test('an empty window is named as the reason, and nothing of it is decided', () => {
    const report = reportOf([]);
    if (report.window === null) throw new Error('The report has a window.');
    const window = { ...report.window, rows: { db: 0, s3: 0, other: 0 } };
    const found = checked({ ...report, window });
    expect(checkCode(found)).toBe(2);
    expect(checkVerdict(found).notes).toEqual([
      'No XCom row is in the window, so nothing can be judged yet. Let a DAG push a value, and ask again.',
    ]);
    expect(checkText(found, (text) => text)).toContain('\n  decided nothing: there is no row\n');
  });

  test('of a sample it says how large it is', () => {
    const sample = 'A sample: 954321 of 1000000 rows are decided (95 %).';
    const found = (raised: readonly ProblemCode[]) =>
      checkVerdict(checked(reportOf(raised, { coverage: 0.954_321 }))).notes;
    expect(found(['exporter_behind'])).toEqual([
      `${sample} More with a higher s3.requests-per-cycle, or a shorter window.`,
    ]);
    // The other rows were asked about without an answer: more requests would not help.
    expect(found([])).toEqual([sample]);
    const unanswered = reportOf([], {
      coverage: 0.5,
      s3Failure: {
        reason: 'denied',
        detail: '403',
      },
    });
    expect(checkVerdict(checked(unanswered)).notes).toEqual([
      'Object storage gave no answer: denied (403)',
      'A sample: 500000 of 1000000 rows are decided (50 %).',
    ]);
    // A figure that is not all is never rounded to all.
    expect(checkVerdict(checked(reportOf([], { coverage: 0.999_999_9 }))).notes[0]).toContain(
      '999999 of 1000000 rows are decided (99 %)',
    );
  });

  test('what is not known is named', () => {
    const report = reportOf([]);
    const states = { ...report.states, orphans_growing: 'unknown' as const };
    expect(checkVerdict(checked({ ...report, states })).notes).toEqual(['Not decided: orphans_growing.']);
  });
});

test('every problem is told with its remedy and its section of the runbook', () => {
  const text = checkText(checked(reportOf(PROBLEM_CODES)), (word) => word);
  for (const code of PROBLEM_CODES) {
    expect(text).toContain(`  What to do: ${PROBLEMS[code].remedy}\n  More: docs/runbook.md#${code}\n`);
  }
  expect(text).toContain(
    '\nThe runbook: docs/runbook.md in the repository, /docs/runbook.md at the address of a running exporter.\n',
  );
  expect(checkText(checked(reportOf([])), (word) => word)).not.toContain('runbook');
});

test('a name cannot write on the terminal', () => {
  const report = reportOf(['worker_bypass']);
  const [problem] = report.problems;
  if (problem === undefined) throw new Error('no problem');
  const evidence = 'on \u001b[2J\u202e"x"';
  const text = checkText(checked({ ...report, problems: [{ ...problem, evidence }] }), (word) => word);
  expect(text).toContain('on \\u{1b}[2J\\u{202e}"x"');
  expect(text.includes('\u001b')).toBe(false);
});

test('the canary has a line for each pool of workers, and none where there is no canary', () => {
  const now = 1_700_000_000_000;
  const tasks = [
    taskOf(lookOf('default'), { at: now }),
    taskOf(lookOf('denied', DENIED), { at: now }),
    taskOf(lookOf('legacy', WITHOUT_BACKEND), { at: now - 1_000_000 }),
  ];
  const { memory } = noteTasks(NO_CANARY, tasks, { now });
  const verdict = judgeCanary(memory, { now, told: { backend: null, paths: null, threshold: null } });
  const canary = { verdict, refusals: new Map() };
  expect(checkText(checked(reportOf([], { canary })), (word) => word)).toContain(
    [
      'Canary:',
      '  default works: path s3://aws_xcom@airflow-xcom/xcom, threshold 1000; push 0.38 s, pull 0.03 s',
      '  denied fails: path s3://aws_xcom@airflow-xcom/xcom, threshold 1000; push failed',
      '  legacy is silent: no run has begun for three intervals: the DAG is paused, or the scheduler does not run\n',
    ].join('\n'),
  );
  expect(checkText(checked(reportOf([])), (word) => word)).not.toContain('Canary');
});

test('the canary says of a push that it went no further than the database', () => {
  const now = 1_700_000_000_000;
  const { memory } = noteTasks(NO_CANARY, [taskOf(lookOf('legacy', WITHOUT_BACKEND), { at: now })], { now });
  const verdict = judgeCanary(memory, { now, told: { backend: null, paths: null, threshold: null } });
  const canary = { verdict, refusals: new Map() };
  expect(checkText(checked(reportOf([], { canary })), (word) => word)).toContain(
    '  legacy works: airflow.sdk.bases.xcom.BaseXCom; push 0.38 s (kept in the database), pull 0.03 s\n',
  );
});
