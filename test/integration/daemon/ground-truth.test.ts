import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../../../src/diagnosis/report.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { findingsOf } from '../../../src/status/problem-document.ts';
import type { Increment } from '../../../src/window/increments.ts';
import type { Planted } from '../../support/plant.ts';
import { BASE, BUCKET, dumps, hostileName, plant } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';
import type { Stage } from '../../support/seed.ts';
import { listShapes, openCycle, openStage, sumUp } from '../../support/seed.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET, 'second-bucket');
const { signal } = new AbortController();

let store: ObjectStore;
beforeAll(() => {
  store = openObjectStore(connectionTo(s3().endpoint, s3()), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
});
afterAll(() => {
  store.close();
});

/**
 * 1,000: every value at the threshold is stored as it is. 20,000: a value that compresses must be unpacked to be
 * measured.
 */
const cases = listShapes().flatMap((one) => [1_000, 20_000].map((threshold) => ({ ...one, threshold })));

describe.each(cases)('$shape (Airflow $release), threshold $threshold', ({ release, threshold }) => {
  test('counters and window say exactly what was planted, once', async () => {
    const stage = await openStage(postgres(), release);
    const cycle = openCycle(stage, {
      endpoint: s3().endpoint,
      env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: String(threshold) },
    });
    try {
      const baseline = await cycle.pass();
      expect(baseline.increments).toEqual([]);
      expect(baseline.window?.rows).toEqual({ db: 0, s3: 0, other: 0 });

      const suffix = `${release} ${threshold}`;
      const runs = {
        plain: await stage.addRun({ dagId: `plain ${suffix}`, runId: 'manual__2026-01-01T00:00:00+00:00' }),
        many: await stage.addRun({ dagId: `many ${suffix}`, runId: 'run', state: 'queued' }),
        hostile: await stage.addRun({ dagId: hostileName(suffix), runId: hostileName('') }),
        long: await stage.addRun({ dagId: 'd'.repeat(250), runId: `${threshold}`.padEnd(250, 'r') }),
      };
      const planted = plant(stage, { threshold, runs });
      await write(stage, planted);

      const second = await cycle.pass();
      const expected = expectedOf(planted);
      const found = sumUp(second.increments);
      expect(found.counters).toEqual(expected.counters);
      expect(found.sizes).toEqual(expected.sizes);
      expect(windowOf(second)).toEqual(expected.window);
      expect(second.coverage).toBe(1);

      // The rows in the tables, read one by one without the exporter's code.
      const plain = await readPlainly(stage, { threshold, planted });
      expect(windowOf(second)).toEqual(plain);

      const third = await cycle.pass();
      expect(third.increments).toEqual([]);
      expect(windowOf(third)).toEqual(expected.window);

      // The runs end, and a second exporter starts only now: nothing is added, and the window is the same.
      for (const run of Object.values(runs)) await stage.setState(run, 'success');
      const fourth = await cycle.pass();
      expect(fourth.increments).toEqual([]);
      const late = openCycle(stage, {
        endpoint: s3().endpoint,
        env: { AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: String(threshold) },
      });
      const first = await late.pass();
      await late.close();
      expect(first.increments).toEqual([]);
      expect(windowOf(first)).toEqual(expected.window);
    } finally {
      await cycle.close();
      await stage.close();
    }
  });
});

/** Writes objects before rows, as Airflow does. */
async function write(stage: Stage, planted: readonly Planted[]): Promise<void> {
  for (const { object } of planted) {
    if (object === undefined || object === null) continue;
    const { bucket, key, bytes } = object;
    const put = await store.put({ bucket, key, body: Buffer.alloc(bytes, 'x') }, signal);
    expect(put.kind).toBe('done');
  }
  for (const row of planted) await stage.push(row);
}

type Window = Pick<
  NonNullable<Report['window']>,
  'rows' | 'bytes' | 'oversizeRows' | 'oversizeBytes' | 'broken'
>;

function windowOf({ window }: Report): Window | null {
  if (window === null) return null;
  const { rows, bytes, oversizeRows, oversizeBytes, broken } = window;
  return { rows, bytes, oversizeRows, oversizeBytes, broken };
}

/** The increments and the window that must follow from the plan. */
function expectedOf(planted: readonly Planted[]): ReturnType<typeof sumUp> & { readonly window: Window } {
  const increments: Increment[] = [];
  const window = {
    rows: { db: 0, s3: 0, other: 0 },
    bytes: { db: 0, s3: 0, other: 0 },
    oversizeRows: 0,
    oversizeBytes: 0,
    broken: { missing: 0, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0 },
  };
  for (const { run, storage, bytes, object, broken, oversize, queue } of planted) {
    const { dagId } = run;
    increments.push({ metric: 'rows_total', dagId, storage, by: 1 });
    window.rows[storage] += 1;
    if (object !== undefined) increments.push({ metric: 'references_checked_total', by: 1 });
    const size = object === undefined ? bytes : (object?.bytes ?? null);
    if (size !== null) {
      increments.push({ metric: 'bytes_total', storage, by: size });
      increments.push({ metric: 'value_bytes', storage, bytes: size });
      window.bytes[storage] += size;
    }
    if (broken !== null) {
      increments.push({ metric: 'references_broken_total', dagId, reason: broken, by: 1 });
      window.broken[broken] += 1;
    }
    if (broken === 'missing' || broken === 'empty')
      increments.push({ metric: 'write_failures_total', reason: broken, by: 1 });
    if (oversize) {
      increments.push({ metric: 'oversize_in_db_total', dagId, queue, by: 1 });
      increments.push({ metric: 'oversize_in_db_bytes_total', dagId, by: bytes ?? 0 });
      window.oversizeRows += 1;
      window.oversizeBytes += bytes ?? 0;
    }
  }
  return { ...sumUp(increments), window };
}

