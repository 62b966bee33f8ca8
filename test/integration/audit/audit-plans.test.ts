import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Duck } from '../../../src/audit/duck.ts';
import { readRows } from '../../../src/audit/read-rows.ts';
import { betweenQueries } from '../../support/between-queries.ts';
import { openTestDatabase, unpaced } from '../../support/audit.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Stage } from '../../support/seed.ts';
import { listShapes, openStage } from '../../support/seed.ts';
import { uuid7 } from '../../support/uuid7.ts';

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly PlanNode[];
}

const postgres = usePostgres();
const RUNS = 400;
const ROWS_A_RUN = 50;

/** Accepts everything and keeps nothing: this test is about the database. */
const nowhere: Pick<Duck, 'run' | 'append'> = {
  run: () => Promise.resolve([]),
  append: () => Promise.resolve(),
};

describe.each(listShapes())('$shape (Airflow $release)', ({ release }) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage(postgres(), release, { fill });
  });
  afterAll(() => stage.close());

  test('a page of the table is looked at about once, whatever order its rows have, and no other table is', async () => {
    const plans: { name: string; plan: PlanNode }[] = [];
    const database = openTestDatabase(stage.url);
    const explained = betweenQueries(database, (query) => async (statement) => {
      if (/^(audit_(bound|runs)|open_audit_rows)_/.test(statement.name)) {
        const [answer] = await query<{ 'QUERY PLAN': readonly { readonly Plan: PlanNode }[] }>({
          ...statement,
          text: `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement.text.replace(/^DECLARE .* CURSOR FOR /, '')}`,
        });
        const plan = answer?.['QUERY PLAN'][0]?.Plan;
        if (plan !== undefined) plans.push({ name: statement.name, plan });
      }
      return query(statement);
    });
    try {
      await readRows({
        database: explained,
        duck: nowhere as Duck,
        bases: [],
        pace: unpaced,
        // Chunks grow as on a server that answers at once, however busy this machine is.
        clock: () => 0,
        signal: new AbortController().signal,
        report: () => undefined,
      });
    } finally {
      await database.close();
    }
    const { table } = stage.source;
    const mine = plans.filter(({ name }) => name.endsWith(`_${table}`));
    const pages = mine.reduce(
      (sum, { plan }) => sum + plan['Shared Hit Blocks'] + plan['Shared Read Blocks'],
      0,
    );
    const [size] = await stage.writer.query<{ heap: number }>(
      `SELECT (pg_relation_size('${table}') / current_setting('block_size')::int)::int AS heap`,
    );
    // The heap once, and the index twice: to find where a chunk ends, and to read what is in it.
    expect(pages).toBeLessThan(3 * (size?.heap ?? 0));
    const relations = mine.flatMap(({ plan }) => relationsOf(plan));
    expect([...new Set(relations)]).toEqual([table]);
    const kinds = new Set(mine.flatMap(({ plan }) => nodesOf(plan).map((node) => node['Node Type'])));
    expect([...kinds].filter((kind) => kind === 'Seq Scan' || kind === 'Sort')).toEqual([]);
  });
});

/** Rows of runs that were live together lie on the same pages. */
async function fill({ writer, shape }: Pick<Stage, 'writer' | 'shape'>): Promise<void> {
  const source = shape.sources.at(-1);
  const value = source?.value === 'bytea' ? `convert_to(to_json(path)::text, 'UTF8')` : 'to_jsonb(path)';
  const rows = `(SELECT i, i % ${RUNS} + 1 AS run, 's3://aws@bucket/base/etl/run ' || i % ${RUNS} || '/task/' ||
    substr(md5(i::text), 1, 8) || '-0000-4000-8000-' || substr(md5(i::text), 1, 12) AS path
    FROM generate_series(1, ${RUNS * ROWS_A_RUN}) i) x`;
  await (source?.table === 'xcom_v2'
    ? writer.query(`INSERT INTO xcom_v2 (id, task_instance_id, key, value, timestamp)
        SELECT ${uuid7(`now() - make_interval(secs => 1000000 - i)`)}, gen_random_uuid(), 'k', ${value}, now() FROM ${rows}`)
    : writer.query(`INSERT INTO ${source?.table ?? ''} (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)
        SELECT run, 'task', i, 'k', 'etl', 'run ' || run, ${value}, now() FROM ${rows}`));
}

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

function relationsOf(plan: PlanNode): string[] {
  return nodesOf(plan).flatMap((node) => node['Relation Name'] ?? []);
}
