import type { Database, Query } from '../postgres/client.ts';
import { readEachWith } from '../postgres/cursor.ts';
import type { Age } from '../postgres/standby.ts';
import { ageOf, MOST_LAG_SECONDS, readUpTo } from '../postgres/standby.ts';
import type { Duck } from './duck.ts';
import type { Base, NamedObject } from './named-object.ts';
import { namedObject } from './named-object.ts';
import type { Rate } from './rate.ts';
import type { RowSource, SourceColumn } from './row-sources.ts';
import { rowSources, sourcesStatement } from './row-sources.ts';
import type { Bounds, NamingRow } from './row-statements.ts';
import { boundStatement, namingStatement, nextRunsStatement, pagesStatement } from './row-statements.ts';
import { progressOf, setProgress } from './store.ts';

/** When the reading began, and where objects were written according to the rows. */
export interface RowsRead {
  /** Epoch ms, on the database's clock; null when a standby cannot say how far it is. */
  readonly asOf: number | null;
  /** The position in the log of that moment; null when the server does not tell it. */
  readonly position: string | null;
  readonly bases: readonly Base[];
  readonly sources: readonly string[];
}

export interface ReadRowsOptions {
  readonly database: Pick<Database, 'read'>;
  readonly duck: Duck;
  /** The places that Airflow is configured to write to. */
  readonly bases: readonly Base[];
  /** Limits the pages of the database. */
  readonly pace: Rate;
  /** A clock in ms that never goes back. The time that a chunk took decides the size of the next one. */
  readonly clock: () => number;
  readonly signal: AbortSignal;
  readonly report: (read: { pages: number; named: number; table: string }) => void;
}

type Started = Pick<Age, 'asOf' | 'position'>;
interface SourceState {
  readonly after: Bounds['after'];
  readonly isDone: boolean;
  readonly file: string;
}

/** How long a standby may take to catch up. Objects put after the moment it reaches are too young to judge. */
const PATIENCE_MS = 5_000;
/** The end of the year 9999. Postgres knows later timestamps, and `infinity`. */
const LATEST_MS = 253_402_300_799_999;
/**
 * Rows in a chunk, or runs whose rows make a chunk: at first, at least and at most. In between, a chunk has as many as
 * the server reads in about a second.
 */
const ROWS = { first: 1_000, least: 100, most: 20_000 };
const RUNS = { first: 1, least: 1, most: 4_096 };
const WANTED_MS = 1_000;
/** The most pages of which each row is named by its place: some 15,000 places. */
const NAMED_PAGES = 50;

/**
 * Reads every row that names an object, in short separate transactions, so that no snapshot is held. The audit sees
 * everything that was named when the reading began: keys of rows do not change, and a row that moves goes to a table
 * that is read later.
 *
 * @throws {Error} when a table cannot be read, or Airflow was upgraded meanwhile.
 */
export async function readRows(options: ReadRowsOptions): Promise<RowsRead> {
  const { duck, signal } = options;
  const started = (await progressOf<Started>(duck, 'rows')) ?? (await start(options));
  const database = notBehind(options.database, started, signal);
  const earlier = (await progressOf<Base[]>(duck, 'bases')) ?? [];
  const bases = new Map([...options.bases, ...earlier].map((base) => [nameOf(base), base]));
  const found = await sourcesOf(database, signal);
  const reader = { ...options, database, bases, pages: 0, named: 0 };
  for (const source of found.live) await readSource(source, reader);

  // Airflow makes an archive before it deletes the rows that it moved to the archive. So the archives that exist now
  // hold every row that was not seen above.
  const read = new Map<string, string>();
  for (;;) {
    const { live, archives } = await sourcesOf(database, signal);
    if (namesOf(live) !== namesOf(found.live))
      throw new Error(
        'The tables of Airflow are others than at the start: it was upgraded, run the audit again',
      );
    const moved = archives.find(({ table, file }) => (read.get(table) ?? file) !== file);
    if (moved !== undefined)
      throw new Error(`The table ${moved.table} was written anew while it was read: run the audit again`);
    const next = archives.filter(({ table }) => !read.has(table));
    if (next.length === 0) break;
    for (const source of next) {
      await readSource(source, reader);
      read.set(source.table, source.file);
    }
  }
  await setProgress(duck, 'bases', [...bases.values()]);
  return {
    ...started,
    bases: [...bases.values()],
    sources: [...found.live.map(({ table }) => table), ...read.keys()],
  };
}

