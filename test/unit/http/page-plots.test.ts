import { describe, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import { barPlot, linePlot, sparkline } from '../../../src/http/plots.ts';
import { KEPT, NO_HISTORY, SIZE_BOUNDS, sizesOf, withCycle, withProbe } from '../../../src/status/history.ts';
import type { Increment } from '../../../src/window/increments.ts';

const WINDOW = {
  seconds: 240,
  rows: { db: 1, s3: 2, other: 3 },
  bytes: { db: 10, s3: null, other: 30 },
} as unknown as NonNullable<Report['window']>;

/** The parts of a report that the plots use. */
function reportAt(at: number, changes: Partial<Report> = {}): Report {
  return { at, databaseFailure: null, window: WINDOW, increments: [], ...changes } as unknown as Report;
}

function valueOf(bytes: number, storage: 'db' | 's3' = 'db'): Increment {
  return { metric: 'value_bytes', storage, bytes };
}

describe('the past', () => {
  test('keeps the last cycles, and what was handed out does not change', () => {
    const one = withCycle(NO_HISTORY, reportAt(1_000));
    const many = Array.from({ length: KEPT }, (_, i) => 2_000 + i).reduce(
      (history, at) => withCycle(history, reportAt(at)),
      one,
    );
    expect(one.cycles).toEqual([{ at: 1_000, rows: WINDOW.rows, bytes: WINDOW.bytes }]);
    expect(many.cycles).toHaveLength(KEPT);
    expect([many.cycles[0]?.at, many.cycles.at(-1)?.at]).toEqual([2_000, 2_000 + KEPT - 1]);
    expect(NO_HISTORY.cycles).toEqual([]);
  });

  test('does not repeat what was known before the database went away', () => {
    const report = reportAt(1_000, { databaseFailure: { reason: 'timeout', detail: '' } });
    expect(withCycle(NO_HISTORY, report).cycles).toEqual([{ at: 1_000, rows: null, bytes: null }]);
  });

  test('counts values by size, each once, and forgets those that are older than the window', () => {
    const first = withCycle(
      NO_HISTORY,
      reportAt(0, { increments: [valueOf(255), valueOf(256), valueOf(1e9, 's3')] }),
    );
    const both = withCycle(first, reportAt(120_000, { increments: [valueOf(256)] }));
    const zeros = SIZE_BOUNDS.map(() => 0);
    expect(sizesOf(both)).toEqual({
      since: 0,
      counts: { db: [1, 2, ...zeros.slice(1)], s3: [...zeros, 1], other: [...zeros, 0] },
    });
    const later = withCycle(both, reportAt(241_000));
    expect(sizesOf(later)).toMatchObject({ since: 120_000, counts: { db: [0, 1, ...zeros.slice(1)] } });
    expect(sizesOf(NO_HISTORY)).toBeNull();
  });

  test('does not grow with the number of cycles', () => {
    let history = NO_HISTORY;
    for (let at = 0; at < 3_600_000; at += 1_000) history = withCycle(history, reportAt(at));
    expect(history.sizes.length).toBeLessThanOrEqual(24);
    expect(sizesOf(history)?.since).toBeGreaterThan(3_600_000 - 1_000 - 240_000 - 11_000);
  });

  test('keeps how long each operation took, and that it failed', () => {
    const steps = [
      { operation: 'put', ok: true, seconds: 0.5 },
      {
        operation: 'head',
        ok: false,
        seconds: 3,
        reason: 'denied',
        detail: '',
        said: {
          by: 's3',
          code: 'AccessDenied',
          status: 403,
          cause: 'permission',
          action: null,
          policy: null,
        },
      },
      { operation: 'get', ok: null },
    ] as const;
    expect(withProbe(NO_HISTORY, { steps, leftoversDeleted: 0 }, 7).probes).toEqual([
      { at: 7, seconds: { put: 0.5, head: null } },
    ]);
  });
});

const figure = { id: 'f', title: 'Rows', words: 'At most 9.' };

function lines(at: readonly number[], values: readonly (number | null)[]): string {
  const data = { at, lines: [{ kind: 'db', values }], format: String, from: '1 h ago' };
  return linePlot({ ...figure, legend: [['db', 'in the database: 9']] }, data).html;
}

const pathIn = (svg: string): string | undefined => /class="line [a-z0-9]+"\s+d="([^"]*)"/.exec(svg)?.[1];

describe('lines', () => {
  test('say in words what they show, with the highest value and the time', () => {
    const svg = lines([0, 10], [1, 9]);
    expect(svg).toMatch(/role="img" aria-labelledby="f-t f-d"/);
    expect(svg).toContain('<title id="f-t">Rows</title>');
    expect(svg).toContain('<desc id="f-d">At most 9.</desc>');
    expect(svg).toContain('in the database: 9');
    expect(svg).toMatch(/<text class="axis" x="0" y="10">9<\/text>/);
  });

  test('are placed by the clock, and the highest is at the top', () => {
    expect(pathIn(lines([0, 10, 40], [0, 9, 9]))).toBe('M0 98h0L80 14L320 14');
  });

  test('break where a value is not known, and a value on its own is a dot', () => {
    expect(pathIn(lines([0, 10, 20, 30], [0, null, 0, 0]))).toBe('M0 98h0M213.3 98h0L320 98');
  });

  test('of nothing, of one and of zeros are drawable', () => {
    expect(pathIn(lines([], []))).toBe('');
    expect(pathIn(lines([5], [3]))).toBe('M320 14h0');
    for (const svg of [lines([], []), lines([5], [3]), lines([0, 1], [0, 0]), lines([0, 1], [null, null])])
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  test('of many moments stay small and keep the peak', () => {
    const values = Array.from({ length: 2_000 }, (_, i) => (i === 1_234 ? 100 : 1));
    const path =
      pathIn(
        lines(
          values.map((_, i) => i),
          values,
        ),
      ) ?? '';
    expect(path.length).toBeLessThan(2_000);
    expect(path.match(/ 14(?=L)/g)).toHaveLength(1);
  });
});

test('a sparkline marks what failed', () => {
  const svg = sparkline(figure, { at: [0, 1, 2], values: [0.1, null, 0.2] }).html;
  expect(svg).toContain('<title id="f">Rows: At most 9.</title>');
  expect(svg).toMatch(/class="failed" d="M60 15v9"/);
  expect(sparkline(figure, { at: [0, 1], values: [1, 2] }).html).not.toContain('failed');
});

test('bars are logarithmic, and even one value is seen', () => {
  const svg = barPlot(
    { ...figure, legend: [] },
    {
      bars: [1_000_000, 1, 0].map((count) => ({ label: '', stacks: [{ kind: 'db', count }] })),
      marks: [{ at: 1.5, label: 'threshold' }],
    },
  ).html;
  const heights = [...svg.matchAll(/height="([\d.]+)"/g)].map(([, height]) => Number(height));
  expect(heights).toEqual([80, 4]);
  expect(svg).toContain('d="M160 2V98.5"');
});
