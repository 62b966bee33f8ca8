import { randomBytes } from 'node:crypto';
import { openWriter } from '../../src/postgres/writer.ts';

/** Statements that create the tables of a database, and the name under which these tables are cached. */
export interface Tables {
  readonly name: string;
  readonly sql: string;
}

/** A new database on the server, empty or with these tables; gives its URL. */
export async function createDatabase(postgres: { readonly url: string }, tables?: Tables): Promise<string> {
  return copyOf(postgres, tables === undefined ? 'template1' : await templateOf(postgres, tables));
}

async function copyOf(
  postgres: { readonly url: string },
  template: string,
  name = `airflow_${randomBytes(6).toString('hex')}`,
): Promise<string> {
  // Copied as files, as before Postgres 15: the default strategy, through the log, takes three times as long.
  const [newer] = await asAdmin(
    postgres,
    `SELECT WHERE current_setting('server_version_num')::int >= 150000`,
  );
  const strategy = newer === undefined ? '' : 'STRATEGY file_copy';
  await asAdmin(postgres, `CREATE DATABASE ${name} TEMPLATE ${template} ${strategy}`);
  return new URL(`/${name}`, postgres.url).href;
}

const templates = new Map<string, Promise<string>>();

/** Copying a database takes less time than running the hundreds of statements that make it. */
function templateOf(postgres: { readonly url: string }, tables: Tables): Promise<string> {
  const known = `${postgres.url} ${tables.name}`;
  const template = templates.get(known) ?? makeTemplate(postgres, tables);
  templates.set(known, template);
  return template;
}

async function makeTemplate(postgres: { readonly url: string }, { name, sql }: Tables): Promise<string> {
  const template = `tables_${name.replaceAll(/\W/g, '_')}`;
  // An earlier file of this worker may have left the template.
  const [left] = await asAdmin(postgres, `SELECT FROM pg_database WHERE datname = '${template}'`);
  if (left !== undefined) return template;
  const writer = await openWriter({ url: await copyOf(postgres, 'template1', template), connections: 1 });
  try {
    await writer.query(sql);
  } finally {
    await writer.close();
  }
  return template;
}

async function asAdmin(postgres: { readonly url: string }, statement: string): Promise<readonly object[]> {
  const admin = await openWriter({ url: postgres.url, connections: 1 });
  try {
    return await admin.query(statement);
  } finally {
    await admin.close();
  }
}
