import { chunks } from '../lib/chunks.ts';
import type { Database } from '../postgres/client.ts';
import type { Duck } from './duck.ts';
import { below, dagOf } from './key-sql.ts';
import type { Base } from './named-object.ts';
import type { Rate } from './rate.ts';
import { nextDagStatement, taskInstancesStatement } from './row-statements.ts';

export interface HoldOptions {
  readonly duck: Duck;
  readonly database: Pick<Database, 'read'>;
  readonly bases: readonly Base[];
  /** Younger orphans are listed, and not to be deleted; epoch ms. */
  readonly deletedUpTo: number;
  /** Whether the database has them by id, which only then is asked: 3.4. */
  readonly hasTaskInstances: boolean;
  readonly pages: Rate;
  readonly signal: AbortSignal;
}

const IDS_A_STATEMENT = 1_000;

/** Says of each orphan why it is not to be deleted; '' of one that may be. */
export async function holdBack(options: HoldOptions): Promise<void> {
  const { duck, bases, deletedUpTo } = options;
  await duck.run('CREATE OR REPLACE TABLE there (task_instance VARCHAR)');
  await duck.run('CREATE OR REPLACE TABLE dags (dag VARCHAR)');
  await keepTaskInstances(options);
  await keepDags(options);
  // Where a whole bucket is Airflow's path, another program's files may look like an XCom's.
  const isOwn = below(bases.filter(({ prefix }) => prefix !== ''));
  // A view: written once more they would take as long as the comparison.
  await duck.run(`CREATE OR REPLACE VIEW orphans AS
    SELECT location, bytes, at_ms, class, dag,
      CASE WHEN at_ms > ${deletedUpTo} THEN 'younger than asked for'
        WHEN task_instance <> '' AND task_instance IN (SELECT task_instance FROM there) THEN 'its task instance is there and could write it again'
        WHEN NOT ${isOwn} AND dag NOT IN (SELECT dag FROM dags)
          THEN 'the path is a whole bucket, and no dag of this name is known'
        ELSE '' END AS held
    FROM unnamed WHERE verdict = 'orphaned'`);
}

/** Two paths are of one task instance alone: a key of its own is never written again once it is gone. */
async function keepTaskInstances(options: HoldOptions): Promise<void> {
  const { duck, database, deletedUpTo, hasTaskInstances, pages, signal } = options;
  if (!hasTaskInstances) {
    await duck.run('INSERT INTO there SELECT DISTINCT task_instance FROM unnamed');
    return;
  }
  const ids = await duck.run<{ id: string }>(
    `SELECT DISTINCT task_instance AS id FROM unnamed
     WHERE verdict = 'orphaned' AND task_instance <> '' AND at_ms <= ${deletedUpTo}`,
  );
  for (const some of chunks(ids, IDS_A_STATEMENT)) {
    await pages(some.length, signal);
    const found = await database.read(
      (query) => query<{ id: string }>(taskInstancesStatement(some.map(({ id }) => id))),
      signal,
    );
    await keep(
      duck,
      'there',
      found.map(({ id }) => id),
    );
  }
}

/** Keeps the dags of the runs and all dags that rows name. */
async function keepDags({ duck, database, bases, pages, signal }: HoldOptions): Promise<void> {
  if (!bases.some(({ prefix }) => prefix === '')) return;
  const dags: string[] = [];
  for (let after = ''; ;) {
    await pages(3, signal);
    const [next] = await database.read((query) => query<{ dagId: string }>(nextDagStatement(after)), signal);
    if (next === undefined) break;
    after = next.dagId;
    dags.push(after);
  }
  await keep(duck, 'dags', dags);
  await duck.run(
    `INSERT INTO dags SELECT DISTINCT ${dagOf(bases)} FROM named WHERE kind IN ('row', 'archive')`,
  );
}

async function keep(duck: Duck, table: string, texts: readonly string[]): Promise<void> {
  await duck.append({ table, types: ['text'], columns: [texts], progress: [] });
}
