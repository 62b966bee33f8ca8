import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Database } from '../../src/postgres/client.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import { betweenQueries } from '../support/between-queries.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import { openCycle } from '../support/seed.ts';
import type { Stage, StageCycle } from '../support/seed.ts';
import { measureBase } from './database-base.ts';
import type { BaseLine } from './database-base.ts';
import { costOf, prepareMeasuring } from './database-cost.ts';
import type { Cost } from './database-cost.ts';
import { rivalQuery, rivalVersion, startRival } from './database-rival.ts';
import { describeBench, GROWTH_BAR } from './database-report.ts';
import type { Line } from './database-report.ts';
import { BUSY_ROWS, buildWorld, writeRows } from './database-world.ts';

const postgres = useOwnPostgres({
  // Millions of rows belong on a disk, not in memory.
  dir: tmpdir(),
  settings: {
    shared_buffers: '512MB',
    maintenance_work_mem: '512MB',
    max_wal_size: '2GB',
    autovacuum: 'off',
    shared_preload_libraries: 'pg_stat_statements',
    'pg_stat_statements.track': 'all',
    'pg_stat_statements.track_planning': 'on',
  },
});
const s3 = useS3('airflow-xcom');

const BUSY = { rows: BUSY_ROWS, large: 0, medium: 0 };
const LARGE = { rows: BUSY_ROWS, large: 10, medium: 40 };
const CYCLES = 3;
/** More than a cycle may unpack, in bytes and in rows. */
const FLOOD = { rows: 2_400, large: 60, medium: 2_300 };
const CAP_ROWS = 1_000;
const CAP_BYTES = 64 * 1024 * 1024;

const lines: Line[] = [];
let base: readonly BaseLine[] = [];
beforeAll(async () => {
  base = await measureBase(inject('base'), { rows: inject('rows'), releases: inject('releases') });
}, 7_200_000);

