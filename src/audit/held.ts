import { chunks } from '../lib/chunks.ts';
import type { Database } from '../postgres/client.ts';
import type { Duck } from './duck.ts';
import type { HeldPlace } from './held-places.ts';
import { below, byPlace } from './key-sql.ts';
import type { Base } from './named-object.ts';
import { isSamePlace } from './places.ts';
import type { Rate } from './rate.ts';
import { nextDagStatement, taskInstancesStatement } from './row-statements.ts';
import { text } from './sql-text.ts';

export interface HoldOptions {
  readonly duck: Duck;
  readonly database: Pick<Database, 'read'>;
  readonly bases: readonly Base[];
  readonly held: readonly HeldPlace[];
  /** Orphans younger than this are listed, but must not be deleted; epoch ms. */
  readonly deletedUpTo: number;
  /** Whether rows name task instances by id, as in 3.4; only then does the audit ask the database for them. */
  readonly hasTaskInstances: boolean;
  readonly pages: Rate;
  readonly signal: AbortSignal;
}

const IDS_A_STATEMENT = 1_000;

/** Says for each orphan why it must not be deleted; '' when it may be deleted. */
export async function holdBack(options: HoldOptions): Promise<void> {
  const { duck, bases, held, deletedUpTo } = options;
  await duck.run('CREATE OR REPLACE TABLE there (task_instance VARCHAR)');
  await duck.run('CREATE OR REPLACE TABLE dags (dag VARCHAR)');
  await keepTaskInstances(options);
  await keepDags(options);
  // If Airflow's path is a whole bucket, files of another program may look like XComs.
  const isOwn = below(bases.filter(({ prefix }) => prefix !== ''));
  const whyOf = (base: Base) => held.find((one) => isSamePlace(one, base))?.why ?? '';
  const whyPlace = byPlace(bases, (base) => text(whyOf(base)), "''");
  // A view, because writing the orphans once more would take as long as the comparison.
  await duck.run(`CREATE OR REPLACE VIEW orphans AS
    SELECT location, bytes, at_ms, class, dag,
      CASE WHEN at_ms > ${deletedUpTo} THEN 'younger than asked for'
        WHEN task_instance <> '' AND task_instance IN (SELECT task_instance FROM there) THEN 'its task instance is there and could write it again'
        WHEN ${whyPlace} <> '' THEN ${whyPlace}
        WHEN NOT ${isOwn} AND dag NOT IN (SELECT dag FROM dags)
          THEN 'the path is a whole bucket, and no dag of this name is known'
        ELSE '' END AS held
    FROM unnamed WHERE verdict = 'orphaned'`);
}

/**
 * Keeps the task instances that could write their orphans again. A key with the id of a task instance belongs to that
 * task instance alone: once the task instance is gone, the key is never written again. If the database has no such ids,
 * all task instances in the keys are kept.
 */
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

/** Keeps the dags of all runs. A dag that only a path names may be a folder of a task's own files. */
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
}

async function keep(duck: Duck, table: string, texts: readonly string[]): Promise<void> {
  await duck.append({ table, types: ['text'], columns: [texts], progress: [] });
}
