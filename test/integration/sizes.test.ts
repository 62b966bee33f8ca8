import { describe, expect, test } from 'vitest';
import { isOversize } from '../../src/classify.ts';
import { listFixtures, RECORDED_BUCKET, replay } from '../support/airflow-fixture.ts';
import { entriesOf } from '../support/entries.ts';
import { usePostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';

const postgres = usePostgres();
const s3 = useS3(RECORDED_BUCKET);

/** What every kind of value is tried at: Airflow measured exactly as many bytes. */
const EDGES = [999, 1000];
const THRESHOLD = 1000;

/**
 * Bytes between the least and the most that Airflow can have measured, for a value of a thousand bytes that is
 * all of this kind: what a jsonb does not tell. Kinds that are not named are exact.
 */
const GREY_ZONE: Readonly<Record<string, number>> = {};

const recorded = listFixtures().filter(({ scenario }) => scenario === 'sizes');

test('there is a recording of sizes', () => {
  expect(recorded.length).toBeGreaterThan(0);
});

describe.each(recorded)('sizes as Airflow $release measured them', ({ release, scenario }) => {
  test('are exact, or in a grey zone of known width', async () => {
    const fixture = await replay({ postgres: postgres(), s3: s3() }, { release, scenario });
    try {
      await fixture.cycle.run(null, new AbortController().signal);
      const widths = new Map<string, number>();
      const mistaken: string[] = [];
      for (const { row, placement } of entriesOf(fixture.cycle.ledger)) {
        const [, kind = '', measured = ''] = /^(.*)_(\d+)$/.exec(row.key) ?? [];
        expect(EDGES, row.key).toContain(Number(measured));
        if (placement.storage !== 'db') continue;
        const { bytes, leastBytes } = placement;
        if (Number(measured) < leastBytes || Number(measured) > bytes)
          mistaken.push(`${row.key} lies not in ${leastBytes} to ${bytes}`);
        widths.set(kind, Math.max(widths.get(kind) ?? 0, bytes - leastBytes));
        // Where the size is exact the threshold is: to the byte.
        if (bytes === leastBytes && isOversize(placement, THRESHOLD) !== Number(measured) >= THRESHOLD)
          mistaken.push(`${row.key} is on the wrong side`);
      }
      expect(mistaken).toEqual([]);
      const grey = Object.fromEntries([...widths].filter(([, width]) => width > 0).sort());
      expect(grey).toEqual(release.startsWith('2.') ? {} : GREY_ZONE);
    } finally {
      await fixture.close();
    }
  });
});
