import { ARCHIVE_CLASSES } from '../s3/archive.ts';
import type { Duck } from './duck.ts';
import { below, dagOf, isXComKey, relative, taskInstanceOf } from './key-sql.ts';
import type { Base } from './named-object.ts';

export interface JoinOptions {
  readonly duck: Duck;
  /** What was listed, or is in the inventory. */
  readonly places: readonly Base[];
  /** Where Airflow writes or wrote: dags are what stands behind one of them. */
  readonly bases: readonly Base[];
  /** Objects that were written later are not judged, epoch ms. */
  readonly judgedUpTo: number;
  /** Rows that were written later are not called missing, epoch ms. */
  readonly rowsUpTo: number;
}

/**
 * Both sides of the comparison, from tables that are each there as a whole or not at all. Keys are compared by their 64-bit
 * hashes: that two of 10 and 20 million are taken for one has odds of 1 to 100,000, and then an orphan is missed.
 */
export async function join({ duck, places, bases, judgedUpTo, rowsUpTo }: JoinOptions): Promise<void> {
  // An instance takes more with each step: each begins with a new one.
  for (const [name, query] of [
    [
      // One look at each side: objects that nothing names, and hashes of names that have no object.
      'unmatched',
      `SELECT location, bytes, at_ms, class, lost, ${dagOf(bases)} AS dag,
        CASE WHEN NOT ${isXComKey('rel')} THEN 'other' WHEN at_ms > ${judgedUpTo} THEN 'young' ELSE 'orphaned' END AS verdict,
        ${taskInstanceOf('rel')} AS task_instance
       FROM (SELECT objects.*, lost, ${relative(bases)} AS rel
             FROM objects FULL JOIN (SELECT hash(location) AS lost FROM named) ON hash(location) = lost
             WHERE location IS NULL OR lost IS NULL)`,
    ],
    [
      'absent',
      `SELECT location, kind, source, owner, at_ms,
        CASE WHEN at_ms > ${rowsUpTo} THEN 'young' ELSE 'missing' END AS verdict
       FROM named SEMI JOIN (SELECT lost FROM unmatched WHERE lost IS NOT NULL) ON hash(location) = lost
       WHERE kind IN ('row', 'state') AND ${below(places)}`,
    ],
    [
      'unreadable',
      `SELECT named.*, objects.class, objects.bytes FROM named
       JOIN objects ON hash(named.location) = hash(objects.location) AND named.location = objects.location
       WHERE kind IN ('row', 'state') AND objects.class IN (${ARCHIVE_CLASSES.map((one) => `'${one}'`).join(', ')})`,
    ],
  ] as const) {
    await duck.run(`CREATE TABLE IF NOT EXISTS ${name} AS ${query}`);
    await duck.run('CHECKPOINT');
    await duck.reopen();
  }
  await duck.run(
    'CREATE OR REPLACE VIEW unnamed AS SELECT *, rowid AS row FROM unmatched WHERE location IS NOT NULL',
  );
}
