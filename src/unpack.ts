import { backToSavepointStatement, savepointStatement } from './airflow/queries.ts';
import type { Statement } from './airflow/queries.ts';
import { measureStatement } from './airflow/row-queries.ts';
import type { Shape } from './airflow/shape.ts';
import { DatabaseError } from './clients/postgres-failure.ts';
import type { Query } from './clients/postgres.ts';
import type { Entry } from './entry.ts';
import { rowId, sampledRow } from './sampled-row.ts';
import type { RawRow, SampledRow } from './sampled-row.ts';

/** What one statement unpacks at most, in stored bytes and in rows; a larger value is asked for alone. */
const STATEMENT_BYTES = 128 * 1024;
const STATEMENT_ROWS = 100;

/** A row whose value is to be unpacked. */
interface Waiting {
  readonly entry: Entry;
  /** Bytes on disk. */
  readonly size: number;
}

/**
 * Unpacks values in the order in which they are given, and begins with none after `ms`, or beyond `bytes` in all. Gives
 * of each that was tried its row: undefined where it is not there any more, null where the server cannot unpack it.
 */
export async function* unpackEach<Item extends Waiting>(
  query: Query,
  { shape, waiting, limit }: { shape: Shape; waiting: readonly Item[]; limit: { ms: number; bytes: number } },
): AsyncGenerator<readonly [Item, SampledRow | null | undefined]> {
  const until = performance.now() + limit.ms;
  let begun = 0;
  for (const source of shape.sources) {
    const ours = waiting.filter(({ entry }) => entry.row.table === source.table);
    for (const some of together(ours)) {
      const bytes = some.reduce((sum, { size }) => sum + size, 0);
      // One that is larger than all that has its turn as well, alone.
      if (performance.now() >= until || (begun > 0 && begun + bytes > limit.bytes)) return;
      begun += bytes;
      const names = some.map(({ entry }) => entry.row);
      const answers = await unpack(query, measureStatement(shape, source, names), {
        alone: some.length === 1,
      });
      const byId = new Map(answers?.map((row) => [rowId(source.table, row), row]));
      for (const one of some) {
        const { row } = one.entry;
        const answer = byId.get(rowId(source.table, row));
        yield [one, answers === null ? null : answer && sampledRow(source, answer, row)];
      }
    }
  }
}

/** Parts that one statement may ask for. */
function* together<Item extends Waiting>(waiting: readonly Item[]): Generator<readonly Item[]> {
  let some: Item[] = [];
  let bytes = 0;
  for (const one of waiting) {
    if (some.length > 0 && (bytes + one.size > STATEMENT_BYTES || some.length === STATEMENT_ROWS)) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(one);
    bytes += one.size;
  }
  if (some.length > 0) yield some;
}

/**
 * Null: a value that was asked for alone takes the server too long to unpack, or cannot be unpacked by it at all. The
 * transaction goes on, or that one value would keep all others from ever being read.
 */
async function unpack(
  query: Query,
  statement: Statement,
  { alone }: { readonly alone: boolean },
): Promise<RawRow[] | null> {
  if (!alone) return query<RawRow>(statement);
  await query(savepointStatement());
  try {
    return await query<RawRow>(statement);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    if (error.reason !== 'statement_timeout' && error.reason !== 'query_failed') throw error;
    await query(backToSavepointStatement());
    return null;
  }
}
