import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Duck } from '../../../src/audit/duck.ts';
import { openDuck } from '../../../src/audit/duck.ts';
import type { ListObjectsOptions } from '../../../src/audit/list-objects.ts';
import { listObjects } from '../../../src/audit/list-objects.ts';
import type { Base } from '../../../src/audit/named-object.ts';
import { createTables } from '../../../src/audit/store.ts';
import { unknown } from '../../../src/s3/failure.ts';
import { unpaced } from '../../support/audit.ts';
import type { SmallStore } from '../../support/audit-small.ts';
import { storeOf } from '../../support/audit-small.ts';

type List = ReturnType<typeof storeOf>['list'];

/** The statements with which a plan begins, and with which it drops what a refused place brought. */
const FORGETS = /^(DELETE FROM progress|CREATE OR REPLACE TABLE objects|BEGIN)/;
const DENIED = unknown('denied', 'AccessDenied (403)', 's3');

let folder: string;
let duck: Duck;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'audit-listing-'));
  duck = await openDuck({
    file: join(folder, 'audit.duckdb'),
    temporary: join(folder, 'spill'),
    memoryBytes: 2 ** 29,
  });
  await createTables(duck);
});
afterEach(async () => {
  await duck.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The database, but of the statements that forget, those after so many fail. */
function killedAfter(most: number, through: Duck): Duck {
  let run = 0;
  return {
    ...through,
    run: (sql, values) => {
      if (FORGETS.test(sql.trim())) run += 1;
      return run > most ? Promise.reject(new Error('killed')) : through.run(sql, values);
    },
  };
}

const place = (prefix: string, bucket = 'bucket'): Base => ({ bucket, prefix, connection: '' });

function listing(list: List, changes: Partial<ListObjectsOptions> = {}) {
  return listObjects({
    duck,
    storeOf: () => ({ list }),
    configured: [place('xcom')],
    seen: [],
    pace: unpaced,
    concurrency: 4,
    signal: new AbortController().signal,
    report: () => undefined,
    ...changes,
  });
}

function under(start: string, count: number): SmallStore {
  const name = (index: number) => `${start}/${String(index).padStart(6, '0')}`;
  return new Map(Array.from({ length: count }, (_, index) => [name(index), 0]));
}

async function kept(): Promise<string[]> {
  const rows = await duck.run<{ location: string }>('SELECT location FROM objects ORDER BY location');
  return rows.map(({ location }) => location);
}

// The first plan begins with two such statements. Then the server turns out to have an order of its own, and there is
// another plan.
test.each([2, 3])(
  'killed in a new plan, after %i statements: the next call lists all',
  async (statements) => {
    // So many objects that they are kept before the other place is out of order.
    const objects = under('bucket/xcom', 20_000);
    const { list } = storeOf(objects);
    let isKept: () => void = () => undefined;
    const areKept = new Promise<void>((resolve) => {
      isKept = resolve;
    });
    const watched: Duck = {
      ...duck,
      append: async (batch) => {
        await duck.append(batch);
        if (batch.table === 'objects') isKept();
      },
    };
    const seen = [place('other')];
    const outOfOrder: List = async (target, signal) => {
      if (target.prefix !== 'other/') return list(target, signal);
      await areKept;
      const object = { bytes: 1, lastModified: 0, storageClass: '' };
      const unsorted = ['other/b', 'other/a'].map((key) => ({ ...object, key }));
      return { kind: 'listed', objects: unsorted, next: null };
    };
    await expect(listing(outOfOrder, { duck: killedAfter(statements, watched), seen })).rejects.toThrow(
      'killed',
    );
    await listing(list, { seen });
    expect(await kept()).toHaveLength(objects.size);
  },
);

describe('a place that may not be listed', () => {
  const days = Array.from({ length: 12 }, (_, day) => place(`2026-01-${day + 10}`, 'other'));

  test('costs a request of its own, and none of the others again', async () => {
    const objects = under('bucket/xcom', 40);
    // As many names as make ten lanes.
    const names = [...objects.keys()];
    await duck.append({
      table: 'named',
      types: ['text', 'text', 'text', 'text', 'text', 'number'],
      columns: [names, ...Array.from({ length: 4 }, () => names.map(() => '')), names.map(() => 0)],
      progress: [],
    });
    const asked: string[] = [];
    const { list } = storeOf(objects);
    const { places, unlisted } = await listing(
      (target, signal) => {
        asked.push(target.bucket);
        return target.bucket === 'other' ? Promise.resolve(DENIED) : list(target, signal);
      },
      { seen: days },
    );
    expect(asked.filter((bucket) => bucket === 'bucket')).toHaveLength(10);
    expect(asked).toHaveLength(10 + days.length);
    expect(places).toEqual([place('xcom')]);
    expect(unlisted).toHaveLength(days.length);
    expect(unlisted[0]).toMatchObject({
      bucket: 'other',
      connection: '',
      reason: 'denied',
      by: 's3',
      detail: 'AccessDenied (403)',
    });
    expect(await kept()).toEqual([...objects.keys()]);
  });

  /** Denies the second page of `old/`. */
  function deniedHalfway(objects: SmallStore): List {
    const { list } = storeOf(objects);
    return async (target, signal) => {
      if (target.prefix !== 'old/') return list(target, signal);
      if (target.after !== null) return DENIED;
      const answer = await list(target, signal);
      return answer.kind === 'listed' ? { ...answer, next: 'more' } : answer;
    };
  }

  test('leaves nothing behind of what it gave before, and a place within it is listed by itself', async () => {
    const own = [...under('bucket/xcom', 5), ...under('bucket/old/team', 5)];
    const objects: SmallStore = new Map([...own, ...under('bucket/old', 5)]);
    const { places, unlisted } = await listing(deniedHalfway(objects), {
      seen: [place('old'), place('old/team')],
    });
    expect(places).toEqual([place('xcom'), place('old/team')]);
    expect(unlisted).toMatchObject([place('old')]);
    expect(await kept()).toEqual(own.map(([location]) => location).sort());
  });

  test('is asked for again after a kill, and nothing is kept twice', async () => {
    const objects: SmallStore = new Map([...under('bucket/xcom', 5), ...under('bucket/old', 5)]);
    const seen = [place('old')];
    const denied = deniedHalfway(objects);
    await expect(listing(denied, { duck: killedAfter(2, duck), seen })).rejects.toThrow('killed');
    const { places } = await listing(storeOf(objects).list, { seen });
    expect(places).toHaveLength(2);
    expect(await kept()).toEqual([...objects.keys()].sort());
  });
});
