import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Duck } from '../../../src/audit/duck.ts';
import { openDuck } from '../../../src/audit/duck.ts';
import type { ListObjectsOptions } from '../../../src/audit/list-objects.ts';
import { listObjects } from '../../../src/audit/list-objects.ts';
import { createTables } from '../../../src/audit/store.ts';
import { unknown } from '../../../src/s3/failure.ts';
import { unpaced } from '../../support/audit.ts';
import type { SmallStore } from '../../support/audit-small.ts';
import { storeOf } from '../../support/audit-small.ts';

const FORGETS = /^(DELETE FROM progress|CREATE OR REPLACE TABLE objects)/;

/** The database, but of the statements with which a plan begins, those after so many fail. */
function killedAfter(duck: Duck, most: number): Duck {
  let run = 0;
  return {
    ...duck,
    run: (sql, values) => {
      if (FORGETS.test(sql.trim())) run += 1;
      return run > most ? Promise.reject(new Error('killed')) : duck.run(sql, values);
    },
  };
}

// The first plan begins with two such statements. Then one place turns out to be denied, and there is another plan.
test.each([2, 3])(
  'killed in a new plan, after %i statements: the next call lists all',
  async (statements) => {
    const folder = mkdtempSync(join(tmpdir(), 'audit-listing-'));
    const duck = await openDuck({
      file: join(folder, 'audit.duckdb'),
      temporary: join(folder, 'spill'),
      memoryBytes: 2 ** 29,
    });
    try {
      await createTables(duck);
      // So many objects that they are kept before the other place fails.
      const objects: SmallStore = new Map(
        Array.from({ length: 20_000 }, (_, index) => [`bucket/xcom/${String(index).padStart(6, '0')}`, 0]),
      );
      const { list } = storeOf(objects);
      let isKept: () => void = () => undefined;
      const kept = new Promise<void>((resolve) => {
        isKept = resolve;
      });
      const options: ListObjectsOptions = {
        duck: killedAfter(
          {
            ...duck,
            append: async (batch) => {
              await duck.append(batch);
              if (batch.table === 'objects') isKept();
            },
          },
          statements,
        ),
        storeOf: () => ({
          list: async (target, signal) => {
            if (target.prefix !== 'other/') return list(target, signal);
            await kept;
            return unknown('denied', 'AccessDenied (403)', 's3');
          },
        }),
        configured: [{ bucket: 'bucket', prefix: 'xcom', connection: '' }],
        seen: [{ bucket: 'bucket', prefix: 'other', connection: '' }],
        pace: unpaced,
        concurrency: 4,
        signal: new AbortController().signal,
        report: () => undefined,
      };
      await expect(listObjects(options)).rejects.toThrow('killed');
      await listObjects({ ...options, duck, storeOf: () => ({ list }) });
      const [count] = await duck.run<{ n: number }>('SELECT count(*)::DOUBLE AS n FROM objects');
      expect(count?.n).toBe(objects.size);
    } finally {
      await duck.close();
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
