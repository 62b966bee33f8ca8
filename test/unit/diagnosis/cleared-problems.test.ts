import { expect, test } from 'vitest';
import type { ClearedProblem } from '../../../src/diagnosis/cleared-problems.ts';
import { withCleared } from '../../../src/diagnosis/cleared-problems.ts';
import type { ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import { PROBLEM_CODES } from '../../../src/diagnosis/problem-catalogue.ts';
import type { ProblemMemory, Verdicts } from '../../../src/diagnosis/problem-memory.ts';
import { settle } from '../../../src/diagnosis/problem-memory.ts';
import type { ProblemState } from '../../../src/diagnosis/problem.ts';

const CODE: ProblemCode = 'worker_bypass';
const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;

/** Plays cycles that are a minute apart. `found`: the state that each cycle found. */
function play(
  found: readonly ProblemState[],
  { stepMs = MINUTE, windowMs = DAY, from = 0, cleared = [] as readonly ClearedProblem[] } = {},
): readonly ClearedProblem[] {
  let memory: ProblemMemory = {};
  for (const [i, state] of found.entries()) {
    const now = from + i * stepMs;
    const options = { now, windowMs, observedAt: () => now };
    const verdicts = verdictsOf(state);
    const settled = settle(memory, { ...verdicts, takenBack: [] }, options);
    cleared = withCleared(cleared, {
      before: memory,
      after: settled.memory,
      found: verdicts.states,
      options,
    });
    memory = settled.memory;
  }
  return cleared;
}

function verdictsOf(state: ProblemState): Verdicts {
  const states = Object.fromEntries(PROBLEM_CODES.map((code) => [code, 'clear'])) as Verdicts['states'];
  const problem = {
    code: CODE,
    evidence: '6 of 8 large values',
    where: [{ label: 'queue', value: 'legacy', rows: 6 }],
    since: 0,
    findings: [],
  };
  return { states: { ...states, [CODE]: state }, problems: state === 'raised' ? [problem] : [] };
}

test('a problem that looks found to be gone is told with its time, as it was said last', () => {
  expect(play(['clear', 'raised', 'raised', 'clear', 'clear', 'clear'])).toEqual([
    {
      code: CODE,
      evidence: '6 of 8 large values',
      where: [{ label: 'queue', value: 'legacy', rows: 6 }],
      since: MINUTE,
      clearedAt: 4 * MINUTE,
    },
  ]);
});

test('one that is still shown is not among them, and one of which nothing was known for a window never is', () => {
  expect(play(['raised', 'clear'])).toEqual([]);
  expect(play(['raised', 'unknown', 'unknown', 'unknown'])).toEqual([]);
  expect(play(['raised', ...Array<ProblemState>(4).fill('unknown')], { windowMs: 2 * MINUTE })).toEqual([]);
});

test('one that comes and goes is told each time, the latest first', () => {
  const cleared = play(['raised', 'clear', 'clear', 'raised', 'clear', 'clear']);
  expect(cleared.map(({ since, clearedAt }) => [since, clearedAt])).toEqual([
    [3 * MINUTE, 5 * MINUTE],
    [0, 2 * MINUTE],
  ]);
});

test('no more than twenty are kept, and none for longer than seven days', () => {
  const many = play(Array.from({ length: 90 }, (_, i) => (i % 3 === 0 ? 'raised' : 'clear')));
  expect(many).toHaveLength(20);
  expect(many[0]?.since).toBe(87 * MINUTE);
  const later = { from: 7 * DAY + 50 * MINUTE, cleared: many };
  expect(play(['clear'], later).map(({ since }) => since / MINUTE)).toEqual(
    many.map(({ since }) => since / MINUTE).filter((minute) => minute + 2 >= 50),
  );
});

test('a clock that was set back makes no problem last less than nothing', () => {
  const cleared = withCleared([], {
    before: {
      [CODE]: {
        problem: { code: CODE, evidence: '', where: [], findings: [] },
        since: 10 * MINUTE,
        lastSeen: 10 * MINUTE,
        clears: 1,
        observedAt: 10 * MINUTE,
      },
    },
    after: {},
    found: verdictsOf('clear').states,
    options: { now: MINUTE, observedAt: () => MINUTE },
  });
  expect(cleared).toEqual([expect.objectContaining({ since: 10 * MINUTE, clearedAt: 10 * MINUTE })]);
});
