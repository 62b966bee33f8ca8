import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import {
  catalogueStatement,
  instantStatement,
  systemStatement,
  tablesStatement,
} from '../../../src/airflow/catalogue-queries.ts';
import { canaryRunStatement, canaryTasksStatement } from '../../../src/airflow/canary-queries.ts';
import { classify } from '../../../src/airflow/classify.ts';
import type { RowId } from '../../../src/airflow/row-queries.ts';
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
import { recogniseShape, refusedBy } from '../../../src/airflow/shape.ts';
import {
  idsMade,
  newRowsStatement,
  sweepStatement,
  taskPlacesStatement,
  taskRowsStatement,
} from '../../../src/airflow/task-queries.ts';
import { workersAtStatement, workersStatement } from '../../../src/airflow/worker-queries.ts';
import type { Statement } from '../../../src/postgres/client.ts';
import type { SampleOptions } from '../../../src/sample/sample.ts';
import { sample } from '../../../src/sample/sample.ts';
import { createShapeReader } from '../../../src/sample/shape-reader.ts';
import { createPatience } from '../../../src/sample/unpack.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import { entriesOf } from '../../support/entries.ts';
import { useOwnPostgres } from '../../support/postgres.ts';
import { WHOLE } from '../../support/whole.ts';

const fixtures = new URL('../../fixtures/airflow/', import.meta.url);
const releases = readdirSync(fixtures);
const roleSql = readFileSync(new URL('../../../docs/sql/role.sql', import.meta.url), 'utf8');
const password = 'least-privilege';
const centuryMs = 100 * 365 * 86_400_000;
const permissionDenied = '42501';

const postgres = useOwnPostgres();

const options: SampleOptions = {
  place: { isStandby: false, position: null, replayedTo: null },
  windowMs: centuryMs,
  shard: WHOLE,
  canaryDagId: 'airflow_xcom_canary',
  oversize: 1_000,
  readShape: (query) => createShapeReader()(query),
  patience: createPatience(),
  classify: (row, { shape: { major }, isRun }) => classify(row, { major, isRun }),
};

