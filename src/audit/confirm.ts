import { splitBucket } from '../airflow/bucket.ts';
import { chunks } from '../lib/chunks.ts';
import type { Database } from '../postgres/client.ts';
import { ageOf, MOST_LAG_SECONDS } from '../postgres/standby.ts';
import type { HeadAnswer, ObjectStore } from '../s3/client.ts';
import type { Duck } from './duck.ts';
import { namedObject } from './named-object.ts';
import type { Base } from './named-object.ts';
import type { Unanswered } from './no-answer.ts';
import { countAnswers, noAnswer, ownAnswer } from './no-answer.ts';
import type { Rate } from './rate.ts';
import type { RowSource } from './row-sources.ts';
import type { Apart, Unjudged } from './servers.ts';
import type { NamingRow } from './row-statements.ts';
import { ownersStatement } from './row-statements.ts';

/** The references whose objects are not in the listing, counted by what a second look found. */
export interface Confirmed {
  /** All of them, without those that are too young. */
  readonly absent: number;
  /** How many of them were looked at one by one: all, or a random sample if there are too many. */
  readonly looked: number;
  /** The object is not there, and the row still names it. */
  readonly missing: number;
  /** The object is there after all. */
  readonly present: number;
  /** Meanwhile the row is gone or names something else, or the row is of an earlier try that nothing reads. */
  readonly vanished: number;
  /**
   * Storage gave no answer, a standby is behind and still shows rows that may be gone, or the table of the row is not
   * there any more.
   */
  readonly unknown: number;
  /** Those of `unknown` that no listing says anything about; they are not in `absent`. */
  readonly unjudged: readonly Unjudged[];
  /** Why the rest of `unknown` is not known. */
  readonly unanswered: readonly Unanswered[];
}

