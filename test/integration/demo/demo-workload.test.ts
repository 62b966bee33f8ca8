import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NO_PROXIES } from '../../../src/s3/agents.ts';
import { AIRFLOW_SCHEMA } from '../../../src/demo/airflow-schema.ts';
import { startWorkload } from '../../../src/demo/workload.ts';
import type { Workload } from '../../../src/demo/workload.ts';
import { pythonJson } from '../../../src/demo/xcom-backend.ts';
import { secret } from '../../../src/lib/secret.ts';
import { openWriter } from '../../../src/postgres/writer.ts';
import type { PostgresWriter } from '../../../src/postgres/writer.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import type { ListedObject } from '../../../src/s3/listing.ts';
import { createDatabase } from '../../support/database.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import type { HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';

const fixtures = new URL('../../fixtures/airflow/3.3.2/', import.meta.url);
const base = { connection: 'aws_xcom', bucket: 'airflow-xcoms', prefix: 'xcom' };
const threshold = 10_240;
const uuid4 = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
const log = pino({ level: 'silent' });
const postgres = usePostgres();
const s3 = useS3(base.bucket);

interface XComRow {
  readonly dag_id: string;
  readonly run_id: string;
  readonly task_id: string;
  readonly key: string;
  readonly queue: string;
  readonly value: unknown;
}

function fixture(path: string): string {
  return readFileSync(new URL(path, fixtures), 'utf8');
}

async function openDatabase(): Promise<PostgresWriter> {
  return openWriter({ url: await createDatabase(postgres()) });
}

function openStore(endpoint: string): ObjectStore {
  const { region, accessKeyId, secretAccessKey } = s3();
  return openObjectStore(
    {
      region,
      endpoint,
      accessKeyId,
      secretAccessKey: secret(secretAccessKey),
      sessionToken: null,
      profile: null,
      role: null,
      forcePathStyle: true,
      authorities: null,
      proxies: NO_PROXIES,
      identityProxies: NO_PROXIES,
      sendsChecksums: true,
      asker: 'workers',
      variants: {},
      agent: null,
      profileKeys: null,
    },
    { log, observer: { request: () => undefined, failure: () => undefined } },
  );
}

async function listObjects(store: ObjectStore): Promise<readonly ListedObject[]> {
  const answer = await store.list(
    { bucket: base.bucket, prefix: `${base.prefix}/`, after: null },
    new AbortController().signal,
  );
  if (answer.kind !== 'listed' || answer.next !== null) throw new Error('more than a page, or no answer');
  return answer.objects;
}

async function eventually(check: () => boolean | Promise<boolean>, seconds = 20): Promise<void> {
  const end = Date.now() + seconds * 1_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`Not so within ${seconds} s: ${check.toString()}`);
    await delay(100);
  }
}

function isReference(value: unknown, row: XComRow): boolean {
  const own = `s3://aws_xcom@airflow-xcoms/xcom/${row.dag_id}/${row.run_id}/${row.task_id}/`;
  return (
    typeof value === 'string' &&
    value.startsWith(own) &&
    new RegExp(`^${uuid4}$`).test(value.slice(own.length))
  );
}

describe('the tables', () => {
  test('are to the letter those that Airflow 3.3.2 made', async () => {
    const ours = await openDatabase();
    const recorded = await openDatabase();
    try {
      await ours.query(AIRFLOW_SCHEMA);
      await recorded.query(fixture('schema.sql'));
      await recorded.query(
        /^INSERT INTO public.alembic_version .*$/m.exec(fixture('healthy/rows.sql'))?.[0] ?? '',
      );
      const shape = await describeTables(ours);
      expect(shape.length).toBeGreaterThan(90);
      expect(shape).toEqual(await describeTables(recorded));
    } finally {
      await ours.close();
      await recorded.close();
    }
  });
});

/** Columns, indexes and constraints; foreign keys only to tables that the demo has. */
async function describeTables(database: PostgresWriter): Promise<readonly string[]> {
  const rows = await database.query<{ line: string }>(/* SQL */ `
    WITH t AS (SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
      AND relname IN ('alembic_version', 'dag_run', 'task_instance', 'xcom'))
    SELECT concat_ws(' ', relname, attname, format_type(atttypid, atttypmod), attnotnull,
        pg_get_expr(adbin, adrelid)) AS line
      FROM t JOIN pg_attribute a ON attrelid = t.oid AND attnum > 0
      LEFT JOIN pg_attrdef ON adrelid = t.oid AND adnum = attnum
    UNION ALL SELECT pg_get_indexdef(indexrelid) FROM t JOIN pg_index ON indrelid = t.oid
    UNION ALL SELECT concat_ws(' ', relname, conname, pg_get_constraintdef(c.oid)) FROM t
      JOIN pg_constraint c ON conrelid = t.oid
      WHERE contype <> 'f' OR confrelid IN (SELECT oid FROM t)
    UNION ALL SELECT 'version ' || version_num FROM alembic_version
    ORDER BY 1`);
  return rows.map(({ line }) => line);
}

