import { writesStatement } from './airflow/queries.ts';
import type { Shape } from './airflow/shape.ts';
import type { Query } from './clients/postgres.ts';

/** How many rows were ever written, by table, as Postgres counts them; of a table that it does not count, no entry. */
export type Writes = Readonly<Record<string, number>>;

export async function readWrites(query: Query, { sources }: Shape): Promise<Writes> {
  const counts = await query<{ table: string; writes: number }>(
    writesStatement(sources.map(({ table }) => table)),
  );
  return Object.fromEntries(counts.map(({ table, writes }) => [table, writes]));
}
