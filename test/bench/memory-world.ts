import type { Shape, XComSource } from '../../src/airflow/shape.ts';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { BASE } from '../support/plant.ts';
import { openStage } from '../support/seed.ts';
import type { Stage } from '../support/seed.ts';
import { uuid7 } from '../support/uuid7.ts';

/** The kind of the values: small ones in the database, references, or values that should have been references. */
export type Mix = 'small' | 'references' | 'oversize';

/**
 * One half of the rows is in runs of one task with mapped instances: 100,000 rows each if there are a million in all.
 * The other half is in runs of 50 rows.
 */
const MAPPED_RUNS = 5;
const LIVE = { tasks: 10, keys: 5 };
const DAGS = 500;

export async function buildWindow(
  postgres: EmbeddedPostgres,
  { release, mix, rows }: { release: string; mix: Mix; rows: number },
): Promise<Stage> {
  const stage = await openStage(postgres, release, {
    fill: ({ writer, shape }) => fill(writer, shape, { mix, rows }),
  });
  await stage.writer.query('VACUUM (ANALYZE)');
  return stage;
}

/** Writes some more rows in a live run and in a mapped one. */
export async function writeMore(stage: Stage, { mix, name }: { mix: Mix; name: string }): Promise<void> {
  await insertRows(stage.writer, stage.shape, {
    mix,
    key: `'${name}'`,
    written: 'clock_timestamp()',
    from: `dag_run r JOIN task_instance ti USING (dag_id, run_id)
      WHERE r.id IN (1, ${MAPPED_RUNS + 1}) AND ti.${stage.shape.mapIndexColumn} < 500`,
  });
}

async function fill(
  writer: Stage['writer'],
  shape: Shape,
  { mix, rows }: { mix: Mix; rows: number },
): Promise<void> {
  const instances = rows / 2 / MAPPED_RUNS;
  const at = `now() - interval '10 hours'`;
  const total = MAPPED_RUNS + rows / 2 / (LIVE.tasks * LIVE.keys);
  const isMapped = `r <= ${MAPPED_RUNS}`;
  const ids = { dag_id: `'dag_' || r % ${DAGS}`, run_id: `'scheduled__2026-01-01T00:00:00+00:00__' || r` };
  const insert = (table: string, columns: Readonly<Record<string, string>>, from: string) =>
    writer.query(
      `INSERT INTO ${table} (${Object.keys(columns).join(', ')}) SELECT ${Object.values(columns).join(', ')} FROM ${from}`,
    );
  await insert(
    'dag_run',
    {
      ...ids,
      ...(shape.hasRunAfter ? { run_after: at } : { execution_date: `${at} + r * interval '1 second'` }),
      state: `'running'`,
      run_type: `'scheduled'`,
      queued_at: at,
      start_date: at,
    },
    `generate_series(1, ${total}) r`,
  );
  await insert(
    'task_instance',
    {
      ...ids,
      task_id: `CASE WHEN ${isMapped} THEN 'mapped' ELSE 'task_' || m END`,
      [shape.mapIndexColumn]: `CASE WHEN ${isMapped} THEN m ELSE -1 END`,
      pool: `'default_pool'`,
      pool_slots: '1',
      queue: `'queue_' || r % 3`,
      hostname: `'worker-' || r % 20`,
      operator: `'PythonOperator'`,
      state: `'success'`,
      // One id each millisecond, as a scheduler makes them.
      ...(shape.major === 3
        ? { id: uuid7(`${at} + (r * 10 + m) * interval '1 millisecond'`), try_number: '1' }
        : {}),
    },
    `generate_series(1, ${total}) r
     CROSS JOIN LATERAL generate_series(1, CASE WHEN ${isMapped} THEN ${instances} ELSE ${LIVE.tasks} END) m`,
  );
  // The index and the statistics are for the join that follows.
  await writer.query(
    'CREATE INDEX temporary_ti ON task_instance (dag_id, run_id); ANALYZE dag_run, task_instance',
  );
  await insertRows(writer, shape, {
    mix,
    written: `now() - interval '9 hours' + r.id * interval '1 second'`,
    key: `CASE WHEN r.id <= ${MAPPED_RUNS} THEN 'return_value' ELSE 'key_' || k END`,
    from: `dag_run r JOIN task_instance ti USING (dag_id, run_id)
      CROSS JOIN LATERAL generate_series(1, CASE WHEN r.id <= ${MAPPED_RUNS} THEN 1 ELSE ${LIVE.keys} END) k`,
  });
  await writer.query('DROP INDEX temporary_ti');
}

async function insertRows(
  writer: Stage['writer'],
  shape: Shape,
  { mix, key, written, from }: { mix: Mix; key: string; written: string; from: string },
): Promise<void> {
  const source = shape.sources.at(-1);
  if (source === undefined) throw new Error(`No table of XComs in ${shape.name}`);
  const columns: Record<string, string> =
    source.keyedBy === 'task_instance'
      ? { id: uuid7(written), task_instance_id: 'ti.id' }
      : {
          dag_run_id: 'r.id',
          dag_id: 'r.dag_id',
          run_id: 'r.run_id',
          task_id: 'ti.task_id',
          map_index: `ti.${shape.mapIndexColumn}`,
        };
  Object.assign(columns, {
    key,
    value: valueOf(source, { mix, key }),
    timestamp: written,
  });
  await writer.query(
    `INSERT INTO ${source.table} (${Object.keys(columns).join(', ')}) SELECT ${Object.values(columns).join(', ')} FROM ${from}`,
  );
}

function valueOf(source: XComSource, { mix, key }: { mix: Mix; key: string }): string {
  const leaf =
    source.keyedBy === 'task_instance' ? `'ti-' || ti.id || '/' || ${key} || '.json'` : 'gen_random_uuid()';
  const texts: Readonly<Record<Mix, string>> = {
    small: `'a small value'`,
    references: `'${BASE}/' || r.dag_id || '/' || r.run_id || '/' || ti.task_id || '/' || ${leaf}`,
    oversize: `repeat('large ', 20)`,
  };
  const json = `('"' || ${texts[mix]} || '"')`;
  return source.value === 'bytea' ? `convert_to(${json}, 'UTF8')` : `${json}::jsonb`;
}