describe('what is measured', () => {
  test('is what Airflow measured of the recorded values', async () => {
    interface Expected extends Record<string, unknown> {
      readonly storage: string;
      readonly measured_bytes?: number;
    }
    const { xcoms } = JSON.parse(fixture('healthy/expected.json')) as { xcoms: readonly Expected[] };
    const nameOf = (row: Record<string, unknown>): string =>
      ['dag_id', 'run_id', 'task_id', 'map_index', 'key'].map((column) => String(row[column])).join(' ');
    const measured = new Map(xcoms.map((xcom) => [nameOf(xcom), xcom]));

    const database = await openDatabase();
    try {
      await database.query(fixture('schema.sql'));
      await database.query(
        `SET session_replication_role = replica; ${fixture('healthy/rows.sql')}; RESET session_replication_role`,
      );
      const rows = await database.query<Record<string, unknown>>('SELECT * FROM xcom');
      const compared = rows.filter((row) => {
        const text = pythonJson(row['value']);
        // Values that jsonb does not keep are left out: envelopes of Python's classes, and floats without a point.
        const { storage, measured_bytes: bytes } = measured.get(nameOf(row)) ?? {};
        return storage === 'db' && bytes !== undefined && !/__data__|e\+|\d{17}/.test(text);
      });
      expect(compared.length).toBeGreaterThan(15);
      for (const row of compared)
        expect([nameOf(row), pythonJson(row['value']).length]).toEqual([
          nameOf(row),
          measured.get(nameOf(row))?.measured_bytes,
        ]);
    } finally {
      await database.close();
    }
  });
});

