import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Tables } from '../../../src/airflow/catalogue-queries.ts';
import {
  catalogueStatement,
  instantStatement,
  tablesStatement,
} from '../../../src/airflow/catalogue-queries.ts';
import {
  countsStatement,
  measureStatement,
  rowsAtStatement,
  rowsStatement,
  versionsStatement,
} from '../../../src/airflow/row-queries.ts';
import {
  activeRunsStatement,
  recentRunsStatement,
  runPageStatement,
  runsNamedStatement,
  runsStatement,
} from '../../../src/airflow/run-queries.ts';
import type { CatalogueColumn, Shape } from '../../../src/airflow/shape.ts';
import { recogniseShape } from '../../../src/airflow/shape.ts';
import {
  idsMade,
  newRowsStatement,
  sweepStatement,
  taskPlacesStatement,
  taskRowsStatement,
} from '../../../src/airflow/task-queries.ts';
import { workersAtStatement, workersStatement } from '../../../src/airflow/worker-queries.ts';
import type { Statement } from '../../../src/postgres/client.ts';
import { openWriter } from '../../../src/postgres/writer.ts';
import { listReleases, readSchema } from '../../support/airflow-fixture.ts';
import { createDatabase } from '../../support/database.ts';
import { usePostgres } from '../../support/postgres.ts';

const fixtures = new URL('../../fixtures/airflow/', import.meta.url);
const postgres = usePostgres();

/** Releases with the schema of one database: 2.9.3 made the database, and every later release migrated it in turn. */
const migrated = listReleases().filter((release) => existsSync(new URL(`${release}/migrated.sql`, fixtures)));

test('there are schemas of migrated databases', () => {
  expect(migrated.length).toBeGreaterThan(0);
});

describe.each(migrated)('a database migrated to Airflow %s', (release) => {
  test('has the shape of a fresh one, and every statement runs on it', async () => {
    const schema = readFileSync(new URL(`${release}/migrated.sql`, fixtures), 'utf8');
    await using fresh = await open(readSchema(release));
    await using old = await open(schema);

    const shape = await shapeOf(old.run);
    expect(shape).toEqual(await shapeOf(fresh.run));
    for (const statement of statementsOf(shape)) await old.run(statement);
  });
});

test('an Airflow of another release that was left behind in a schema further on in the search path is not looked at', async () => {
  await using alone = await open(readSchema('3.1.8'));
  await using both = await open(
    `${readSchema('3.1.8')}; ALTER SCHEMA public RENAME TO airflow; CREATE SCHEMA public; ${readSchema('3.4.0b2')}`,
    'airflow, public',
  );
  expect(await shapeOf(both.run)).toEqual(await shapeOf(alone.run));
  const [{ columns }] = (await both.run(tablesStatement())) as [Tables];
  expect(columns).not.toContain('xcom_v2');
});

test.each(['2.9.3', '3.1.8'])(
  'the tables of %s are known where the server quotes every name',
  async (release) => {
    await using database = await open(`${readSchema(release)}; SET quote_all_identifiers = on`);
    await using plain = await open(readSchema(release));
    expect(await shapeOf(database.run)).toEqual(await shapeOf(plain.run));
  },
);

interface Opened extends AsyncDisposable {
  readonly run: (statement: Statement) => Promise<readonly unknown[]>;
}

async function open(schema: string, searchPath = 'public'): Promise<Opened> {
  const writer = await openWriter({ url: await createDatabase(postgres()), connections: 1 });
  await writer.query(schema);
  await writer.query(`SET search_path = ${searchPath}`);
  return {
    run: ({ text, values }) => writer.query(text, values),
    [Symbol.asyncDispose]: () => writer.close(),
  };
}

async function shapeOf(run: Opened['run']): Promise<Shape> {
  const shape = recogniseShape((await run(catalogueStatement())) as readonly CatalogueColumn[]);
  if ('unsupported' in shape) throw new Error(shape.unsupported);
  return shape;
}

function statementsOf(shape: Shape): Statement[] {
  const runIds = [1];
  const row = {
    taskInstanceId: '00000000-0000-4000-8000-000000000000',
    dagRunId: 1,
    taskId: 'task',
    mapIndex: -1,
    key: 'key',
  };
  return [
    instantStatement(),
    activeRunsStatement({ after: 0 }),
    runsStatement(runIds),
    runPageStatement({ below: 1, limit: 1 }),
    recentRunsStatement(shape, { first: 0, below: 1, sinceMs: 0 }),
    runsNamedStatement(shape, { names: [{ dagId: 'dag', runId: 'run' }], sinceMs: 0 }),
    workersAtStatement(shape, [{ ...row, dagId: 'dag', runId: 'run' }]),
    ...(shape.keepsTries ? [workersStatement(shape, [row.taskInstanceId])] : []),
    ...shape.sources.flatMap((source) => [
      ...(source.keyedBy === 'dag_run'
        ? [
            countsStatement(shape, source, { runIds, horizon: '700' }),
            rowsAtStatement(shape, source, { places: ['(0,1)'], knowsCompression: true }),
          ]
        : [
            newRowsStatement(source, { sinceMs: 0, horizon: '700', knowsCompression: true }),
            sweepStatement(source, { sinceMs: 0, horizon: '700', from: 0, ranges: [idsMade(0, Infinity)] }),
            taskRowsStatement(source, { rows: [row], knowsCompression: true }),
            taskPlacesStatement(shape, [{ first: row.taskInstanceId, last: row.taskInstanceId }]),
          ]),
      rowsStatement(shape, source, { runIds, horizon: null, knowsCompression: true }),
      measureStatement(shape, source, [row]),
      versionsStatement(shape, source, [row]),
    ]),
  ];
}