interface PlainRow {
  readonly dag: string;
  readonly run: string;
  readonly task: string;
  readonly key: string;
  readonly json: string | null;
  readonly bytes: Uint8Array | null;
}

/** Reads every row of the window whole, and decides where its value is by rules as short as possible. */
async function readPlainly(
  stage: Stage,
  { threshold, planted }: { threshold: number; planted: readonly Planted[] },
): Promise<Window> {
  const { mapIndexColumn, sources, major } = stage.shape;
  const selects = sources.map(({ table, value, keyedBy }) => {
    const columns = value === 'bytea' ? 'NULL AS json, value AS bytes' : 'value::text AS json, NULL AS bytes';
    const place = 'dag_id AS dag, run_id AS run, task_id AS task';
    return keyedBy === 'dag_run'
      ? `SELECT ${place}, map_index, key, ${columns} FROM ${table} WHERE timestamp > now() - interval '24 hours'`
      : `SELECT ${place}, ti.${mapIndexColumn}, key, ${columns} FROM ${table}
         JOIN task_instance ti ON ti.id = task_instance_id WHERE timestamp > now() - interval '24 hours'`;
  });
  const rows = await stage.writer.query<PlainRow>(selects.join(' UNION ALL '));
  const objects = new Map(
    planted.flatMap(({ object }) => (object ? [[`${object.bucket}/${object.key}`, object.bytes]] : [])),
  );
  const window = {
    rows: { db: 0, s3: 0, other: 0 },
    bytes: { db: 0, s3: 0, other: 0 },
    oversizeRows: 0,
    oversizeBytes: 0,
    broken: { missing: 0, empty: 0, unreadable: 0, path_mismatch: 0, leaked: 0 },
  };
  for (const row of rows) {
    const text = stringIn(row);
    const own = `/${row.dag}/${row.run}/${row.task}/`;
    const isBackends =
      /\/(?:[0-9a-f-]{14}4[0-9a-f]{3}-[89ab][0-9a-f-]{16}|(?:ti|write)-[0-9a-f-]{36}\/[^/]+\.json)(?:\.gz)?$/.test(
        `/${text ?? ''}`,
      );
    const isOwn = isBackends && `/${text ?? ''}`.includes(own);
    if (text !== null && (/^(s3_xcom_|xcom_s3:\/\/)/.test(text) || (isOwn && !text.startsWith('s3://')))) {
      window.rows.other += 1;
      window.bytes.other += dumps(text).length;
    } else if (text !== null && isBackends && (isOwn || text.startsWith(`${BASE}/`))) {
      window.rows.s3 += 1;
      const bytes = objects.get(text.slice('s3://'.length).replace(/^[^/]*@/, ''));
      window.bytes.s3 += isOwn ? (bytes ?? 0) : 0;
      // JSON in JSON is read back as the path itself, whichever task the path belongs to.
      if (!isOwn || row.json?.startsWith('"\\"s3://') === true) window.broken.leaked += 1;
      else if (bytes === undefined) window.broken.missing += 1;
      else if (bytes === 0) window.broken.empty += 1;
      else if (!text.startsWith(`${BASE}${own}`)) window.broken.path_mismatch += 1;
    } else {
      const bytes = row.bytes?.length ?? (row.json === null ? 0 : measuredOf(row.json));
      window.rows.db += 1;
      window.bytes.db += bytes;
      const byDesign = row.key === 'skipmixin_key' || (major === 3 && row.key.startsWith('_link_'));
      if (bytes >= threshold && !byDesign) {
        window.oversizeRows += 1;
        window.oversizeBytes += bytes;
      }
    }
  }
  return window;
}

/** Airflow measured a tuple inside a list as a list. */
function measuredOf(json: string): number {
  const value: unknown = JSON.parse(json);
  const bare: unknown = Array.isArray(value)
    ? value.map((part: unknown) => (isTuple(part) ? part.__data__ : part))
    : value;
  return dumps(bare).length;
}

function isTuple(value: unknown): value is { readonly __data__: unknown } {
  return (
    typeof value === 'object' &&
    value !== null &&
    '__classname__' in value &&
    value.__classname__ === 'builtins.tuple'
  );
}

/**
 * The string that a row holds, if it holds one: found in a pickle by its marks, decoded once more from JSON in JSON.
 */
function stringIn({ json, bytes }: PlainRow): string | null {
  if (bytes !== null) {
    const buffer = Buffer.from(bytes);
    if (buffer[0] === 0x80 && buffer.includes('s3://'))
      return buffer.subarray(buffer.indexOf('s3://'), -2).toString();
    if (buffer[0] !== 0x22) return null;
    return JSON.parse(buffer.toString()) as string;
  }
  const value: unknown = JSON.parse(json ?? 'null');
  if (typeof value !== 'string') return null;
  return value.startsWith('"s3://') ? (JSON.parse(value) as string) : value;
}

test.each(['infinity', '294276-12-31'])(
  'a row from %s is in the window, and shown with a date',
  async (at) => {
    const stage = await openStage(postgres(), '3.1.8');
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    try {
      await cycle.pass();
      const run = await stage.addRun({ dagId: 'orders', runId: 'run' });
      await stage.push({ run, taskId: 'extract', stored: JSON.stringify('x'.repeat(2_000)) });
      await stage.writer.query('UPDATE xcom SET timestamp = $1', [at]);
      const report = await cycle.pass();
      expect(report.window?.oversizeRows).toBe(1);
      expect(findingsOf(report.problems).map((finding) => finding.at)).toContain('9999-12-31T23:59:59.999Z');
    } finally {
      await cycle.close();
      await stage.close();
    }
  },
);