describe.each(releases)('the role of docs/sql/role.sql on Airflow %s', (release) => {
  const database = `airflow_${release.replaceAll('.', '_')}`;

  test('samples the same rows as a superuser', async () => {
    await using owner = await createDatabase(database, release);
    await using role = await connect('xcom_exporter', database);
    const all = createLedger(null);
    const seen = createLedger(null);
    const shapes: unknown[] = [];
    for (const [client, ledger] of [
      [owner.client, all],
      [role.client, seen],
    ] as const) {
      await client.query('BEGIN');
      const found = await sample(queryOf(client), ledger, options);
      if ('unsupported' in found) throw new Error(found.unsupported);
      await ledger.takeIn(found, options);
      await client.query('COMMIT');
      shapes.push(found.shape);
    }
    expect(shapes[1]).toEqual(shapes[0]);
    expect(entriesOf(seen)).toEqual(entriesOf(all));
    expect(entriesOf(all).length > 0).toBe(hasRows(release));
  });

  test('runs every statement, and each of its grants is needed by one', async () => {
    await using owner = await connect('postgres', database);
    await using role = await connect('xcom_exporter', database);
    const ours = await everyStatement(role.client);
    const runbook = runbookStatements(release).map(({ title, text }) => ({ name: title, text, values: [] }));
    const refusals = async (statements: readonly Statement[]) => {
      const found = [];
      for (const statement of statements) found.push(await refusal(role.client, statement));
      return found;
    };
    for (const found of await refusals([...ours, ...runbook])) expect(found).toBeNull();
    expect(await missedBy(role.client)).toEqual([]);

    const idle: string[] = [];
    const missed: (readonly string[])[] = [];
    const needed: string[] = [];
    const grants = await grantsOf(owner.client);
    for (const { table, column } of grants) {
      const name = `${table}.${column.replaceAll('"', '')}`;
      await owner.client.query(`REVOKE SELECT (${column}) ON ${table} FROM xcom_exporter`);
      const isOurs = (await refusals(ours)).includes(permissionDenied);
      if (isOurs) needed.push(name);
      else if (!(await refusals(runbook)).includes(permissionDenied)) idle.push(name);
      const found = await missedBy(role.client);
      if (found.length > 0) missed.push(found);
      await owner.client.query(`GRANT SELECT (${column}) ON ${table} TO xcom_exporter`);
    }
    expect(grants.length).toBeGreaterThan(20);
    expect(idle).toEqual([]);
    // The reader of the shape says at once what a statement would be refused for, perhaps much later.
    expect(missed).toEqual(needed.map((name) => [name]));
  });

  test('runs the statements of the runbook, and finds what is there', async () => {
    await using role = await connect('xcom_exporter', database);
    const found = new Map<string, number>();
    for (const { title, text } of runbookStatements(release))
      found.set(title, (await role.client.query(text.replaceAll('1048576', '2'))).rowCount ?? 0);

    expect([...found.keys()]).toEqual([
      'schema_unsupported',
      'The exporter itself',
      'Large values in the database',
      'References',
    ]);
    const empty = [...found].filter(([, rows]) => rows === 0).map(([title]) => title);
    expect(empty).toEqual(hasRows(release) ? [] : ['Large values in the database', 'References']);
  });

  test('may not write, nor read anything else, even outside a read-only transaction', async () => {
    await using role = await connect('xcom_exporter', database);
    await role.client.query('SET default_transaction_read_only = off');
    const table = release.startsWith('3.4') ? 'xcom_v1' : 'xcom';

    const forbidden = [
      `INSERT INTO ${table} (dag_run_id, task_id, key, dag_id, run_id, timestamp) VALUES (1, '', '', '', '', now())`,
      `UPDATE ${table} SET key = key`,
      `DELETE FROM ${table}`,
      `TRUNCATE ${table}`,
      `SELECT 1 FROM ${table} FOR UPDATE`,
      `DO $$ BEGIN LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE; END $$`,
      `DROP TABLE ${table}`,
      'UPDATE dag_run SET state = state',
      'DELETE FROM task_instance',
      'SELECT conf FROM dag_run',
      'SELECT executor_config FROM task_instance',
      'SELECT * FROM connection',
      'SELECT count(*) FROM connection',
      'SELECT val FROM variable',
      'SELECT * FROM serialized_dag',
      'SELECT * FROM pg_authid',
      'CREATE TABLE mine (id int)',
      'CREATE ROLE another',
    ];
    const answers = [];
    for (const text of forbidden)
      answers.push([text, await refusal(role.client, { name: 'forbidden', text, values: [] })]);
    expect(answers).toEqual(forbidden.map((text) => [text, permissionDenied]));
  });

  test('is read-only, of ten connections, and the same after a second run', async () => {
    await using owner = await connect('postgres', database);
    const before = await grantsOf(owner.client);
    await owner.client.query(`GRANT SELECT ON connection TO xcom_exporter`);
    await owner.client.query(roleSql);
    expect(await grantsOf(owner.client)).toEqual(before);

    const { rows } = await owner.client.query(
      `SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconnlimit,
         has_table_privilege('xcom_exporter', 'connection', 'SELECT') AS "readsConnections"
       FROM pg_roles WHERE rolname = 'xcom_exporter'`,
    );
    expect(rows).toEqual([
      {
        rolcanlogin: true,
        rolsuper: false,
        rolcreaterole: false,
        rolcreatedb: false,
        rolreplication: false,
        rolbypassrls: false,
        rolconnlimit: 10,
        readsConnections: false,
      },
    ]);
    await using role = await connect('xcom_exporter', database);
    expect((await role.client.query('SHOW transaction_read_only')).rows).toEqual([
      { transaction_read_only: 'on' },
    ]);
  });
});

test('finds Airflow in a schema of its own', async () => {
  await using owner = await createDatabase('airflow_elsewhere', '2.9.3', { runRole: false });
  await owner.client.query('ALTER SCHEMA public RENAME TO "Air flow"; SET search_path = "Air flow"');
  await owner.client.query(roleSql);
  await using role = await connect('xcom_exporter', 'airflow_elsewhere');
  await role.client.query('BEGIN');
  const seen = await sample(queryOf(role.client), createLedger(null), options);
  expect(seen).toMatchObject({ shape: { airflow: '2.9' } });
});

test('keeps a limit of connections that somebody has set', async () => {
  await using owner = await connect('postgres', 'airflow_elsewhere');
  const limits = [];
  for (const limit of [50, -1, 10]) {
    await owner.client.query(`ALTER ROLE xcom_exporter CONNECTION LIMIT ${limit}`);
    await owner.client.query('SET search_path = "Air flow"');
    await owner.client.query(roleSql);
    const { rows } = await owner.client.query<{ rolconnlimit: number }>(
      `SELECT rolconnlimit FROM pg_roles WHERE rolname = 'xcom_exporter'`,
    );
    limits.push(rows[0]?.rolconnlimit);
  }
  expect(limits).toEqual([50, -1, 10]);
});

