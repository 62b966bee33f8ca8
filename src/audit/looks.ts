import { splitBucket } from '../airflow/bucket.ts';
import type { HeadAnswer, ObjectStore } from '../s3/client.ts';
import type { Duck } from './duck.ts';
import { byPlace } from './key-sql.ts';
import type { Base } from './named-object.ts';
import type { Rate } from './rate.ts';
import { text } from './sql-text.ts';

/** A reference that the listing alone does not decide. */
export interface Candidate {
  readonly location: string;
  /** The path of the place that it lies in; '' when it lies in none. */
  readonly prefix: string;
  readonly connection: string;
  readonly source: string;
  readonly owner: string;
}

/** Such references have a table. Its column `verdict` has the verdict of the listing until they are looked at. */
export interface LookOptions {
  readonly duck: Duck;
  readonly table: 'absent' | 'unreadable';
  /** The verdict of the listing, which is also the name of the references to look at. */
  readonly listed: 'missing' | 'unreadable';
  /** The verdict of those that nobody asked about, if all that were asked about have that of the listing. */
  readonly unasked: 'unasked' | 'unreadable';
}

/** The most references that are looked at. If there are more, a sample decides whether the listing can be believed. */
const MOST = 2_000;

/** The references to look at: all, or if there are too many, a sample in which each place has a share. */
export function sampleOf(
  { duck, table, listed }: Pick<LookOptions, 'duck' | 'table' | 'listed'>,
  bases: readonly Base[],
): Promise<readonly Candidate[]> {
  const share = Math.ceil(MOST / Math.max(1, bases.length));
  const place = byPlace(bases, ({ bucket, prefix }) => text(`${bucket}/${prefix}`), "''");
  const prefixOf = byPlace(bases, ({ prefix }) => text(prefix), "''");
  const from = `FROM ${table} WHERE verdict = ${text(listed)}`;
  return duck.run<Candidate>(
    `SELECT location, ${prefixOf} AS prefix, connection, source, owner ${from}
     ORDER BY rowid IN (SELECT unnest(arg_min(rowid, hash(location), ${share})) ${from} GROUP BY ${place}) DESC, hash(location)
     LIMIT ${MOST}`,
  );
}

export interface AskOptions {
  readonly storeOf: (connection: string) => Pick<ObjectStore, 'head'>;
  readonly pace: Rate;
  readonly concurrency: number;
  readonly signal: AbortSignal;
}

/** Asks for the objects one by one, each with the connection that its row names. */
export async function headAll(
  candidates: readonly Candidate[],
  { storeOf, pace, concurrency, signal }: AskOptions,
): Promise<HeadAnswer[]> {
  const answers: HeadAnswer[] = [];
  let next = 0;
  async function work(): Promise<void> {
    for (let index = next++; index < candidates.length; index = next++) {
      const { location = '', prefix = '', connection = '' } = candidates[index] ?? {};
      await pace(1, signal);
      answers[index] = await storeOf(connection).head({ ...splitBucket(location), prefix }, signal);
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work));
  signal.throwIfAborted();
  return answers;
}

/** Keeps the verdicts of a sample, and what they say of the others. */
export async function keepVerdicts(
  { duck, table, listed, unasked }: LookOptions,
  candidates: readonly Candidate[],
  verdicts: readonly string[],
): Promise<void> {
  const looked = `looked_${table}`;
  await duck.run(`CREATE OR REPLACE TABLE ${looked} (location VARCHAR, connection VARCHAR, verdict VARCHAR)`);
  await duck.append({
    table: looked,
    types: ['text', 'text', 'text'],
    columns: [
      candidates.map(({ location }) => location),
      candidates.map(({ connection }) => connection),
      verdicts,
    ],
    progress: [],
  });
  await duck.run(`UPDATE ${table} SET verdict = looked.verdict FROM ${looked} looked
    WHERE ${table}.location = looked.location AND ${table}.connection = looked.connection AND ${table}.verdict = ${text(listed)}`);
  const others = verdicts.every((verdict) => verdict === listed) ? unasked : 'unsure';
  if (others !== listed)
    await duck.run(`UPDATE ${table} SET verdict = ${text(others)} WHERE verdict = ${text(listed)}
      AND location NOT IN (SELECT location FROM ${looked})`);
}
