import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AuditOptions } from '../../../src/audit/audit.ts';
import { auditCode } from '../../../src/audit/summary.ts';
import type { Statement } from '../../../src/postgres/client.ts';
import type { RunOptions } from '../../support/audit.ts';
import { DAY_MS, HOUR_MS, runAudit } from '../../support/audit.ts';
import type { SmallStore } from '../../support/audit-small.ts';
import { addRow, connectionAt, storeOf } from '../../support/audit-small.ts';
import { betweenQueries } from '../../support/between-queries.ts';
import { uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';

type Through = (database: AuditOptions['database']) => AuditOptions['database'];

const postgres = usePostgres();
let stage: Stage;
let folder: string;
let objects: SmallStore;
let notes: string[];

beforeAll(async () => {
  stage = await openStage(postgres(), '3.3.2');
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.clear();
  folder = mkdtempSync(join(tmpdir(), 'audit-resumed-'));
  objects = new Map();
  notes = [];
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function audited(changes: Partial<RunOptions> = {}) {
  return runAudit({
    url: stage.url,
    store: storeOf(objects),
    connection: connectionAt('http://one'),
    configured: [{ bucket: 'bucket', prefix: 'xcom', connection: '' }],
    work: join(folder, 'work'),
    note: (sentence) => notes.push(sentence),
    ...changes,
  });
}

/** Runs the audit until its words begin so, and then as a signal would end it. */
async function interrupted(at: string, changes: Partial<RunOptions> = {}): Promise<void> {
  const stop = new AbortController();
  const report = (words: string) => {
    if (words.startsWith(at)) stop.abort();
  };
  await expect(audited({ signal: stop.signal, report, ...changes })).rejects.toThrow(/aborted|stopping/);
}

/** The database, but the statements of these names have these answers. */
function answering(answers: Readonly<Record<string, Readonly<Record<string, unknown>>>>): Through {
  return (database) =>
    betweenQueries(database, (query) => async <Row>(statement: Statement) => {
      const changed = answers[statement.name];
      if (changed === undefined) return query<Row>(statement);
      const rows = statement.name === 'replay' ? [{}] : await query<Row>(statement);
      return rows.map((row) => ({ ...row, ...changed })) as Row[];
    });
}

/** A standby that has replayed everything up to this moment, and nothing since. */
function standbyAt(replayedTo: number | null): Through {
  return answering({
    role: { isStandby: true },
    replay: { isThrough: false, position: '0/1', replayedTo, isPaused: true },
  });
}

describe('an audit that was interrupted', () => {
  test('goes on where it was if all is as it was', async () => {
    const began = Date.now();
    await interrupted('listing');
    const between = Date.now();
    const { rowsAsOf } = await audited();
    expect(notes).toEqual([]);
    expect(rowsAsOf).toBeGreaterThanOrEqual(began);
    expect(rowsAsOf).toBeLessThanOrEqual(between);
  });

  test('starts over on a standby that is behind, and lists nothing for deletion that its rows are too old for', async () => {
    await interrupted('reading');
    // The standby has not yet the row that names it.
    objects.set(`bucket/xcom/dag/run/task/${uuid4()}`, Date.now() - DAY_MS);
    const replayedTo = Date.now() - 2 * DAY_MS;
    const { deletions, rowsAsOf } = await audited({
      database: standbyAt(replayedTo),
      olderThanMs: 2 * HOUR_MS,
    });
    expect(notes).toEqual(['The audit starts over: the database is behind the one that was read before.']);
    expect([deletions, rowsAsOf]).toEqual([[], replayedTo]);
  });

  test.each<[string, Partial<RunOptions>]>([
    ['the standby does not say how far it is', { database: standbyAt(null) }],
    ['the database is in another cluster', { database: answering({ system: { system: '42' } }) }],
    ['the database is another one', { database: answering({ audit_origin: { origin: '1 other 2' } }) }],
    ['object storage has another endpoint or region', { connection: connectionAt('http://two') }],
    ['the paths are others', { configured: [{ bucket: 'bucket', prefix: 'other', connection: '' }] }],
  ])('starts over, since %s', async (reason, changes) => {
    await interrupted('reading');
    await interrupted('reading', changes);
    expect(notes).toEqual([`The audit starts over: ${reason}.`]);
  });

  test('starts over if the role may not read which cluster it is', async () => {
    const database = answering({ audit_origin: { mayNameSystem: false } });
    await interrupted('reading', { database });
    await interrupted('reading', { database });
    expect(notes).toEqual(['The audit starts over: the role may not read which cluster the database is in.']);
  });

  test('starts over if only a connection that rows name leads elsewhere', async () => {
    const location = await addRow(stage, 'there@elsewhere/xcom');
    objects.set(location.replace('there@', ''), Date.now() - 30 * DAY_MS);
    const leading = (endpoint: string): Partial<RunOptions> => ({
      connectionOf: (id) => connectionAt(id === 'there' ? endpoint : 'http://one'),
    });
    await interrupted('listing', leading('http://one'));
    await interrupted('listing', leading('http://one'));
    expect(notes).toEqual([]);
    await interrupted('listing', leading('http://two'));
    expect(notes).toEqual(['The audit starts over: object storage has another endpoint or region.']);
  });
});

test('an audit that was interrupted starts over if a connection that rows name has become known', async () => {
  await addRow(stage, 'there@elsewhere/xcom');
  await interrupted('comparing', { isKnown: (id) => id !== 'there' });
  const { unlisted, places } = await audited();
  expect(notes).toEqual(['The audit starts over: a connection that rows name was not known before.']);
  expect([unlisted, places.length]).toEqual([[], 2]);
});

describe('an upgrade of Airflow', () => {
  afterEach(async () => {
    await stage.writer.query('ALTER TABLE IF EXISTS xcom_v1 RENAME TO xcom');
  });
  const upgrade = () => stage.writer.query('ALTER TABLE xcom RENAME TO xcom_v1');

  test('between two runs makes the second start over, and what is missing is said', async () => {
    await addRow(stage, 'bucket/xcom');
    await interrupted('looking again');
    await upgrade();
    const result = await audited();
    expect(notes).toEqual(['The audit starts over: Airflow was upgraded: its tables are others.']);
    expect([result.confirmed.missing, auditCode(result)]).toEqual([1, 1]);
  });

  test('after the rows were read leaves open what they name and is not there', async () => {
    await addRow(stage, 'bucket/xcom');
    const store = storeOf(objects);
    const upgrading: typeof store = {
      ...store,
      list: async (target, signal) => {
        await upgrade();
        return store.list(target, signal);
      },
    };
    const result = await audited({ store: upgrading });
    expect(result.confirmed).toMatchObject({
      missing: 0,
      vanished: 0,
      unknown: 1,
      unanswered: [{ reason: 'table_gone', by: null, references: 1 }],
    });
    expect(auditCode(result)).toBe(2);
  });
});
