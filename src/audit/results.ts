import { createReadStream, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Duck } from './duck.ts';
import { bucketOf, keyOf } from './key-sql.ts';
import { AS_IT_IS, pathText, text } from './sql-text.ts';

export interface ResultsOptions {
  readonly duck: Duck;
  /** The name of the folder at the end; until then the folder has another name. */
  readonly folder: string;
  /** The documents to write beside the lists, by their file names. */
  readonly documents: Readonly<Record<string, string>>;
}

const UNFINISHED = '.unfinished';
/** The names that the command gives to such folders: others are not the audit's to delete. */
const OWN_UNFINISHED = /^(audit|references)-\d{4}-\d{2}-\d{2}T\d{6}Z\.unfinished$/;
/** The most keys that one request of delete-objects takes. */
const KEYS_A_REQUEST = 1_000;
const PIECE_BYTES = 2 ** 18;
/** DuckDB's default level 3 takes twice the CPU, and the files are no smaller. */
export const PARQUET = '(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)';

const time = (column: string) => `make_timestamp_ms(${column}::BIGINT)`;

/** Orphans are not sorted: there may be millions of them, and sorting them took longer than finding them. */
const LISTS = {
  orphaned: `SELECT ${bucketOf('location')} AS bucket, ${keyOf('location')} AS key, bytes::BIGINT AS bytes,
    ${time('at_ms')} AS last_modified, class AS storage_class, dag AS dag_id, held = '' AS may_be_deleted, held AS why_not
    FROM orphans`,
  missing: `SELECT ${bucketOf('location')} AS bucket, ${keyOf('location')} AS key, source AS in_table, ${time('at_ms')} AS written,
    looked.location IS NOT NULL AS asked_for
    FROM absent LEFT JOIN (SELECT DISTINCT location FROM looked_absent) looked USING (location)
    WHERE absent.verdict IN ('missing', 'unasked') ORDER BY location`,
  unreadable: `SELECT ${bucketOf('location')} AS bucket, ${keyOf('location')} AS key, source AS in_table, ${time('at_ms')} AS written,
    class AS storage_class, bytes::BIGINT AS bytes FROM unreadable WHERE verdict = 'unreadable' ORDER BY location`,
} as const;

/**
 * Everything that is written appears under the folder's name at once, or nothing appears. A run that is killed halfway
 * leaves a folder whose name ends in `.unfinished`, and the next run deletes that folder.
 */
export async function asAWhole(folder: string, write: (unfinished: string) => Promise<void>): Promise<void> {
  const unfinished = `${folder}${UNFINISHED}`;
  // Only one audit works in a folder at a time, so runs that were killed have left these.
  for (const name of readdirSync(dirname(folder)))
    if (OWN_UNFINISHED.test(name)) rmSync(join(dirname(folder), name), { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  await write(unfinished);
  renameSync(unfinished, folder);
}

/** Writes the lists, the input of delete-objects and the documents. */
export async function writeResults(options: ResultsOptions): Promise<void> {
  await asAWhole(options.folder, (unfinished) => writeAll({ ...options, folder: unfinished }));
}

async function writeAll({ duck, folder, documents }: ResultsOptions): Promise<void> {
  await duck.run('CREATE TABLE IF NOT EXISTS looked_absent (location VARCHAR, verdict VARCHAR)');
  for (const [name, query] of Object.entries(LISTS)) {
    const file = join(folder, `${name}.parquet`);
    const csv = join(folder, `${name}.csv`);
    await duck.run(`COPY (${query}) TO ${text(file)} ${PARQUET}`);
    await duck.run(
      `COPY (FROM read_parquet(${pathText(file)}, ${AS_IT_IS})) TO ${text(csv)} (FORMAT csv, HEADER)`,
    );
  }
  await writeDeletions(duck, {
    list: join(folder, 'orphaned.parquet'),
    folder: join(folder, 'delete-objects'),
  });
  for (const [name, content] of Object.entries(documents)) writeFileSync(join(folder, name), content);
}

/**
 * DuckDB writes a line of JSON for each key, and the lines become requests. Texts that pass through DuckDB's API would
 * cost more.
 */
async function writeDeletions(duck: Duck, { list, folder }: { list: string; folder: string }): Promise<void> {
  const from = `read_parquet(${pathText(list)}, ${AS_IT_IS}) WHERE may_be_deleted`;
  const buckets = await duck.run<{ name: string }>(`SELECT DISTINCT bucket AS name FROM ${from}`);
  for (const { name } of buckets) {
    mkdirSync(join(folder, name), { recursive: true });
    const lines = `${list}.keys`;
    await duck.run(
      `COPY (SELECT key AS "Key" FROM ${from} AND bucket = ${text(name)}) TO ${text(lines)} (FORMAT json)`,
    );
    await writeRequests(lines, join(folder, name));
    rmSync(lines);
  }
}

async function writeRequests(file: string, folder: string): Promise<void> {
  let part = 0;
  function write(keys: readonly string[]): void {
    part += 1;
    const body = `{"Objects":[${keys.join(',')}],"Quiet":true}\n`;
    writeFileSync(join(folder, `${String(part).padStart(6, '0')}.json`), body, 'latin1');
  }
  let keys: string[] = [];
  let rest = '';
  // With latin1 all bytes pass through unchanged, so no character is cut in two.
  const pieces: AsyncIterable<string> = createReadStream(file, {
    encoding: 'latin1',
    highWaterMark: PIECE_BYTES,
  });
  for await (const piece of pieces) {
    const lines = `${rest}${piece}`.split('\n');
    rest = lines.pop() ?? '';
    keys = [...keys, ...lines];
    while (keys.length >= KEYS_A_REQUEST) write(keys.splice(0, KEYS_A_REQUEST));
  }
  if (keys.length > 0) write(keys);
}
