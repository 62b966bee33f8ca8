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
const PARTS_AT_ONCE = 100;

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
  await writeDeletions(duck, join(folder, 'delete-objects'));
  for (const [name, content] of Object.entries(documents)) writeFileSync(join(folder, name), content);
}

/** JSON is made by DuckDB: a row of its own for each key would cost more than the comparison. */
async function writeDeletions(duck: Duck, folder: string): Promise<void> {
  const buckets = await duck.run<{ name: string }>(
    `SELECT DISTINCT ${bucket('location')} AS name FROM orphans WHERE held = ''`,
  );
  for (const { name } of buckets) {
    mkdirSync(join(folder, name), { recursive: true });
    await duck.run(`CREATE OR REPLACE TABLE deletions AS SELECT ${key('location')} AS k FROM orphans
      WHERE held = '' AND ${bucket('location')} = ${text(name)}`);
    const [{ end } = { end: 0 }] = await duck.run<{ end: number }>(
      'SELECT (max(rowid) + 1)::DOUBLE AS "end" FROM deletions',
    );
    for (let from = 0; from < end; from += PARTS_AT_ONCE * KEYS_A_REQUEST) {
      const parts = await duck.run<{ part: number; body: string }>(
        `SELECT (rowid // ${KEYS_A_REQUEST} + 1)::DOUBLE AS part,
          to_json(struct_pack("Objects" := list(struct_pack("Key" := k)), "Quiet" := true))::VARCHAR AS body
         FROM deletions WHERE rowid >= $1 AND rowid < $2 GROUP BY 1`,
        [from, from + PARTS_AT_ONCE * KEYS_A_REQUEST],
      );
      for (const { part, body } of parts)
        writeFileSync(join(folder, name, `${String(part).padStart(6, '0')}.json`), `${body}\n`);
    }
  }
}
