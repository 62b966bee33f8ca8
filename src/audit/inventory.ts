import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { splitPath } from '../airflow/reference.ts';
import type { Downloads } from '../s3/download.ts';
import { openDownloads } from '../s3/download.ts';
import type { Duck } from './duck.ts';
import { keysBelow } from './key-sql.ts';
import { outermost } from './lanes.ts';
import type { Unlisted } from './list-objects.ts';
import type { Manifest, ManifestFile } from './manifest.ts';
import { parseManifest } from './manifest.ts';
import type { Base } from './named-object.ts';
import { noAnswer, ownAnswer, wordsOf } from './no-answer.ts';
import { NO_OBJECTS } from './store.ts';
import type { Connections } from './servers.ts';
import { giveConnection, shownConnection } from './shown-connection.ts';
import { AS_IT_IS, pathText, text } from './sql-text.ts';

export interface Inventory extends Manifest {
  /** The folder of its manifest on this machine; null when the manifest is in S3. */
  readonly folder: string | null;
  readonly connection: string;
}

/** In place of a storage class that the inventory does not tell: the object may be in an archive. */
export const NOT_TOLD = 'not told';

interface Digest {
  readonly bytes: number;
  readonly md5: string;
}

export interface InventoryOptions extends Connections {
  /** The folder that keeps fetched files until the audit ends. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

/** `where`: the address of a manifest.json, in S3 or on this machine. @throws {Error} when it cannot be read. */
export async function openInventory(where: string, options: InventoryOptions): Promise<Inventory> {
  if (!/^s3[an]?:\/\//.test(where))
    return { ...parseManifest(readFileSync(where, 'utf8')), folder: dirname(resolve(where)), connection: '' };
  const path = splitPath(where);
  if (path === null)
    throw new Error('--inventory: this is no address: write s3://[conn_id@]bucket/…/manifest.json');
  const { bucket, key, connection } = path;
  // An address without a connection is fetched as the rows of the path are.
  if (connection !== '' && !options.isKnown(connection)) {
    const id = shownConnection(connection);
    throw new Error(`--inventory: the connection ${id} is not known here: ${giveConnection(id)}`);
  }
  mkdirSync(options.folder, { recursive: true });
  const file = join(options.folder, 'manifest.json');
  const downloads = openDownloads(options.connectionOf(connection));
  try {
    await fetchTo(file, { bucket, key, connection }, { downloads, signal: options.signal });
  } finally {
    downloads.close();
  }
  return { ...parseManifest(readFileSync(file, 'utf8')), folder: null, connection };
}

async function fetchTo(
  file: string,
  { bucket, key, connection }: { bucket: string; key: string; connection: string },
  { downloads, signal }: { downloads: Downloads; signal: AbortSignal },
): Promise<Digest> {
  const answer = await downloads.download({ bucket, key, file }, signal);
  if (answer.kind === 'downloaded') return answer;
  const why =
    answer.kind === 'missing' ? 'it is not there' : wordsOf(noAnswer(connection, answer), 's3:GetObject');
  throw new Error(`Cannot read s3://${bucket}/${key}: ${why}`);
}

export interface LoadOptions extends InventoryOptions {
  readonly duck: Duck;
  readonly configured: readonly Base[];
  readonly seen: readonly Base[];
  readonly report: (loaded: { files: number; of: number }) => void;
}

/**
 * Loads from an inventory the objects in the places where XComs are. Each file is compared with the manifest first:
 * DuckDB reads a truncated CSV file without any error. Parquet is not copied, because DuckDB reads Parquet
 * files as fast as its own tables.
 *
 * @throws {Error} when a file is not what the manifest says, or a configured place is in another bucket.
 */
export async function loadInventory(
  inventory: Inventory,
  options: LoadOptions,
): Promise<{ readonly places: readonly Base[]; readonly unlisted: readonly Unlisted[] }> {
  const { duck } = options;
  const other = options.configured.find(({ bucket }) => bucket !== inventory.sourceBucket);
  if (other !== undefined)
    throw new Error(
      `The inventory is of the bucket ${inventory.sourceBucket}, and Airflow writes to ${other.bucket}`,
    );
  const all = outermost([...options.configured, ...options.seen]);
  const places = all.filter(({ bucket }) => bucket === inventory.sourceBucket);
  await duck.run(`SET TimeZone = 'UTC'`);
  const paths: string[] = [];
  const downloads = openDownloads(options.connectionOf(inventory.connection));
  try {
    for (const file of inventory.files) {
      options.report({ files: paths.length, of: inventory.files.length });
      paths.push(await checkedFile(inventory, file, { ...options, downloads }));
    }
  } finally {
    downloads.close();
  }
  options.report({ files: paths.length, of: inventory.files.length });
  if (paths.length === 0) await duck.run(NO_OBJECTS);
  else
    await duck.run(`CREATE OR REPLACE ${inventory.format === 'CSV' ? 'TABLE' : 'VIEW'} objects AS
      ${await selectOf(duck, inventory, { paths, places })}`);
  const unlisted = all.flatMap((base): Unlisted[] =>
    base.bucket === inventory.sourceBucket
      ? []
      : [{ ...base, ...ownAnswer(base.connection, 'not_in_inventory') }],
  );
  return { places, unlisted };
}

async function checkedFile(
  inventory: Inventory,
  file: ManifestFile,
  options: LoadOptions & { readonly downloads: Downloads },
): Promise<string> {
  const name = basename(file.key);
  const { folder } = inventory;
  const isIt = (found: Digest) => found.bytes === file.bytes && found.md5 === file.md5;
  let path: string;
  let found: Digest;
  if (folder === null) {
    mkdirSync(options.folder, { recursive: true });
    // Two files of one report may have one name in two folders.
    path = join(options.folder, `${file.md5}-${name}`);
    // An earlier run may have fetched the file.
    if (existsSync(path) && isIt(await digest(path, options.signal))) return path;
    found = await fetchTo(path, { ...inventory, key: file.key }, options);
  } else {
    // `aws s3 sync` leaves the files like this: the folder of the report lies beside the folder of its data.
    const places = [join(folder, name), join(folder, 'data', name), join(folder, '..', 'data', name)];
    const there = places.find((place) => existsSync(place));
    if (there === undefined) throw new Error(`Cannot find ${name} of the inventory beside its manifest`);
    path = there;
    found = await digest(there, options.signal);
  }
  if (!isIt(found))
    throw new Error(
      `${name} of the inventory is not the file that its manifest names: its size or MD5 is another`,
    );
  return path;
}

async function digest(path: string, signal: AbortSignal): Promise<Digest> {
  const md5 = createHash('md5');
  let bytes = 0;
  await pipeline(
    createReadStream(path),
    async (pieces: AsyncIterable<Buffer>) => {
      for await (const piece of pieces) {
        md5.update(piece);
        bytes += piece.length;
      }
    },
    { signal },
  );
  return { bytes, md5: md5.digest('hex') };
}

/** Selects columns by their names in Parquet. The names of CSV columns come from the manifest, in another case. */
async function selectOf(
  duck: Duck,
  { format, columns }: Manifest,
  { paths, places }: { readonly paths: readonly string[]; readonly places: readonly Base[] },
): Promise<string> {
  const files = `[${paths.map(pathText).join(', ')}]`;
  if (format === 'CSV') {
    const given = columns.map((name) => `${text(snake(name))}: 'VARCHAR'`).join(', ');
    const from = `read_csv(${files}, header = false, auto_detect = false, delim = ',', quote = '"', escape = '"',
      columns = {${given}}, ${AS_IT_IS})`;
    return select(from, new Map(columns.map((name) => [snake(name), 'CSV'])), places);
  }
  const from = `read_parquet(${files}, binary_as_string = true, ${AS_IT_IS})`;
  const types = await duck.run<{ column_name: string; column_type: string }>(
    `DESCRIBE SELECT * FROM ${from}`,
  );
  return select(
    from,
    new Map(types.map(({ column_name, column_type }) => [column_name, column_type])),
    places,
  );
}

function select(from: string, types: ReadonlyMap<string, string>, places: readonly Base[]): string {
  for (const name of ['bucket', 'key', 'size', 'last_modified_date'])
    if (!types.has(name))
      throw new Error(`The inventory has no column ${name}: let it have Size and LastModifiedDate`);
  const isCsv = types.get('key') === 'CSV';
  // In CSV keys are URL-encoded, with a plus for a space.
  const files = isCsv ? `(SELECT * REPLACE (url_decode(replace(key, '+', ' ')) AS key) FROM ${from})` : from;
  const modified = types.get('last_modified_date') === 'BIGINT';
  const at = modified
    ? 'last_modified_date'
    : isCsv
      ? 'epoch_ms(last_modified_date::TIMESTAMPTZ)'
      : 'epoch_ms(last_modified_date)';
  const conditions = [
    // This tests the columns bucket and key, because a test of the location would build each location twice.
    keysBelow(places),
    ...(types.has('is_latest') ? [`coalesce(nullif(is_latest::VARCHAR, '')::BOOLEAN, true)`] : []),
    ...(types.has('is_delete_marker') ? ['NOT coalesce(is_delete_marker::BOOLEAN, false)'] : []),
  ];
  return `SELECT concat(bucket, '/', key) AS location, size::DOUBLE AS bytes, (${at})::DOUBLE AS at_ms,
    ${types.has('storage_class') ? `coalesce(nullif(storage_class, ''), ${text(NOT_TOLD)})` : text(NOT_TOLD)} AS class
    FROM ${files} WHERE ${conditions.join(' AND ')}`;
}

/** `LastModifiedDate` -> `last_modified_date`. */
function snake(name: string): string {
  return name === 'ETag' ? 'e_tag' : name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase();
}