// Roles belong to the whole server: the tests above have made this one as a superuser.
test('makes the role for an owner of the tables who is no superuser, as on a managed Postgres', async () => {
  await using admin = await connect('postgres', 'postgres');
  await admin.client.query('ALTER ROLE xcom_exporter RENAME TO made_by_a_superuser');
  await admin.client.query(`CREATE ROLE airflow LOGIN CREATEROLE PASSWORD '${password}'`);
  await admin.client.query('CREATE DATABASE managed OWNER airflow');
  await using owner = await connect('airflow', 'managed');
  await owner.client.query(readFileSync(new URL('3.3.2/schema.sql', fixtures), 'utf8'));
  await owner.client.query('RESET search_path');
  await owner.client.query(roleSql);
  await owner.client.query(roleSql);
  await owner.client.query(`ALTER ROLE xcom_exporter PASSWORD '${password}'`);
  await using role = await connect('xcom_exporter', 'managed');
  for (const statement of await everyStatement(role.client))
    expect([statement.name, await refusal(role.client, statement)]).toEqual([statement.name, null]);
});

test('takes away what a role of that name may do besides', async () => {
  await using owner = await connect('postgres', 'managed');
  await owner.client.query('ALTER ROLE xcom_exporter SUPERUSER CREATEDB');
  await owner.client.query(roleSql);
  const { rows } = await owner.client.query(
    `SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'xcom_exporter'`,
  );
  expect(rows).toEqual([{ rolsuper: false, rolcreatedb: false }]);
});

test('keeps the right to read all rows where somebody has set row-level security', async () => {
  await using owner = await connect('postgres', 'managed');
  await owner.client.query('ALTER TABLE xcom ENABLE ROW LEVEL SECURITY; ALTER ROLE xcom_exporter BYPASSRLS');
  await owner.client.query(roleSql);
  await using role = await connect('xcom_exporter', 'managed');
  expect(await missedBy(role.client)).toEqual([]);
  expect((await role.client.query(`SELECT row_security_active('xcom')`)).rows).toEqual([
    { row_security_active: false },
  ]);
});

test('says what is wrong in a database that is not Airflow’s', async () => {
  await using owner = await connect('postgres', 'template1');
  await expect(owner.client.query(roleSql)).rejects.toThrow(
    'Cannot find the table dag_run in database template1',
  );
});

