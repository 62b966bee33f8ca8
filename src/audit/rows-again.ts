import { chunks } from '../lib/chunks.ts';
import type { Database } from '../postgres/client.ts';
import { readEachWith } from '../postgres/cursor.ts';
import { DatabaseError, nullIfBehind } from '../postgres/failure.ts';
import type { Age } from '../postgres/standby.ts';
import { ageOf, MOST_LAG_SECONDS, readUpTo } from '../postgres/standby.ts';
import type { Candidate } from './looks.ts';
import type { Base } from './named-object.ts';
import { namedObject } from './named-object.ts';
import type { Rate } from './rate.ts';
import type { RowSource } from './row-sources.ts';
import type { NamingRow } from './row-statements.ts';
import { ownersStatement } from './row-statements.ts';

export interface RowsAgainOptions {
  readonly database: Pick<Database, 'read'>;
  readonly sources: readonly RowSource[];
  readonly bases: readonly Base[];
  readonly pages: Rate;
  readonly signal: AbortSignal;
}

/** `named`: a row that Airflow reads names the object. `vanished`: no such row is there. Else: why it is not known. */
export type Again = 'named' | 'vanished' | 'standby_behind' | 'table_gone' | 'owners_denied';

const OWNERS_A_STATEMENT = 50;

/** Reads the rows of these references again. Gives what each of them names by now. */
export async function rowsAgain(
  references: readonly Candidate[],
  options: RowsAgainOptions,
): Promise<(reference: Candidate) => Again> {
  const { database, sources, signal } = options;
  const patient = { patienceMs: MOST_LAG_SECONDS * 1_000, signal };
  if (references.length === 0) return () => 'vanished';
  const age = await ageOf(database, patient);
  // A standby that stays behind may still show deleted rows.
  if (age.lagSeconds !== 0) return () => 'standby_behind';
  const wanted = new Set(references.map(({ location }) => location));
  const named = new Set<string>();
  const owned = new Set<string>();
  for (const source of sources) {
    const mine = references.filter((one) => one.source === source.table);
    const into = source.tries === 'not_told' ? owned : named;
    for (const owners of chunks([...new Set(mine.map(({ owner }) => owner))], OWNERS_A_STATEMENT)) {
      const found = await locationsOf(source, owners, { ...options, age, wanted }).catch(nullIfBehind);
      if (found === null) return () => 'standby_behind';
      for (const location of found) into.add(location);
    }
  }
  return ({ location, source }) => {
    // If Airflow was upgraded meanwhile, the row may be in another table, which was not read again.
    if (!sources.some(({ table }) => table === source)) return 'table_gone';
    if (named.has(location)) return 'named';
    return owned.has(location) ? 'owners_denied' : 'vanished';
  };
}

/** The wanted locations that rows of these owners name. Fewer owners are asked for at once if the server is too slow. */
async function locationsOf(
  source: RowSource,
  owners: readonly string[],
  options: RowsAgainOptions & { readonly age: Age; readonly wanted: ReadonlySet<string> },
): Promise<readonly string[]> {
  const { database, bases, pages, signal, wanted, age } = options;
  const locations = new Set<string>();
  await pages(owners.length, signal);
  try {
    await readUpTo(database, { age, patienceMs: MOST_LAG_SECONDS * 1_000, signal }, (query) =>
      readEachWith(query)<NamingRow>(
        ownersStatement(source, owners),
        (rows) => {
          for (const row of rows) {
            const found = namedObject(source, row, bases);
            if (found !== null && wanted.has(found.location)) locations.add(found.location);
          }
        },
        { pageByPage: false },
      ),
    );
    return [...locations];
  } catch (error) {
    const isSlow = error instanceof DatabaseError && error.reason === 'statement_timeout';
    if (!isSlow || owners.length === 1) throw error;
    const half = Math.ceil(owners.length / 2);
    return [
      ...(await locationsOf(source, owners.slice(0, half), options)),
      ...(await locationsOf(source, owners.slice(half), options)),
    ];
  }
}
