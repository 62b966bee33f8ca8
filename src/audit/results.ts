import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Duck } from './duck.ts';
import { text } from './sql-text.ts';

export interface ResultsOptions {
  readonly duck: Duck;
  /** What it is called at the end; until then it has another name. */
  readonly folder: string;
  /** By their names, to be written beside the lists. */
  readonly documents: Readonly<Record<string, string>>;
}

const UNFINISHED = '.unfinished';
/** Keys that one request of delete-objects takes. */
const KEYS_A_REQUEST = 1_000;
const ROWS_AT_ONCE = 100 * KEYS_A_REQUEST;

const key = (column: string) => `substr(${column}, strpos(${column}, '/') + 1)`;
const bucket = (column: string) => `split_part(${column}, '/', 1)`;
const time = (column: string) => `make_timestamp_ms(${column}::BIGINT)`;

/** Orphans are in no order: there may be millions of them, and sorting took longer than finding them. */
const LISTS = {
  orphaned: `SELECT ${bucket('location')} AS bucket, ${key('location')} AS key, bytes::BIGINT AS bytes,
    ${time('at_ms')} AS last_modified, class AS storage_class, dag AS dag_id, held = '' AS may_be_deleted, held AS why_not
    FROM orphans`,
  missing: `SELECT ${bucket('location')} AS bucket, ${key('location')} AS key, source AS in_table, ${time('at_ms')} AS written,
    looked.location IS NOT NULL AS asked_for
    FROM absent LEFT JOIN (SELECT DISTINCT location FROM looked) looked USING (location)
    WHERE absent.verdict = 'missing' ORDER BY location`,
  unreadable: `SELECT ${bucket('location')} AS bucket, ${key('location')} AS key, source AS in_table, ${time('at_ms')} AS written,
    class AS storage_class, bytes::BIGINT AS bytes FROM unreadable ORDER BY location`,
} as const;

/**
 * All that is written comes under the folder's name at once, or nothing. A run that is killed halfway leaves a folder that
 * says so by its name, and the next run clears it.
 */
export async function asAWhole(folder: string, write: (unfinished: string) => Promise<void>): Promise<void> {
  const unfinished = `${folder}${UNFINISHED}`;
  // Only one audit works in a folder at a time, so these are of runs that were killed.
  for (const name of readdirSync(dirname(folder)))
    if (name.endsWith(UNFINISHED)) rmSync(join(dirname(folder), name), { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  await write(unfinished);
  renameSync(unfinished, folder);
}

/** Lists, the input of delete-objects and the documents. */
export async function writeResults(options: ResultsOptions): Promise<void> {
  await asAWhole(options.folder, (unfinished) => writeAll({ ...options, folder: unfinished }));
}

async function writeAll({ duck, folder, documents }: ResultsOptions): Promise<void> {
  await duck.run('CREATE TABLE IF NOT EXISTS looked (location VARCHAR, verdict VARCHAR)');
  for (const [name, query] of Object.entries(LISTS)) {
    const to = (ending: string) => text(join(folder, `${name}.${ending}`));
    await duck.run(`COPY (${query}) TO ${to('parquet')} (FORMAT parquet, COMPRESSION zstd)`);
    await duck.run(
      `COPY (SELECT * FROM read_parquet(${to('parquet')})) TO ${to('csv')} (FORMAT csv, HEADER)`,
    );
  }
  await writeDeletions(duck, {
    list: join(folder, 'orphaned.parquet'),
    folder: join(folder, 'delete-objects'),
  });
  for (const [name, content] of Object.entries(documents)) writeFileSync(join(folder, name), content);
}

/**
 * DuckDB makes the JSON: a row of its own for each key would cost more than the comparison. It takes so many rows at a
 * time, and the last part of these may have fewer keys than a request takes.
 */
async function writeDeletions(duck: Duck, { list, folder }: { list: string; folder: string }): Promise<void> {
  const buckets = await duck.run<{ name: string }>(
    `SELECT DISTINCT bucket AS name FROM read_parquet(${text(list)}) WHERE may_be_deleted`,
  );
  const [{ end } = { end: 0 }] = await duck.run<{ end: number }>(
    'SELECT coalesce(max(row) + 1, 0)::DOUBLE AS "end" FROM orphans',
  );
  for (const { name } of buckets) {
    mkdirSync(join(folder, name), { recursive: true });
    let part = 0;
    for (let from = 0; from < end; from += ROWS_AT_ONCE) {
      const parts = await duck.run<{ body: string }>(
        `SELECT to_json(struct_pack("Objects" := list(struct_pack("Key" := k)), "Quiet" := true))::VARCHAR AS body
         FROM (SELECT ${key('location')} AS k, (row_number() OVER () - 1) // ${KEYS_A_REQUEST} AS part FROM orphans
               WHERE row >= $1 AND row < $2 AND held = '' AND ${bucket('location')} = ${text(name)})
         GROUP BY part ORDER BY part`,
        [from, from + ROWS_AT_ONCE],
      );
      for (const { body } of parts) {
        part += 1;
        writeFileSync(join(folder, name, `${String(part).padStart(6, '0')}.json`), `${body}\n`);
      }
    }
  }
}