/** The statements of docs/runbook.md for this release, with the title of their section. */
function runbookStatements(release: string): { readonly title: string; readonly text: string }[] {
  const mine = release.startsWith('2.')
    ? 'Airflow 2'
    : release.startsWith('3.4')
      ? 'Airflow 3.4'
      : 'Airflow 3.0 – 3.3';
  const runbook = readFileSync(new URL('../../../docs/runbook.md', import.meta.url), 'utf8');
  return runbook.split(/^## /m).flatMap((section) => {
    const title = section.slice(0, section.indexOf('\n'));
    const blocks = [...section.matchAll(/```sql\n-- (.+)\n([^`]+)```/g)];
    return blocks
      .filter(([, releases]) => releases === 'any Airflow' || releases === mine)
      .map(([, , text = '']) => ({ title, text }));
  });
}

function hasRows(release: string): boolean {
  return readdirSync(new URL(`${release}/`, fixtures)).includes('healthy');
}

interface Session extends AsyncDisposable {
  readonly client: pg.Client;
}

async function connect(user: 'postgres' | 'airflow' | 'xcom_exporter', database: string): Promise<Session> {
  const { host, port } = postgres();
  const secret = user === 'postgres' ? postgres().password : password;
  const client = new pg.Client({ host, port, user, password: secret, database });
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

async function createDatabase(
  database: string,
  release: string,
  options: { runRole: boolean } = { runRole: true },
): Promise<Session> {
  await using admin = await connect('postgres', 'postgres');
  await admin.client.query(`CREATE DATABASE ${database}`);
  const owner = await connect('postgres', database);
  const { client } = owner;
  await client.query(readFileSync(new URL(`${release}/schema.sql`, fixtures), 'utf8'));
  if (hasRows(release)) {
    await client.query('SET session_replication_role = replica');
    await client.query(readFileSync(new URL(`${release}/healthy/rows.sql`, fixtures), 'utf8'));
  }
  await client.query('RESET session_replication_role');
  if (options.runRole) await client.query(roleSql);
  if (options.runRole) await client.query(`ALTER ROLE xcom_exporter PASSWORD '${password}'`);
  return owner;
}

function queryOf(client: pg.Client): <Row>(statement: Statement) => Promise<Row[]> {
  return async (statement) => (await client.query(statement.text, [...statement.values])).rows as never;
}

/** The SQLSTATE of the server's refusal, or null when the server ran the statement. */
async function refusal(client: pg.Client, statement: Statement): Promise<string | null> {
  try {
    await client.query(statement.text, [...statement.values]);
    return null;
  } catch (error) {
    return error instanceof pg.DatabaseError ? (error.code ?? 'no SQLSTATE') : String(error);
  }
}

async function everyStatement(client: pg.Client): Promise<Statement[]> {
  const shape = recogniseShape(await queryOf(client)<CatalogueColumn>(catalogueStatement()));
  if ('unsupported' in shape) throw new Error(shape.unsupported);
  const taskInstanceId = '019a0000-0000-7000-8000-000000000000';
  const task = { taskInstanceId, dagId: 'd', runId: 'r', taskId: 't', mapIndex: -1 };
  return [
    tablesStatement(),
    systemStatement(),
    catalogueStatement(),
    instantStatement(),
    activeRunsStatement({ after: 0 }),
    canaryRunStatement('d'),
    canaryTasksStatement(shape, { dagId: 'd', runIds: [1], mostBytes: 1_000 }),
    runsStatement([1]),
    runPageStatement({ below: 1, limit: 1 }),
    recentRunsStatement(shape, { first: 0, below: 1, sinceMs: 0 }),
    ...(shape.keepsTries ? [runsNamedStatement(shape, { names: [task], sinceMs: 0 })] : []),
    ...shape.sources.flatMap((source) => sourceStatements(shape, source)),
    workersAtStatement(shape, [task]),
    ...(shape.keepsTries ? [workersStatement(shape, [task.taskInstanceId])] : []),
  ];
}

function sourceStatements(shape: Shape, source: Shape['sources'][number]): Statement[] {
  const rows: RowId[] = [
    {
      taskInstanceId: '019a0000-0000-7000-8000-000000000000',
      dagRunId: 1,
      taskId: 't',
      mapIndex: -1,
      key: 'k',
    },
  ];
  const since = { sinceMs: 0, horizon: '700' };
  const tasks = rows.map(({ taskInstanceId, key }) => ({ taskInstanceId: taskInstanceId ?? '', key }));
  const [id = ''] = tasks.map(({ taskInstanceId }) => taskInstanceId);
  const ofItsKind =
    source.keyedBy === 'dag_run'
      ? [
          countsStatement(shape, source, { runIds: [1], horizon: '700' }),
          rowsAtStatement(shape, source, { places: ['(0,1)'], knowsCompression: true }),
          rowsStatement(shape, source, {
            runIds: [1],
            horizon: '700',
            knowsCompression: true,
            pages: { first: 0, last: 3 },
          }),
        ]
      : [
          newRowsStatement(source, { ...since, knowsCompression: true }),
          sweepStatement(source, { ...since, from: 0, ranges: [idsMade(0, Infinity)] }),
          taskRowsStatement(source, { rows: tasks, knowsCompression: true }),
          taskPlacesStatement(shape, [{ first: id, last: id }]),
        ];
  return [
    ...ofItsKind,
    rowsStatement(shape, source, { runIds: [1], horizon: null, knowsCompression: true }),
    rowsStatement(shape, source, { runIds: [1], horizon: '700', knowsCompression: false }),
    measureStatement(shape, source, rows),
    versionsStatement(shape, source, rows),
  ];
}

/** Names everything that the role may not read, as the reader of the shape finds it. */
async function missedBy(client: pg.Client): Promise<readonly string[]> {
  const catalogue = await queryOf(client)<CatalogueColumn>(catalogueStatement());
  const shape = recogniseShape(catalogue);
  if ('unsupported' in shape) throw new Error(shape.unsupported);
  return [...refusedBy(catalogue, shape), ...shape.unread];
}

interface Grant {
  readonly table: string;
  readonly column: string;
}

async function grantsOf(client: pg.Client): Promise<Grant[]> {
  const { rows } = await client.query<Grant>(
    `SELECT a.attrelid::regclass::text AS "table", quote_ident(a.attname) AS "column"
     FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
     WHERE acl.grantee = 'xcom_exporter'::regrole ORDER BY a.attrelid, a.attnum`,
  );
  return rows;
}
