import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { diagnose } from '../../../src/diagnosis/diagnose.ts';
import type { ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import { PROBLEM_CODES } from '../../../src/diagnosis/problem-catalogue.ts';
import type { ProblemMemory, Verdicts } from '../../../src/diagnosis/problem-memory.ts';
import { observedAtOf, settle } from '../../../src/diagnosis/problem-memory.ts';
import type { ProblemState } from '../../../src/diagnosis/problem.ts';
import type { ProbeResult } from '../../../src/probe/bucket.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { PROBED } from '../../support/probed.ts';

const CODE: ProblemCode = 'worker_bypass';
const CERTAIN: ProblemCode = 'threshold_disabled';
const WINDOW = 10_000;

/** One cycle: the state that it found, the time since the cycle before, and whether it looked or repeats. */
interface Step {
  readonly state: ProblemState;
  readonly afterMs: number;
  readonly looked: boolean;
  /** True when the data now speak against what was raised before, but decide nothing. */
  readonly takenBack?: boolean;
}

interface Shown {
  readonly state: ProblemState;
  readonly since: number | null;
  readonly lastSeen: number | null;
  readonly evidence: string | null;
  readonly now: number;
  readonly observedAt: number;
}

function verdictsOf(state: ProblemState, { code = CODE, now = 0 } = {}): Verdicts {
  const states = Object.fromEntries(PROBLEM_CODES.map((one) => [one, 'clear'])) as Verdicts['states'];
  const problem = { code, evidence: `said at ${now}`, where: [], since: 0, findings: [] };
  return { states: { ...states, [code]: state }, problems: state === 'raised' ? [problem] : [] };
}

function play(
  steps: readonly Step[],
  { code = CODE, handOver = (memory: ProblemMemory) => memory } = {},
): Shown[] {
  let memory: ProblemMemory = {};
  let now = 1_000_000;
  let observedAt = now;
  return steps.map(({ state, afterMs, looked, takenBack = false }) => {
    now += afterMs;
    if (looked) observedAt = now;
    const at = observedAt;
    const shown = settle(
      handOver(memory),
      { ...verdictsOf(state, { code, now }), takenBack: takenBack ? [code] : [] },
      { now, windowMs: WINDOW, observedAt: () => at },
    );
    memory = shown.memory;
    const problem = shown.problems.find((one) => one.code === code);
    return {
      state: shown.states[code],
      since: problem?.since ?? null,
      lastSeen: problem?.lastSeen ?? null,
      evidence: problem?.evidence ?? null,
      now,
      observedAt: at,
    };
  });
}

const words = { r: 'raised', c: 'clear', u: 'unknown', t: 'unknown' } as const;

/** The shown states for one letter a cycle, a second apart. A small letter looks, a capital one repeats. */
function statesOf(letters: string, code: ProblemCode = CODE): string {
  const steps = letters.split('').map((letter) => ({
    state: words[letter.toLowerCase() as keyof typeof words],
    afterMs: 1_000,
    looked: letter === letter.toLowerCase(),
    takenBack: letter.toLowerCase() === 't',
  }));
  return play(steps, { code })
    .map(({ state }) => state.charAt(0))
    .join('');
}

describe('the states that are shown', () => {
  test.each([
    ['crc', 'crr', 'raised at once; one clear cycle is not enough'],
    ['rcc', 'rrc', 'two clear cycles in a row are'],
    ['rcrcrcrc', 'rrrrrrrr', 'no flapping'],
    ['rcuc', 'rrrc', 'not known stands between two clear ones and counts for nothing'],
    ['ruuuuu', 'rrrrrr', 'not known clears nothing'],
    ['ruuuuuuuuuuuu', 'rrrrrrrrrrruu', 'until the window has passed; then it is not known, and not clear'],
    ['rcCCCC', 'rrrrrr', 'one look that is repeated is one look'],
    ['cucu', 'cucu', 'what was never raised is shown as it is found'],
    ['rccrcc', 'rrcrrc', 'and again'],
    ['rttt', 'rruu', 'what speaks against it takes it back, as two clear cycles do, and it is not known'],
    ['rtcc', 'rrcc', 'together with a clear one as well'],
    ['tutu', 'uuuu', 'what was never raised is not known'],
  ])('%s is shown as %s: %s', (found, shown) => {
    expect(statesOf(found)).toBe(shown);
  });

  test('what the settings or the catalogue say is clear at once', () => {
    expect(statesOf('rcc', CERTAIN)).toBe('rcc');
    expect(statesOf('rCc', CERTAIN)).toBe('rrc');
    expect(statesOf('rtu', CERTAIN)).toBe('ruu');
  });

  test('a clock that is set back keeps no problem from being cleared, and dates none in the future', () => {
    const step = (state: ProblemState, afterMs: number): Step => ({ state, afterMs, looked: true });
    const shown = play([
      step('raised', 0),
      step('raised', -3_600_000),
      step('clear', 1_000),
      step('clear', 1_000),
    ]);
    expect(shown.map(({ state }) => state)).toEqual(['raised', 'raised', 'raised', 'clear']);
    expect([shown[1]?.since, shown[1]?.lastSeen]).toEqual([shown[1]?.now, shown[1]?.now]);
  });

  test('problems keep their order, and those of others are not touched', () => {
    const at = { now: 5, windowMs: WINDOW, observedAt: () => 5 };
    const raised = PROBLEM_CODES.map((code) => verdictsOf('raised', { code }).problems).flat();
    const states = Object.fromEntries(PROBLEM_CODES.map((code) => [code, 'raised'])) as Verdicts['states'];
    const { problems } = settle({}, { states, problems: raised.toReversed(), takenBack: [] }, at);
    expect(problems.map(({ code }) => code)).toEqual(PROBLEM_CODES);
    const next = settle({}, { ...verdictsOf('raised'), takenBack: [] }, at);
    expect(next.problems.map(({ code }) => code)).toEqual([CODE]);
  });

  test('while it waits to be cleared it is told as it was last found', () => {
    const [first, second] = play([
      { state: 'raised', afterMs: 0, looked: true },
      { state: 'clear', afterMs: 1_000, looked: true },
    ]);
    expect(second?.evidence).toBe(first?.evidence);
    expect([second?.since, second?.lastSeen]).toEqual([first?.now, first?.now]);
  });
});

const steps = fc.array(
  fc.record({
    state: fc.constantFrom<ProblemState>('raised', 'clear', 'unknown'),
    afterMs: fc.integer({ min: 1, max: 4_000 }),
    looked: fc.boolean(),
  }),
  { maxLength: 40 },
);

describe('of any sequence of cycles holds', () => {
  test('raised is shown at once, and since and last seen tell when', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        for (const [index, shown] of play(sequence).entries()) {
          if (sequence[index]?.state === 'raised') expect(shown.state).toBe('raised');
          expect(shown.since === null).toBe(shown.state !== 'raised');
          if (shown.since === null || shown.lastSeen === null) continue;
          expect(shown.since).toBeLessThanOrEqual(shown.lastSeen);
          expect(shown.lastSeen).toBeLessThanOrEqual(shown.now);
        }
      }),
    );
  });

  test('since stands still and last seen never goes back as long as it is shown', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const shown = play(sequence);
        for (const [index, one] of shown.entries()) {
          const before = shown[index - 1];
          if (before?.since == null || one.since === null || before.lastSeen === null) continue;
          expect(one.lastSeen).toBeGreaterThanOrEqual(before.lastSeen);
          // A problem that is seen again after more than a window is another problem.
          if (one.observedAt - before.lastSeen <= WINDOW) expect(one.since).toBe(before.since);
        }
      }),
    );
  });

  test('it goes only on two looks in a row that find health, or after a window', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const shown = play(sequence);
        for (const [index, one] of shown.entries()) {
          const before = shown[index - 1];
          if (before?.state !== 'raised' || one.state === 'raised' || before.lastSeen === null) continue;
          if (one.now - before.lastSeen > WINDOW) continue;
          expect(one.state).toBe('clear');
          // The looks that found health since the problem was last found.
          const from = sequence.slice(0, index + 1).findLastIndex(({ state }) => state === 'raised');
          const looks = new Set(
            sequence
              .slice(0, index + 1)
              .flatMap(({ state }, at) => (at > from && state === 'clear' ? [shown[at]?.observedAt] : [])),
          );
          expect(looks.size).toBeGreaterThanOrEqual(2);
        }
      }),
    );
  });

  test('it goes for good: no state changes more often than it is found to', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const changes = (states: readonly string[]) =>
          states.filter(
            (state, index) => index > 0 && (state === 'raised') !== (states[index - 1] === 'raised'),
          ).length;
        const shown = changes(play(sequence).map(({ state }) => state));
        expect(shown).toBeLessThanOrEqual(changes(sequence.map(({ state }) => state)));
      }),
    );
  });

  test('a reload or a restart in between changes nothing', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const handOver = (memory: ProblemMemory) => JSON.parse(JSON.stringify(memory)) as ProblemMemory;
        expect(play(sequence, { handOver })).toEqual(play(sequence));
      }),
    );
  });
});

test('what a verdict rests on is what diagnose needs to know for it', () => {
  const env = {
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://b/p',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '0',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: '',
    AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
  };
  const config = readConfig({ argv: [], env, readFile: () => '' });
  const known = (probe: ProbeResult | null) => {
    const { states } = diagnose({ config, sampled: null, probe });
    return PROBLEM_CODES.filter((code) => states[code] !== 'unknown');
  };
  const times = { settings: 1, probe: 2, database: 3 };
  const from = (time: number) => PROBLEM_CODES.filter((code) => observedAtOf(times)(code) === time);
  const settings = known(null);
  expect(from(1)).toEqual(settings);
  expect(from(2)).toEqual(known(PROBED).filter((code) => !settings.includes(code)));
  expect(from(3).length).toBeGreaterThan(10);
});
