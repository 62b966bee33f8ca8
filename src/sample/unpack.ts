import { measureStatement } from '../airflow/row-queries.ts';
import type { Shape, XComSource } from '../airflow/shape.ts';
import { rowId, sampledRow } from '../airflow/xcom-row.ts';
import type { RawRow, SampledRow } from '../airflow/xcom-row.ts';
import type { Query } from '../postgres/client.ts';
import { DatabaseError } from '../postgres/failure.ts';
import type { RememberedRow } from '../window/remembered-row.ts';
import { attempt } from './attempt.ts';

/** The most that one statement unpacks, in stored bytes and in rows; a larger value gets its own statement. */
const STATEMENT_BYTES = 128 * 1024;
const STATEMENT_ROWS = 100;
/** A value that took too long so often, alone in its statement, is given up: a server may be slow for a moment. */
const MOST_TIMEOUTS = 3;
/** For how many values the timeouts are remembered: each of them costs the server a whole statement timeout. */
const MOST_SLOW = 100;

/** The time that the server takes, as earlier cycles have shown it. */
export interface Patience {
  /** The most rows of one statement: half as many after a timeout, one more after each cycle without any. */
  rows: number;
  /** How often a value took too long alone, by row and version. */
  readonly timeouts: Map<string, number>;
}

export function createPatience(): Patience {
  return { rows: STATEMENT_ROWS, timeouts: new Map() };
}

/** A row whose value is to be unpacked. */
interface Unmeasured {
  readonly entry: RememberedRow;
  /** Bytes on disk. */
  readonly size: number;
}

/**
 * Unpacks values in the given order, and begins none after `ms`, or beyond `bytes` in all. Yields the row for each
 * tried value: undefined when the row no longer exists, null when the server cannot unpack the value. The row of a
 * value that is too large to be measured has no `bytes`. A value that took too long is not yielded until it is given up.
 */
export async function* unpackEach<Item extends Unmeasured>(
  query: Query,
  {
    shape,
    waiting,
    limit,
    patience,
  }: {
    shape: Shape;
    waiting: readonly Item[];
    limit: { ms: number; bytes: number };
    patience: Patience;
  },
): AsyncGenerator<readonly [Item, SampledRow | null | undefined]> {
  const until = performance.now() + limit.ms;
  const mostRows = patience.rows;
  let begun = 0;
  for (const source of shape.sources) {
    const ours = waiting.filter(({ entry }) => entry.row.table === source.table);
    for (const some of together(ours, mostRows)) {
      const bytes = some.reduce((sum, { size }) => sum + size, 0);
      // A value that alone exceeds the limit has its turn too, by itself.
      if (performance.now() >= until || (begun > 0 && begun + bytes > limit.bytes)) return;
      begun += bytes;
      const answers = await unpack(query, { shape, source, some });
      if (!(answers instanceof DatabaseError)) {
        yield* answers;
        if (some.length === mostRows) patience.rows = Math.min(STATEMENT_ROWS, mostRows + 1);
        continue;
      }
      const [first] = some;
      if (first !== undefined && some.length === 1) {
        if (isGivenUp(first, { failure: answers, patience })) yield [first, null];
        continue;
      }
      // A value may unpack to a hundred times its stored size, so the same group may be too much at any time. A server that
      // is short of time just now has none for the values one by one either.
      if (answers.reason === 'statement_timeout') {
        patience.rows = Math.floor(some.length / 2);
        return;
      }
      // One value that cannot be unpacked must not keep the others from it. They have as long again.
      const untilAgain = performance.now() + limit.ms;
      for (const one of some) {
        if (performance.now() >= untilAgain) return;
        const alone = await unpack(query, { shape, source, some: [one] });
        if (!(alone instanceof DatabaseError)) yield* alone;
        else if (isGivenUp(one, { failure: alone, patience })) yield [one, null];
      }
    }
  }
}

/** Whether a value that failed alone is not tried again; else the failure is noted. */
function isGivenUp(
  { entry: { row } }: Unmeasured,
  { failure, patience: { timeouts } }: { readonly failure: DatabaseError; readonly patience: Patience },
): boolean {
  if (failure.reason !== 'statement_timeout') return true;
  const id = `${rowId(row.table, row)} ${row.version}`;
  const times = (timeouts.get(id) ?? 0) + 1;
  timeouts.delete(id);
  if (times >= MOST_TIMEOUTS) return true;
  timeouts.set(id, times);
  const [oldest] = timeouts.keys();
  if (oldest !== undefined && timeouts.size > MOST_SLOW) timeouts.delete(oldest);
  return false;
}

/** The groups of values that one statement may ask for. */
function* together<Item extends Unmeasured>(
  waiting: readonly Item[],
  mostRows: number,
): Generator<readonly Item[]> {
  let some: Item[] = [];
  let bytes = 0;
  for (const one of waiting) {
    if (some.length > 0 && (bytes + one.size > STATEMENT_BYTES || some.length === mostRows)) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(one);
    bytes += one.size;
  }
  if (some.length > 0) yield some;
}

/** Asks for the values together. A failure: the server takes too long to unpack them, or cannot unpack one of them. */
async function unpack<Item extends Unmeasured>(
  query: Query,
  {
    shape,
    source,
    some,
  }: { readonly shape: Shape; readonly source: XComSource; readonly some: readonly Item[] },
): Promise<(readonly [Item, SampledRow | undefined])[] | DatabaseError> {
  const names = some.map(({ entry }) => entry.row);
  const answers = await attempt<RawRow>(query, measureStatement(shape, source, names));
  if (answers instanceof DatabaseError) return answers;
  const byId = new Map(answers.map((row) => [rowId(source.table, row), row]));
  return some.map((one) => {
    const { row } = one.entry;
    const answer = byId.get(rowId(source.table, row));
    return [one, answer && sampledRow(source, answer, row)];
  });
}
