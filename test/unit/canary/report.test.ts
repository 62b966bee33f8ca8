import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CanaryTask } from '../../../src/airflow/canary-queries.ts';
import type { CanaryMemory } from '../../../src/canary/memory.ts';
import { NO_CANARY, noteTasks as noteTasksAt } from '../../../src/canary/memory.ts';
import { MOST_REPORT_BYTES, parseReport } from '../../../src/canary/report.ts';
import {
  DENIED,
  lookOf,
  readOf,
  settingsWith,
  taskOf,
  VERSIONS,
  WITHOUT_BACKEND,
} from '../../support/canary.ts';
import { anyCharacter } from '../../support/characters.ts';

const parse = (report: unknown, taskId = 'look_default') => parseReport(JSON.stringify(report), taskId);
const refusalOf = (report: unknown, taskId?: string) => {
  const parsed = parse(report, taskId);
  return 'refused' in parsed ? parsed.refused : null;
};

describe('a report', () => {
  test.each([
    ['of a healthy queue', lookOf('default'), 'look_default'],
    ['of one without the backend', lookOf('legacy', WITHOUT_BACKEND), 'look_legacy'],
    ['of one that may not write', lookOf('denied', DENIED), 'look_denied'],
    [
      'of a second task',
      readOf('legacy', [{ ok: false, got: 'path', from: 'default', seconds: 0.1, operation: 'read' }]),
      'read_legacy',
    ],
  ])('%s is read', (_, report, taskId) => {
    expect(parse(report, taskId)).toEqual({ ...report, ok: undefined });
  });

  test('a later one may say more: what is not known is left out', () => {
    expect(parse({ ...lookOf('default'), more: 'x'.repeat(1_000) })).toEqual(parse(lookOf('default')));
  });

  test.each<[string, unknown, string]>([
    ['of another form', { ...lookOf('default'), canary: 2 }, 'other_version'],
    ['a number', 6, 'malformed'],
    ['nothing', null, 'malformed'],
    ['a list', [lookOf('default')], 'malformed'],
    ['without settings', { ...lookOf('default'), settings: undefined }, 'malformed'],
    ['a step that there is not', lookOf('default', { step: 'steal' }), 'malformed'],
    ['a pool that it does not list', lookOf('other'), 'malformed'],
    ['a name with a line feed', lookOf('a\nb', { pools: { 'a\nb': 'a_b' } }), 'malformed'],
    ['a name that turns text around', lookOf('a\u202eb', { pools: { 'a\u202eb': 'a_b' } }), 'malformed'],
    [
      'a name of a thousand letters',
      lookOf('a'.repeat(1_000), { pools: { ['a'.repeat(1_000)]: 'a' } }),
      'malformed',
    ],
    ['two pools with one task', lookOf('default', { pools: { default: 'x', legacy: 'x' } }), 'malformed'],
    ['a look that pushed nothing', lookOf('default', { operations: [] }), 'malformed'],
    [
      'a pull that worked and gave a path',
      lookOf('default', {
        operations: [
          { operation: 'push', ok: true, seconds: 1 },
          { operation: 'pull', ok: true, seconds: 1, got: 'path' },
        ],
      }),
      'malformed',
    ],
    ['time that runs backwards', lookOf('default', { interval: -1 }), 'malformed'],
    ['a path with a line feed', lookOf('default', settingsWith({ path: 's3://a\nb' })), 'malformed'],
    [
      'markup as a version',
      lookOf('default', settingsWith({ versions: { ...VERSIONS, airflow: '<b>' } })),
      'malformed',
    ],
    [
      'text as a code',
      lookOf('default', {
        operations: [
          { operation: 'push', ok: false, seconds: 1, error: { class: 'a', code: 'the secret is' } },
        ],
      }),
      'malformed',
    ],
    [
      'a thousand operations',
      lookOf('default', {
        operations: Array.from({ length: 1_000 }, () => ({ operation: 'push', ok: true, seconds: 0 })),
      }),
      'too_large',
    ],
    [
      'a thousand queues',
      lookOf('default', {
        pools: Object.fromEntries(
          ['default', ...Array.from({ length: 999 }, (_, i) => `q${i}`)].map((name) => [name, name]),
        ),
      }),
      'malformed',
    ],
    ['a megabyte', lookOf('default', { more: 'x'.repeat(1e6) }), 'too_large'],
  ])('%s is refused', (_, report, refusal) => {
    expect(refusalOf(report)).toBe(refusal);
  });

  test('for another pool than that of its task is refused', () => {
    expect(refusalOf(lookOf('legacy'))).toBe('foreign');
    expect(refusalOf(readOf('default', []), 'look_default')).toBe('foreign');
  });

  test('without JSON is refused', () => {
    expect(parseReport('{', 'look_default')).toEqual({ refused: 'no_json' });
    expect(parseReport('', 'look_default')).toEqual({ refused: 'no_json' });
  });

  test('has no password in what it gives', () => {
    const report = parse(lookOf('default', settingsWith({ path: 's3://AKIA:geheim@bucket/xcom' })));
    expect(JSON.stringify(report)).not.toContain('geheim');
    expect(JSON.stringify(report)).toContain('s3://AKIA:***@bucket/xcom');
  });

  test('of any kind is either refused or harmless', () => {
    const base = JSON.stringify(lookOf('default'));
    const mutated = fc
      .record({
        at: fc.nat(base.length),
        cut: fc.nat(30),
        put: fc.string({ unit: anyCharacter, maxLength: 20 }),
      })
      .map(({ at, cut, put }) => base.slice(0, at) + put + base.slice(at + cut));
    const replaced = fc
      .record({
        path: fc.constantFrom('pool', 'pools', 'interval', 'operations', 'settings', 'payload'),
        // An interval may be a number alone.
        value: fc.oneof(fc.jsonValue(), fc.nat()),
      })
      .map(({ path, value }) => JSON.stringify({ ...lookOf('default'), [path]: value }));
    let believed = 0;
    fc.assert(
      fc.property(fc.oneof(mutated, replaced, fc.json()), (text) => {
        const parsed = parseReport(text, 'look_default');
        if ('refused' in parsed) return;
        believed += 1;
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MOST_REPORT_BYTES);
        expect(Object.keys(parsed.pools).length).toBeLessThanOrEqual(50);
        expect(parsed.interval).toBeGreaterThan(0);
        for (const name of Object.keys(parsed.pools)) expect(name).toMatch(/^\P{C}{1,100}$/u);
        expect(parsed.operations.filter((one) => one.seconds < 0)).toEqual([]);
        // Apart from names and the path, no text that is shown in a sentence has markup or a line end.
        const words = { ...parsed, pools: null, pool: null, settings: { ...parsed.settings, path: null } };
        const operations = parsed.operations.map((one) => ({ ...one, from: null }));
        expect(JSON.stringify({ ...words, operations })).not.toMatch(/[<>\p{Cc}]|\\[nru]/u);
      }),
      { numRuns: 2_000 },
    );
    // Some reports must be believed, or the checks above tested nothing: a report whose number was cut is still a
    // report.
    expect(believed).toBeGreaterThan(10);
  });
});