export interface ConfirmOptions {
  readonly duck: Duck;
  readonly database: Pick<Database, 'read'>;
  readonly sources: readonly RowSource[];
  readonly bases: readonly Base[];
  readonly apart: Apart;
  readonly storeOf: (connection: string) => Pick<ObjectStore, 'head'>;
  readonly pace: Rate;
  readonly pages: Rate;
  readonly concurrency: number;
  /** Waits as long as a purging task may take from deleting an object to deleting its row. */
  readonly settle: (signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

interface Candidate {
  readonly location: string;
  readonly connection: string;
  readonly source: string;
  readonly owner: string;
}

/** The most references that are looked at. If there are more, a sample decides whether the listing can be believed. */
const MOST = 2_000;
const OWNERS_A_STATEMENT = 50;

/** A listing alone does not prove that an object is missing: the objects are asked for and the rows read once more. */
export async function confirm(options: ConfirmOptions): Promise<Confirmed> {
  const { duck } = options;
  // If an audit was killed after this step, its verdicts are still here: they are checked anew.
  await duck.run(`UPDATE absent SET verdict =
    CASE WHEN ${options.apart.isApart} THEN 'unjudged' WHEN is_young THEN 'young' ELSE 'missing' END`);
  const { unjudged } = options.apart;
  const apart = unjudged.reduce((sum, { references }) => sum + references, 0);
  const [{ absent } = { absent: 0 }] = await duck.run<{ absent: number }>(
    `SELECT count(*)::DOUBLE AS absent FROM absent WHERE verdict = 'missing'`,
  );
  const candidates = await duck.run<Candidate>(
    `SELECT location, connection, source, owner FROM absent WHERE verdict = 'missing' ORDER BY hash(location) LIMIT ${MOST}`,
  );
  if (candidates.length === 0)
    return {
      absent,
      looked: 0,
      missing: 0,
      present: 0,
      vanished: 0,
      unknown: apart,
      unjudged,
      unanswered: [],
    };
  const heads = await headAll(candidates, options);
  await options.settle(options.signal);
  const gone = candidates.filter((_, index) => heads[index]?.kind === 'missing');
  const isBehind = gone.length > 0 && (await staysBehind(options));
  const still = await stillNamed(gone, options);
  const verdicts = candidates.map(
    (candidate, index): Exclude<keyof Confirmed, 'absent' | 'looked' | 'unjudged' | 'unanswered'> => {
      const head = heads[index]?.kind ?? 'unknown';
      if (head !== 'missing') return head;
      // If Airflow was upgraded meanwhile, the row may be in another table, which was not read again.
      const isReadAgain = options.sources.some(({ table }) => table === candidate.source);
      if (isBehind || !isReadAgain) return 'unknown';
      return still.has(candidate.location) ? 'missing' : 'vanished';
    },
  );
  const unanswered = candidates.flatMap(({ connection }, index) => {
    if (verdicts[index] !== 'unknown') return [];
    const head = heads[index];
    if (head?.kind === 'unknown') return [noAnswer(connection, head)];
    return [ownAnswer(connection, isBehind ? 'standby_behind' : 'table_gone')];
  });
  await duck.run('CREATE OR REPLACE TABLE looked (location VARCHAR, connection VARCHAR, verdict VARCHAR)');
  await duck.append({
    table: 'looked',
    types: ['text', 'text', 'text'],
    columns: [
      candidates.map(({ location }) => location),
      candidates.map(({ connection }) => connection),
      verdicts,
    ],
    progress: [],
  });
  await duck.run(`UPDATE absent SET verdict = looked.verdict FROM looked WHERE absent.location = looked.location
    AND absent.connection = looked.connection AND absent.verdict = 'missing'`);
  // References outside the sample count as missing only if every reference in the sample is missing.
  if (absent > candidates.length && verdicts.some((verdict) => verdict !== 'missing'))
    await duck.run(`UPDATE absent SET verdict = 'unsure' WHERE verdict = 'missing'
      AND location NOT IN (SELECT location FROM looked)`);
  const count = (verdict: string) => verdicts.filter((one) => one === verdict).length;
  return {
    absent,
    looked: candidates.length,
    missing: count('missing'),
    present: count('present'),
    vanished: count('vanished'),
    unknown: count('unknown') + apart,
    unjudged,
    unanswered: countAnswers(unanswered),
  };
}

/** Whether a standby stays behind the moment at which the objects were gone: it may still show deleted rows. */
async function staysBehind({ database, signal }: ConfirmOptions): Promise<boolean> {
  const { lagSeconds } = await ageOf(database, { patienceMs: MOST_LAG_SECONDS * 1_000, signal });
  return lagSeconds !== 0;
}

async function headAll(
  candidates: readonly Candidate[],
  { storeOf, pace, concurrency, signal }: ConfirmOptions,
): Promise<HeadAnswer[]> {
  const answers: HeadAnswer[] = [];
  let next = 0;
  async function work(): Promise<void> {
    for (let index = next++; index < candidates.length; index = next++) {
      const { location = '', connection = '' } = candidates[index] ?? {};
      await pace(1, signal);
      const target = splitBucket(location);
      answers[index] = await storeOf(connection).head(target, signal);
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work));
  signal.throwIfAborted();
  return answers;
}

/** Reads the rows of these references again and returns the locations that they still name. */
async function stillNamed(gone: readonly Candidate[], options: ConfirmOptions): Promise<Set<string>> {
  const { database, sources, bases, pages, signal } = options;
  const named = new Set<string>();
  for (const source of sources) {
    const owners = [...new Set(gone.filter((one) => one.source === source.table).map(({ owner }) => owner))];
    for (const some of chunks(owners, OWNERS_A_STATEMENT)) {
      await pages(some.length, signal);
      const rows = await database.read((query) => query<NamingRow>(ownersStatement(source, some)), signal);
      for (const row of rows) {
        const found = namedObject(source, row, bases);
        if (found !== null) named.add(found.location);
      }
    }
  }
  return named;
}
