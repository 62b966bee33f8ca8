import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isOversizeRow } from '../../../src/window/flags.ts';
import { listFixtures, RECORDED_BUCKETS, replay } from '../../support/airflow-fixture.ts';
import { entriesOf } from '../../support/entries.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';

const postgres = usePostgres();
const s3 = useS3(...RECORDED_BUCKETS);

/**
 * Each kind of value is recorded at these sizes: Airflow measured exactly as many bytes. No data frame is as small.
 */
const EDGES = [999, 1000, 10_000];
const THRESHOLD = 1000;

/**
 * Width of the grey zone in bytes: the distance between the least and the most that Airflow can have measured. It is
 * given for a value of a thousand bytes that is only of this kind, because a jsonb does not tell the exact size. All
 * other kinds are exact. A jsonb writes out the digits of a float.
 */
const GREY_ZONE: Readonly<Record<string, number>> = {
  long_integers: 630,
  round_floats: 1644,
  large_floats: 35520,
  small_floats: 548,
  smallest_floats: 28608,
};

/** Bytes that Airflow measured and the exporter cannot see: a jsonb has no -0.0, so each value is one byte short. */
const UNSEEN: Readonly<Record<string, number>> = { negative_zeros: 160 };

const recorded = listFixtures().filter(({ scenario }) => scenario === 'sizes');

test('there is a recording of sizes', () => {
  expect(recorded.length).toBeGreaterThan(0);
});

test('the widths are those that test/airflow/README.md states', () => {
  const readme = readFileSync(new URL('../../airflow/README.md', import.meta.url), 'utf8');
  const [, section = ''] = /## How exact a size is\n(.*?)\n## /s.exec(readme) ?? [];
  const stated = new Set([...section.matchAll(/(?<=[|;] )[\d,]+(?= \||;)/g)].map(([width]) => width));
  expect([...stated].sort()).toEqual(
    [...new Set(Object.values(GREY_ZONE).map((width) => width.toLocaleString('en')))].sort(),
  );
});

describe.each(recorded)('sizes as Airflow $release measured them', ({ release, scenario }) => {
  test('are exact, or in a grey zone of known width', async () => {
    const fixture = await replay({ postgres: postgres(), s3: s3() }, { release, scenario });
    try {
      await fixture.cycle.run(null, new AbortController().signal);
      const grey = new Map<string, number>();
      const unseen = new Map<string, number>();
      const mistaken: string[] = [];
      const rows = fixture.cycle.ledger.rows();
      for (const { slot, row, placement } of entriesOf(fixture.cycle.ledger)) {
        const [, kind = '', edge = ''] = /^(.*)_(\d+)$/.exec(row.key) ?? [];
        const measured = Number(edge);
        expect(EDGES, row.key).toContain(measured);
        if (placement.storage !== 'db') continue;
        const { bytes, leastBytes } = placement;
        noteMost(grey, kind, bytes - leastBytes);
        noteMost(unseen, kind, measured - bytes);
        // A value is never taken for larger than it is. If its size is exact, the comparison with the threshold is
        // exact to the byte.
        const isOver = isOversizeRow(rows.flagsOf(slot), leastBytes, THRESHOLD);
        if (isOver && measured < THRESHOLD) mistaken.push(row.key);
        if (!isOver && measured >= THRESHOLD && bytes === leastBytes && bytes === measured)
          mistaken.push(row.key);
      }
      expect(mistaken).toEqual([]);
      const isExact = release.startsWith('2.');
      expect(Object.fromEntries(grey)).toEqual(isExact ? {} : GREY_ZONE);
      expect(Object.fromEntries(unseen)).toEqual(isExact ? {} : UNSEEN);
    } finally {
      await fixture.close();
    }
  });
});

function noteMost(sums: Map<string, number>, kind: string, bytes: number): void {
  if (bytes > 0) sums.set(kind, Math.max(sums.get(kind) ?? 0, bytes));
}