describe.each(inject('releases'))('Airflow %s', (release) => {
  test.each(inject('rows'))('with %i rows', async (rows) => {
    const started = performance.now();
    const stage = await buildWorld(postgres(), { release, rows });
    console.log(`${release}, ${rows} rows: built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
    try {
      await measure(stage, { release, rows });
    } finally {
      await stage.close();
      await drop(stage);
    }
  });
});

afterAll(async () => {
  const report = new URL('database.md', import.meta.url);
  const text = describeBench(lines, {
    kept: await readFile(report, 'utf8'),
    version: await versionOf(),
    rival: await rivalVersion(),
    base,
    large: LARGE,
    flood: FLOOD,
  });
  console.log(text);
  if (inject('write')) await writeFile(report, text);
});

test('the bars', () => {
  expect.soft(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    const { release, rows, what, cost } = line;
    const name = `${release}, ${rows} rows, ${what}`;
    const find = (other: Line['what'], size = rows) =>
      lines.find((one) => one.release === release && one.rows === size && one.what === other)?.cost;
    const rival = find('rival');
    if (rows >= 10_000_000 && (what === 'busy' || what === 'idle') && rival !== undefined)
      expect.soft(rival.buffers / cost.buffers, `${name}: share of the other's`).toBeGreaterThan(500);
    const smaller = find(what, 1_000_000);
    const isOrdinary = what === 'busy' || what === 'idle' || what === 'large';
    if (isOrdinary && rows > 1_000_000 && smaller !== undefined)
      expect.soft(cost.buffers / smaller.buffers, `${name}: growth`).toBeLessThan(1.2);
    const medium = find(what, 10_000_000);
    if (isOrdinary && rows > 10_000_000 && medium !== undefined)
      expect.soft(cost.buffers / medium.buffers, `${name}: growth from 10 million`).toBeLessThan(GROWTH_BAR);
    if (what === 'large' || what === 'flood') {
      expect.soft(cost.measuredRows, name).toBeLessThanOrEqual(CAP_ROWS);
      // A chunk of TOAST is a quarter of a page, and its index is read as well.
      expect.soft(cost.toastBuffers * 8_192, name).toBeLessThanOrEqual(1.1 * CAP_BYTES);
    }
  }
});

async function measure(stage: Stage, { release, rows }: { release: string; rows: number }): Promise<void> {
  const roles = await prepareMeasuring(stage, postgres());
  const measured = { rows: 0 };
  let database: Database | null = null;
  const cycle: StageCycle = openCycle(stage, {
    endpoint: s3().endpoint,
    env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: roles.exporter },
    through: (opened) => {
      database = opened;
      return countingMeasured(opened, measured);
    },
  });
  /** A session reports the rows that it read once a second at most, at the end of a transaction. */
  const flush = async () => {
    await delay(1_100);
    await database?.read(
      (query) => query({ name: 'flush', text: 'SELECT 1', values: [] }),
      new AbortController().signal,
    );
  };
  const note = (what: Line['what'], cost: Cost, cycles = 1) => {
    lines.push({ release, rows, what, cycles, cost });
    console.log(
      `${release}, ${rows} rows, ${what}: ${cost.buffers} buffers, ${cost.rowsRead} rows read, ${cost.ms.toFixed(1)} ms\n` +
        cost.statements
          .map((one) => `    ${one.buffers} buffers in ${one.calls}, ${one.ms.toFixed(1)} ms: ${one.text}`)
          .join('\n'),
    );
  };
  const ours = async (before: () => Promise<void>, cycles: number): Promise<Cost> => {
    let report: { seconds: number } = { seconds: 0 };
    const costs: Cost[] = [];
    for (let i = 0; i < cycles; i += 1) {
      await before();
      measured.rows = 0;
      const cost = await costOf(stage, {
        role: 'xcom_exporter',
        flush,
        work: async () => {
          const start = performance.now();
          await cycle.pass();
          report = { seconds: (performance.now() - start) / 1_000 };
        },
      });
      costs.push({ ...cost, wallMs: report.seconds * 1_000, measuredRows: measured.rows });
    }
    return meanOf(costs);
  };
  const nothing = () => Promise.resolve();
  try {
    await flush();
    note('first', await ours(nothing, 1));
    let writing = 0;
    note(
      'busy',
      await ours(() => writeRows(stage, { ...BUSY, name: `mapped_${(writing += 1)}` }), CYCLES),
      CYCLES,
    );
    note('idle', await ours(nothing, CYCLES), CYCLES);
    note(
      'large',
      await ours(() => writeRows(stage, { ...LARGE, name: `mapped_${(writing += 1)}` }), CYCLES),
      CYCLES,
    );

    const { window } = await cycle.pass();
    await delay(1_100);
    let counted = 0;
    const cost = await costOf(stage, {
      role: 'rival',
      flush: () => delay(1_100),
      work: async () => {
        await using rival = await startRival({ url: roles.rival, query: rivalQuery(stage.source) });
        counted = await rival.ran();
      },
    });
    note('rival', { ...cost, wallMs: cost.ms });
    // The comparison needs the same figure from both. A row at the edge of the window may have left it meanwhile.
    const found = window === null ? 0 : window.rows.db + window.rows.s3 + window.rows.other;
    expect(Math.abs(counted - found)).toBeLessThan(400);
    expect(cost.statements.reduce((sum, { calls }) => sum + calls, 0)).toBe(1);

    note('flood', await ours(() => writeRows(stage, { ...FLOOD, name: 'flood' }), 1));
  } finally {
    await cycle.close();
  }
}

function meanOf(costs: readonly Cost[]): Cost {
  const mean = (of: (cost: Cost) => number) => costs.reduce((sum, cost) => sum + of(cost), 0) / costs.length;
  const [first] = costs;
  return {
    buffers: Math.round(mean(({ buffers }) => buffers)),
    rowsRead: Math.round(mean(({ rowsRead }) => rowsRead)),
    ms: mean(({ ms }) => ms),
    wallMs: mean(({ wallMs }) => wallMs),
    toastBuffers: Math.round(mean(({ toastBuffers }) => toastBuffers)),
    measuredRows: Math.max(...costs.map(({ measuredRows }) => measuredRows)),
    statements: first?.statements ?? [],
  };
}

/** Counts the rows whose values a cycle has unpacked. */
function countingMeasured(database: Database, measured: { rows: number }): Pick<Database, 'read'> {
  return betweenQueries(database, (query) => async (statement) => {
    const rows = await query<never>(statement);
    if (statement.name.startsWith('measure')) measured.rows += rows.length;
    return rows;
  });
}

async function versionOf(): Promise<string> {
  const writer = await openWriter({ url: postgres().url, connections: 1 });
  const [row] = await writer.query<{ version: string }>(
    `SELECT current_setting('server_version') AS version`,
  );
  await writer.close();
  return row?.version ?? '';
}

/** Drops the database, because the next one needs the disk. */
async function drop(stage: Stage): Promise<void> {
  const writer = await openWriter({ url: postgres().url, connections: 1 });
  await writer.query(`DROP DATABASE ${new URL(stage.url).pathname.slice(1)} WITH (FORCE)`);
  await writer.close();
}