describe('what is remembered of the canary', () => {
  const noteTasks = (...call: readonly [CanaryMemory, readonly CanaryTask[]]) =>
    noteTasksAt(...call, { now: 1e9 });
  const told = (pool: string, at: number, changes = {}) => taskOf(lookOf(pool, changes), { at });

  test('a forged report changes nothing but the count of what was refused', () => {
    const honest = [told('default', 1_000), told('legacy', 1_000), told('denied', 1_000, DENIED)];
    const { memory } = noteTasks(NO_CANARY, honest);
    const forged = [
      taskOf('x'.repeat(MOST_REPORT_BYTES + 1), { at: 2_000 }),
      { ...taskOf(lookOf('default'), { at: 2_001 }), report: { version: '5', at: 2_001, text: null } },
      taskOf('not JSON', { at: 2_002 }),
      taskOf(lookOf('denied'), { at: 2_003, taskId: 'look_default' }),
      taskOf({ ...lookOf('default'), interval: '1' }, { at: 2_004 }),
      taskOf({ ...lookOf('default'), canary: 'x' }, { at: 2_005 }),
    ].map((task, index) => ({ ...task, dagRunId: 10 + index, runAt: null }));
    const after = noteTasks(memory, [...honest, ...forged]);
    expect({ ...after.memory, refused: null }).toEqual({ ...memory, refused: null });
    expect(Object.fromEntries(after.refusals)).toEqual({
      too_large: 2,
      no_json: 1,
      foreign: 1,
      malformed: 1,
      other_version: 1,
    });
    // While the reports stay in the table, they are counted once.
    expect(noteTasks(after.memory, [...honest, ...forged]).refusals.size).toBe(0);
  });

  test('the latest report says which pools there are', () => {
    const first = noteTasks(NO_CANARY, [told('default', 1_000), told('legacy', 1_000)]).memory;
    expect(first.pools.map(({ name }) => name)).toEqual(['default', 'denied', 'legacy']);
    const next = noteTasks(first, [told('default', 301_000, { pools: { default: 'default' } })]).memory;
    expect(next.pools.map(({ name }) => name)).toEqual(['default']);
  });

  test('no report takes a pool away that has a task in the latest run', () => {
    const honest = [told('default', 1_000), told('legacy', 1_000)];
    const forged = taskOf({ ...readOf('default', []), pools: { default: 'default' } }, { at: 1_001 });
    const { pools } = noteTasks(NO_CANARY, [...honest, forged]).memory;
    expect(pools.map(({ name }) => name)).toEqual(['default', 'legacy']);
    expect(pools[1]?.told.look?.report.operations[0]?.ok).toBe(true);
  });

  test('what a run has deleted of the one before is remembered', () => {
    const first = noteTasks(NO_CANARY, [told('default', 1_000)]).memory;
    expect(noteTasks(first, [taskOf(null, { at: 301_000, state: 'running' })]).memory.pools[0]).toMatchObject(
      {
        told: { look: { at: 1_000 } },
        succeededAt: { push: 1_000, pull: 1_000 },
        task: { state: 'running', runAt: 301_000 },
      },
    );
  });

  test('of several reads, one that fails is no success', () => {
    const read = (ok: boolean, from: string) => ({ operation: 'read', ok, seconds: 0.1, from });
    const tasks = (ok: boolean, at: number) => [
      told('default', at),
      taskOf(readOf('default', [read(true, 'legacy'), read(ok, 'denied')]), { at: at + 1 }),
    ];
    const first = noteTasks(NO_CANARY, tasks(true, 1_000)).memory;
    const next = noteTasks(first, tasks(false, 301_000)).memory;
    expect(next.pools[0]?.succeededAt).toEqual({ push: 301_000, pull: 301_000, read: 1_001 });
  });

  test.each([
    ['that stayed in the database', { payload: { form: 'value', bytes: 1066 } }],
    ['that nobody saw', { payload: { form: null, bytes: 1066 } }],
  ])('a push of a value %s is no success', (_, changes) => {
    const { memory } = noteTasks(NO_CANARY, [taskOf(lookOf('default', changes), { at: 1_000 })]);
    expect(memory.pools[0]?.succeededAt).toEqual({ pull: 1_000 });
  });

  test('a report of a clock that is ahead is not the last one for ever', () => {
    const ahead = taskOf(lookOf('default', DENIED), { at: 5e12 });
    const first = noteTasks(NO_CANARY, [ahead]).memory;
    expect(first.pools[0]?.told.look?.at).toBe(1e9);
    const next = noteTasksAt(first, [told('default', 1e9 + 1)], { now: 1e9 + 1 }).memory;
    expect(next.pools[0]?.told.look?.report.payload?.form).toBe('reference');
  });
});
