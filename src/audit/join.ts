import { join as joinPath } from 'node:path';
import { ARCHIVE_CLASSES } from '../s3/archive.ts';
import type { Duck } from './duck.ts';
import { below, dagOf, isXComKey, relative, taskInstanceOf } from './key-sql.ts';
import type { Base } from './named-object.ts';
import { AS_IT_IS, pathText, text } from './sql-text.ts';
import { once } from './store.ts';

export interface JoinOptions {
  readonly duck: Duck;
  /** A folder of the audit's own. */
  readonly work: string;
  /** The places that were listed, or that are in the inventory. */
  readonly places: readonly Base[];
  /** The places that Airflow writes or wrote to; the dag is the part of a key that follows one of them. */
  readonly bases: readonly Base[];
  /** Objects that were written later are not judged, epoch ms. */
  readonly judgedUpTo: number;
  /** Rows that were written later are not called missing, epoch ms. */
  readonly rowsUpTo: number;
}

/**
 * Compares both sides. Each result is kept as a whole or not at all. Keys are compared by their 64-bit hashes.
 * With 10 million names and 20 million objects, the odds that two keys are taken for one are 1 to 100,000. The audit
 * then misses an orphan.
 */
export async function join({ duck, work, places, bases, judgedUpTo, rowsUpTo }: JoinOptions): Promise<void> {
  // The result is a file, because a table of DuckDB's own costs twice as much to write.
  const file = joinPath(work, 'unmatched.parquet');
  await once(duck, 'compared', async () => {
    // This reads each side once. It keeps objects that nothing names, and hashes of names that have no object.
    await duck.run(`COPY (
      SELECT location, bytes, at_ms, class, lost, ${dagOf(bases)} AS dag,
        CASE WHEN NOT ${isXComKey('rel')} THEN 'other' WHEN at_ms > ${judgedUpTo} THEN 'young' ELSE 'orphaned' END AS verdict,
        ${taskInstanceOf('rel')} AS task_instance
      FROM (SELECT objects.*, lost, ${relative(bases)} AS rel
            FROM objects FULL JOIN (SELECT hash(location) AS lost FROM named) ON hash(location) = lost
            WHERE location IS NULL OR lost IS NULL)) TO ${text(file)} (FORMAT parquet, COMPRESSION lz4)`);
    return true;
  });
  await duck.run(
    `CREATE OR REPLACE VIEW unmatched AS SELECT * FROM read_parquet(${pathText(file)}, ${AS_IT_IS})`,
  );
  await duck.run(
    'CREATE OR REPLACE VIEW unnamed AS SELECT * EXCLUDE (lost) FROM unmatched WHERE location IS NOT NULL',
  );
  // The keys to look up in the other side get a table of their own: DuckDB then knows which side is smaller.
  for (const [name, query] of [
    ['lost', 'SELECT lost FROM unmatched WHERE lost IS NOT NULL'],
    [
      'absent',
      `SELECT location, connection, kind, source, owner, at_ms, at_ms > ${rowsUpTo} AS is_young, '' AS verdict
       FROM named SEMI JOIN lost ON hash(location) = lost WHERE kind IN ('row', 'state') AND ${below(places)}`,
    ],
    [
      'archived',
      `SELECT location, class, bytes FROM objects WHERE class IN (${ARCHIVE_CLASSES.map(text).join(', ')})`,
    ],
    [
      'unreadable',
      `SELECT named.*, archived.class, archived.bytes, '' AS verdict FROM named JOIN archived USING (location)
       WHERE kind IN ('row', 'state')`,
    ],
  ] as const) {
    // An instance of DuckDB takes more memory with each step, so each step begins with a new instance.
    await duck.run('CHECKPOINT');
    await duck.reopen();
    await duck.run(`CREATE TABLE IF NOT EXISTS ${name} AS ${query}`);
  }
  await duck.run('CHECKPOINT');
  await duck.reopen();
}
