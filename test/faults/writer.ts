import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { openWriter } from '../../src/postgres/writer.ts';
import type { PostgresWriter } from '../../src/postgres/writer.ts';
import type { ObjectStore } from '../../src/s3/client.ts';

export const BUCKET = 'airflow-xcom';
export const THRESHOLD = 1_000;
export const DAGS = ['orders', 'billing', 'reports'] as const;
const base = { connection: 'aws_xcom', prefix: 'xcom' };

/** The values that the counters must have at the end: `metric{label,…}` -> value. Added up here, never read back. */
export type Plan = ReadonlyMap<string, number>;

/** Writes rows and objects as Airflow's workers do. Each is written once, however often the writer has to try. */
export interface Writer {
  readonly plan: Plan;
  rows(): number;
  pause(): Promise<void>;
  resume(): void;
  /** Goes on writing to another server, which has the data now. */
  moveTo(url: string): Promise<void>;
  close(): Promise<void>;
}

interface Row {
  readonly key: string;
  readonly value: string;
}

/**
 * A batch is one task instance with `rowsPerBatch` rows, every `everyMs`. One row in ten is oversize, and one row in
 * `referenceEvery` is a reference. One reference in a hundred has no object.
 */
export interface Rate {
  readonly everyMs: number;
  readonly rowsPerBatch: number;
  readonly referenceEvery: number;
  readonly batchesPerRun: number;
}

export async function startWriter(options: {
  readonly url: string;
  readonly objects: ObjectStore;
  readonly rate: Rate;
}): Promise<Writer> {
  const { objects, rate } = options;
  const { signal } = new AbortController();
  let database: PostgresWriter = await openWriter({ url: options.url, connections: 2 });
  const plan = new Map<string, number>();
  const runs = new Map<string, { id: number; runId: string; batches: number }>();
  let rows = 0;
  let references = 0;
  let batches = 0;
  let paused = false;
  let closed = false;
  let idle: (() => void) | null = null;

  const add = (name: string, by: number) => plan.set(name, (plan.get(name) ?? 0) + by);

  /** Tries until the work is acknowledged: to send a statement twice has the same effect as once. */
  async function insist<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (closed) throw error;
        await delay(100);
      }
    }
  }

  async function runOf(dagId: string): Promise<{ id: number; runId: string; batches: number }> {
    const current = runs.get(dagId);
    if (current !== undefined && current.batches < rate.batchesPerRun) return current;
    const runId = `scheduled__${batches}`;
    const [made] = await insist(async () => {
      if (current !== undefined)
        await database.query(
          `UPDATE dag_run SET state = 'success', end_date = now() WHERE id = $1 AND state = 'running'`,
          [current.id],
        );
      return database.query<{ id: number }>(
        /* SQL */ `
        INSERT INTO dag_run (dag_id, run_id, run_type, run_after, start_date, state)
        VALUES ($1, $2, 'scheduled', now(), now(), 'running')
        ON CONFLICT (dag_id, run_id) DO UPDATE SET state = 'running' RETURNING id`,
        [dagId, runId],
      );
    });
    const run = { id: made?.id ?? 0, runId, batches: 0 };
    runs.set(dagId, run);
    return run;
  }

  async function reference(place: string): Promise<string> {
    references += 1;
    const isMissing = references % 100 === 0;
    const key = `${base.prefix}/${place}/${randomUUID()}`;
    const body = Buffer.from(JSON.stringify('o'.repeat(1_200 + (references % 7))));
    if (!isMissing)
      await insist(async () => {
        const answer = await objects.put({ bucket: BUCKET, key, body }, signal);
        if (answer.kind === 'unknown') throw new Error(answer.reason);
      });
    return JSON.stringify({
      path: `s3://${base.connection}@${BUCKET}/${key}`,
      size: isMissing ? null : body.length,
    });
  }

  async function writeBatch(): Promise<void> {
    batches += 1;
    const dagId = DAGS[batches % DAGS.length] ?? 'orders';
    const run = await runOf(dagId);
    const taskId = `task_${batches}`;
    const written: Row[] = [];
    const count = (name: string, by: number) => counted.push([name, by]);
    const counted: [string, number][] = [];
    for (let index = 0; index < rate.rowsPerBatch; index += 1) {
      const number = rows + index;
      if (number % rate.referenceEvery > 0) {
        const text =
          (number % 10 === 7 ? 'x'.repeat(THRESHOLD + (number % 50)) : 's'.repeat(number % 40)) +
          String(index);
        const value = JSON.stringify(text);
        written.push({ key: `key_${index}`, value });
        count(`rows_total{dag_id=${dagId},storage=db}`, 1);
        count('bytes_total{storage=db}', value.length);
        if (value.length >= THRESHOLD) {
          count(`oversize_in_db_total{dag_id=${dagId},queue=default}`, 1);
          count(`oversize_in_db_bytes_total{dag_id=${dagId}}`, value.length);
        }
      } else {
        const { path, size } = JSON.parse(await reference(`${dagId}/${run.runId}/${taskId}`)) as {
          path: string;
          size: number | null;
        };
        written.push({ key: `key_${index}`, value: JSON.stringify(path) });
        count(`rows_total{dag_id=${dagId},storage=s3}`, 1);
        count('references_checked_total{}', 1);
        if (size === null) count(`references_broken_total{dag_id=${dagId},reason=missing}`, 1);
        else count('bytes_total{storage=s3}', size);
      }
    }
    await insist(() =>
      database.query(
        /* SQL */ `INSERT INTO task_instance
          (id, task_id, dag_id, run_id, try_number, pool, pool_slots, queue, state)
          VALUES (gen_random_uuid(), $1, $2, $3, 1, 'default_pool', 1, 'default', 'success') ON CONFLICT DO NOTHING`,
        [taskId, dagId, run.runId],
      ),
    );
    await insist(() =>
      database.query(
        /* SQL */ `INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_result, dag_id, run_id, value, timestamp)
          SELECT $1, $2, -1, key, false, $3, $4, value::jsonb, $7 FROM unnest($5::text[], $6::text[]) AS new (key, value)
          ON CONFLICT DO NOTHING`,
        // prettier-ignore
        [run.id, taskId, dagId, run.runId, written.map(({ key }) => key), written.map(({ value }) => value),
          new Date().toISOString()],
      ),
    );
    run.batches += 1;
    rows += rate.rowsPerBatch;
    for (const [name, by] of counted) add(name, by);
  }

  async function go(): Promise<void> {
    for (;;) {
      const start = performance.now();
      if (closed) return;
      if (paused) {
        idle?.();
        await delay(20);
        continue;
      }
      await writeBatch();
      await delay(Math.max(0, rate.everyMs - (performance.now() - start)));
    }
  }
  const going = go().catch((error: unknown) => {
    if (!closed) throw error;
  });

  return {
    plan,
    rows: () => rows,
    async pause() {
      paused = true;
      await new Promise<void>((resolve) => {
        idle = resolve;
      });
      idle = null;
    },
    resume() {
      paused = false;
    },
    async moveTo(url) {
      const old = database;
      database = await openWriter({ url, connections: 2 });
      await old.close();
    },
    async close() {
      closed = true;
      await going;
      await database.close();
    },
  };
}