/** The database as it is read from now on: no server that shows less than `age` is. */
export function notBehind(
  database: ReadRowsOptions['database'],
  age: Started,
  signal: AbortSignal,
): ReadRowsOptions['database'] {
  return { read: (read) => readUpTo(database, { age, patienceMs: MOST_LAG_SECONDS * 1_000, signal }, read) };
}

async function start({ database, duck, signal }: ReadRowsOptions): Promise<Started> {
  const { asOf, position } = await ageOf(database, { patienceMs: PATIENCE_MS, signal });
  const started = { asOf, position };
  await setProgress(duck, 'rows', started);
  return started;
}

export async function sourcesOf(
  database: Pick<Database, 'read'>,
  signal: AbortSignal,
): Promise<ReturnType<typeof rowSources>> {
  const columns = await database.read((query) => query<SourceColumn>(sourcesStatement()), signal);
  const sources = rowSources(columns);
  if (!sources.live.some(({ kind }) => kind === 'xcom'))
    throw new Error('Cannot find a table of XComs: connect to the metadata database of Airflow');
  return sources;
}

interface Reader extends Omit<ReadRowsOptions, 'bases'> {
  readonly bases: Map<string, Base>;
  pages: number;
  named: number;
}

async function readSource(source: RowSource, reader: Reader): Promise<void> {
  const { database, duck, pace, clock, signal } = reader;
  const step = `rows ${source.table}`;
  const { file } = source;
  const earlier = await progressOf<SourceState>(duck, step);
  // Page numbers are valid for one file of a table only; keys are valid wherever their rows lie.
  const isSame = earlier !== null && (source.key !== null || earlier.file === file);
  let state: SourceState = isSame ? earlier : { after: null, isDone: false, file };
  await forgetBeyond(duck, source, state.after);
  const sizes = source.isByRun ? RUNS : ROWS;
  let size = sizes.first;
  let kept: Promise<void> = Promise.resolve();
  const held: NamingRow[] = [];
  // While DuckDB stores these rows, Postgres reads the next ones.
  async function store(rows: readonly NamingRow[], progress: Progress): Promise<void> {
    await kept;
    kept = keep(rows, { source, reader, progress });
    kept.catch(() => undefined);
  }
  // The rows of runs are stored right away, because a run may have more rows than memory should hold.
  async function take(rows: readonly NamingRow[]): Promise<void> {
    if (source.isByRun) await store(rows, []);
    else for (const row of rows) held.push(row);
  }
  reader.report({ pages: reader.pages, named: reader.named, table: source.table });
  while (!state.isDone) {
    const { after } = state;
    const begun = clock();
    const chunk = await database.read((query) => readChunk(query, source, { after, size, take }), signal);
    const tookMs = clock() - begun;
    state = { after: chunk.upTo, isDone: chunk.isLast, file };
    await store(held.splice(0), [[step, JSON.stringify(state)]]);
    reader.pages += chunk.pages;
    reader.report({ pages: reader.pages, named: reader.named, table: source.table });
    if (tookMs > 2 * WANTED_MS) size = Math.max(sizes.least, size >> 1);
    else if (tookMs < WANTED_MS / 2) size = Math.min(sizes.most, size * 2);
    await pace(chunk.pages, signal);
  }
  await kept;
}

/** Forgets the rows of a chunk that was not read to its end: they are read again and must not be there twice. */
async function forgetBeyond(duck: Duck, source: RowSource, after: Bounds['after']): Promise<void> {
  if (source.isByRun)
    await duck.run('DELETE FROM named WHERE source = $1 AND owner::BIGINT > $2::BIGINT', [
      source.table,
      after?.[0] ?? '-1',
    ]);
  else if (after === null) await duck.run('DELETE FROM named WHERE source = $1', [source.table]);
}