describe('the workload', () => {
  let database: PostgresWriter;
  let proxy: HttpFaultProxy;
  let throughProxy: ObjectStore;
  let direct: ObjectStore;
  let workload: Workload;

  beforeAll(async () => {
    database = await openDatabase();
    await database.query(AIRFLOW_SCHEMA);
    proxy = await startHttpFaultProxy({ upstream: s3() });
    throughProxy = openStore(proxy.url);
    direct = openStore(s3().endpoint);
    const options = { database, objects: throughProxy, base, log, threshold };
    workload = startWorkload({ ...options, secondsBetweenRuns: 0.5, keepSeconds: 3_600 });
  });

  afterAll(async () => {
    await workload.stop();
    throughProxy.close();
    direct.close();
    await proxy.stop();
    await database.close();
  });

  function readRows(runIds: readonly string[]): Promise<readonly XComRow[]> {
    return database.query<XComRow>(
      /* SQL */ `SELECT x.dag_id, x.run_id, x.task_id, x.key, x.value, ti.queue
        FROM xcom x JOIN task_instance ti USING (dag_id, run_id, task_id, map_index)
        WHERE x.run_id = ANY($1)`,
      [runIds],
    );
  }

  function endedRuns(): readonly string[] {
    return workload
      .runs()
      .filter((run) => run.endedAt() !== null)
      .map(({ runId }) => runId);
  }

  test('rows and objects agree, and each value is on the side where its size belongs', async () => {
    // Waits for two runs of each dag: every third first try of a task fails and is purged.
    await eventually(() => endedRuns().length >= 6);
    const ended = endedRuns();
    const rows = await readRows(ended);
    const keys = (await listObjects(direct)).filter(({ key }) => ended.some((runId) => key.includes(runId)));

    const references = rows.filter((row) => isReference(row.value, row));
    expect(
      references.map(({ value }) => String(value).replace('s3://aws_xcom@airflow-xcoms/', '')).sort(),
    ).toEqual(keys.map(({ key }) => key).sort());
    expect(keys.every(({ bytes }) => bytes >= threshold)).toBe(true);
    const inline = rows.filter((row) => !isReference(row.value, row));
    expect(inline.every(({ value }) => pythonJson(value).length < threshold)).toBe(true);
    expect(inline.some(({ value }) => String(value).startsWith('s3://ml-models/'))).toBe(true);
    expect(new Set(references.map(({ queue }) => queue))).toEqual(new Set(['default', 'legacy']));
    for (const { run_id: runId } of rows)
      expect(runId).toMatch(/^scheduled__\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
  });

  test('a failed try leaves neither row nor object when it is repeated', async () => {
    interface Retried {
      readonly try_number: number;
      readonly state: string;
      readonly keys: readonly string[];
    }
    let retried: readonly Retried[] = [];
    await eventually(async () => {
      retried = await database.query<Retried>(/* SQL */ `
        SELECT try_number, ti.state, array_agg(x.key)::text[] AS keys FROM task_instance ti
        JOIN dag_run r USING (dag_id, run_id) JOIN xcom x USING (dag_id, run_id, task_id, map_index)
        WHERE ti.try_number > 1 AND r.state = 'success' GROUP BY ti.id`);
      return retried.length > 0;
    });
    expect(retried[0]).toEqual({ try_number: 2, state: 'success', keys: ['return_value'] });
  });

  test('workers of one queue without a threshold keep their large values in the row, until they are cleared', async () => {
    const inDatabase = async (): Promise<readonly XComRow[]> => {
      const all = await readRows(workload.runs().map(({ runId }) => runId));
      return all.filter(({ value }) => pythonJson(value).length >= threshold);
    };
    workload.setThreshold('legacy', -1);
    await eventually(async () => (await inDatabase()).length >= 3);
    expect(new Set((await inDatabase()).map(({ queue }) => queue))).toEqual(new Set(['legacy']));

    workload.setThreshold('legacy', threshold);
    await eventually(async () => {
      const large = (run: { written(): readonly { objectKey: string | null; bytes: number }[] }): boolean =>
        run.written().some(({ objectKey, bytes }) => objectKey === null && bytes >= threshold);
      return (await workload.clear(large, { holdSeconds: 1 })) === 0 && (await inDatabase()).length === 0;
    });
    const [cleared] = await database.query<{ runs: number }>(
      'SELECT count(*)::int AS runs FROM dag_run WHERE clear_number > 0',
    );
    expect(cleared?.runs).toBeGreaterThan(0);
    await eventually(async () => {
      const [left] = await database.query<{ runs: number }>(
        "SELECT count(*)::int AS runs FROM dag_run WHERE clear_number > 0 AND state <> 'success'",
      );
      return left?.runs === 0;
    });
  });

  test('a refused object fails the task and leaves no row', async () => {
    proxy.setFault({ match: ({ kind }) => kind === 'put', answer: 'deny' });
    try {
      await eventually(
        () => workload.runs().filter((run) => run.hasFailed() && run.endedAt() !== null).length > 1,
      );
      const failed = await database.query<{ keys: readonly (string | null)[] }>(/* SQL */ `
        SELECT array_agg(x.key)::text[] AS keys FROM task_instance ti
        LEFT JOIN xcom x USING (dag_id, run_id, task_id, map_index) WHERE ti.state = 'failed' GROUP BY ti.id`);
      expect(failed.length).toBeGreaterThan(1);
      // A small value that the task pushed earlier stays.
      expect(new Set(failed.flatMap(({ keys }) => keys))).not.toContain('return_value');
    } finally {
      proxy.setFault(null);
    }
    await workload.clear((run) => run.hasFailed(), { holdSeconds: 0 });
  });

  test('hands the path on as the value where the object is missing', async () => {
    const leaked = async (): Promise<readonly { value: string }[]> =>
      database.query(/* SQL */ `SELECT value #>> '{}' AS value FROM xcom WHERE task_id = 'enrich_orders'
        AND value #>> '{}' LIKE '%/extract_orders/%'`);
    await eventually(async () => {
      const all = await listObjects(direct);
      for (const { key } of all.filter((object) => object.key.includes('/extract_orders/')))
        await direct.delete({ bucket: base.bucket, key }, new AbortController().signal);
      return (await leaked()).length > 0;
    });
    expect((await leaked())[0]?.value).toMatch(/^s3:\/\/aws_xcom@airflow-xcoms\/xcom\/daily_sales\//);
  });

  test('writes nothing once it has stopped, and deletes what is old', async () => {
    await workload.stop();
    const before = await database.query('SELECT max(timestamp) AS last, count(*) AS rows FROM xcom');
    await delay(1_500);
    expect(await database.query('SELECT max(timestamp) AS last, count(*) AS rows FROM xcom')).toEqual(before);

    const fresh = await openDatabase();
    await fresh.query(AIRFLOW_SCHEMA);
    const options = { database: fresh, objects: direct, base: { ...base, prefix: 'short' }, log, threshold };
    const short = startWorkload({ ...options, secondsBetweenRuns: 0.5, keepSeconds: 1 });
    try {
      await eventually(async () => {
        const [first] = await fresh.query<{ id: number }>('SELECT min(id)::int AS id FROM dag_run');
        return (first?.id ?? 0) > 3;
      });
      const remembered = new Set(short.runs().map(({ runId }) => runId));
      const listed = await direct.list(
        { bucket: base.bucket, prefix: 'short/', after: null },
        new AbortController().signal,
      );
      const stray = (listed.kind === 'listed' ? listed.objects : []).filter(
        ({ key }) => !remembered.has(key.split('/')[2] ?? ''),
      );
      expect(listed.kind === 'listed' && listed.objects.length > 0).toBe(true);
      expect(stray).toEqual([]);
    } finally {
      await short.stop();
      await fresh.close();
    }
  });
});