interface Chunk {
  readonly upTo: Bounds['upTo'];
  readonly isLast: boolean;
  readonly pages: number;
}

interface ChunkOptions {
  readonly after: Bounds['after'];
  readonly size: number;
  readonly take: (rows: readonly NamingRow[]) => Promise<void>;
}

async function readChunk(query: Query, source: RowSource, options: ChunkOptions): Promise<Chunk> {
  const { after, upTo, isLast } = await nextBounds(query, source, options);
  await readEachWith(query)<NamingRow>(namingStatement(source, { after, upTo }), options.take, {
    pageByPage: source.key !== null,
  });
  // Postgres counts a page once for each place in it that was named.
  if (source.key === null && !source.hasRangeScan)
    return { upTo, isLast, pages: Number(upTo?.[0]) - Number(after?.[0]) };
  const [{ pages } = { pages: 0 }] = await query<{ pages: number }>(pagesStatement(source));
  // If Postgres counts nothing, its estimate for so many rows is used.
  return { upTo, isLast, pages: pages > 0 ? pages : Math.ceil(options.size * source.density) };
}

async function nextBounds(
  query: Query,
  source: RowSource,
  { after, size }: ChunkOptions,
): Promise<Bounds & { readonly isLast: boolean }> {
  if (source.key === null) {
    // Nobody writes to this table any more, so its page numbers are as good as a key.
    const from = Number(after?.[0] ?? 0);
    const most = source.hasRangeScan ? Infinity : NAMED_PAGES;
    const to = from + Math.min(most, Math.max(1, Math.ceil(size * source.density)));
    return { after: [String(from)], upTo: [String(to)], isLast: to >= source.pages };
  }
  if (source.isByRun) {
    const from = after?.[0] ?? '-1';
    const [runs] = await query<Record<'first' | 'last', number | null>>(nextRunsStatement(source, from));
    const last = runs?.last ?? -1;
    // Ids before the first run that has rows are skipped; `size` counts ids from that run on.
    const to = Math.min(last, (runs?.first ?? last) + size - 1);
    return { after: [from], upTo: [String(to)], isLast: to >= last };
  }
  const [bound] = await query<Record<string, string>>(boundStatement(source, { after, rows: size }));
  const upTo = bound === undefined ? null : source.key.map(({ column }) => bound[column] ?? '');
  return { after, upTo, isLast: upTo === null };
}

type Progress = readonly (readonly [step: string, state: string])[];

async function keep(
  rows: readonly NamingRow[],
  into: { source: RowSource; reader: Reader; progress: Progress },
): Promise<void> {
  const { source, reader } = into;
  const bases = [...reader.bases.values()];
  const kept: (NamedObject & Pick<NamingRow, 'owner' | 'at'>)[] = [];
  for (const row of rows) {
    const named = namedObject(source, row, bases);
    if (named === null) continue;
    kept.push({ ...named, owner: row.owner, at: Math.min(Math.max(row.at, 0), LATEST_MS) });
    if (named.base !== null) reader.bases.set(nameOf(named.base), named.base);
  }
  reader.named += kept.length;
  await reader.duck.append({
    table: 'named',
    types: ['text', 'text', 'text', 'text', 'text', 'number'],
    columns: [
      kept.map(({ location }) => location),
      kept.map(({ connection }) => connection),
      kept.map(({ kind }) => kind),
      kept.map(() => source.table),
      kept.map(({ owner }) => owner),
      kept.map(({ at }) => at),
    ],
    progress: [...into.progress, ['bases', JSON.stringify([...reader.bases.values()])]],
  });
}

/** Rows may reach one place through several connections, and each of them tells whose place it is. */
function nameOf({ bucket, prefix, connection }: Base): string {
  return `${connection}@${bucket}/${prefix}`;
}

function namesOf(sources: readonly RowSource[]): string {
  return sources.map(({ table }) => table).join(' ');
}
