import { chunks } from '../lib/chunks.ts';
import type { Database } from '../postgres/client.ts';
import { ageOf, MOST_LAG_SECONDS } from '../postgres/standby.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { Duck } from './duck.ts';
import { namedObject } from './named-object.ts';
import type { Base } from './named-object.ts';
import type { Rate } from './rate.ts';
import type { RowSource } from './row-sources.ts';
import type { NamingRow } from './row-statements.ts';
import { ownersStatement } from './row-statements.ts';

/** What is known of the references whose objects the listing does not have. */
export interface Confirmed {
  /** All of them. */
  readonly absent: number;
  /** Looked at one by one: all, or as many as are looked at, by chance. */
  readonly looked: number;
  /** The object is not there, and the row still names it. */
  readonly missing: number;
  /** There after all. */
  readonly present: number;
  /** The row is gone meanwhile, names something else, or is of an earlier try that nothing reads. */
  readonly vanished: number;
  /** Storage did not say, or a standby is behind and still shows what may be gone. */
  readonly unknown: number;
}

export interface ConfirmOptions {
  readonly duck: Duck;
  readonly database: Pick<Database, 'read'>;
  readonly sources: readonly RowSource[];
  readonly bases: readonly Base[];
  readonly storeOf: (connection: string) => Pick<ObjectStore, 'head'>;
  readonly pace: Rate;
  readonly pages: Rate;
  readonly concurrency: number;
  /** Waits as long as a task that purges may take from an object to its row. */
  readonly settle: (signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

interface Candidate {
  readonly location: string;
  readonly source: string;
  readonly owner: string;
}

/** As many are looked at; of more a sample decides whether the listing can be believed. */
const MOST = 2_000;
const OWNERS_A_STATEMENT = 50;

/** A listing alone says nothing of what is not in it: objects are asked for, and rows are read once more. */
export async function confirm(options: ConfirmOptions): Promise<Confirmed> {
  const { duck } = options;
  // What an audit found out that was killed behind this step is asked anew.
  await duck.run(`UPDATE absent SET verdict = 'missing' WHERE verdict <> 'young'`);
  const [{ absent } = { absent: 0 }] = await duck.run<{ absent: number }>(
    `SELECT count(*)::DOUBLE AS absent FROM absent WHERE verdict = 'missing'`,
  );
  const candidates = await duck.run<Candidate>(
    `SELECT location, source, owner FROM absent WHERE verdict = 'missing' ORDER BY hash(location) LIMIT ${MOST}`,
  );
  if (candidates.length === 0) return { absent, looked: 0, missing: 0, present: 0, vanished: 0, unknown: 0 };
  const heads = await headAll(candidates, options);
  await options.settle(options.signal);
  const gone = candidates.filter((_, index) => heads[index] === 'missing');
  const isBehind = gone.length > 0 && (await staysBehind(options));
  const still = await stillNamed(gone, options);
  const verdicts = candidates.map((candidate, index): Exclude<keyof Confirmed, 'absent' | 'looked'> => {
    const head = heads[index] ?? 'unknown';
    if (head !== 'missing') return head;
    if (isBehind) return 'unknown';
    return still.has(candidate.location) ? 'missing' : 'vanished';
  });
  await duck.run('CREATE OR REPLACE TABLE looked (location VARCHAR, verdict VARCHAR)');
  await duck.append({
    table: 'looked',
    types: ['text', 'text'],
    columns: [candidates.map(({ location }) => location), verdicts],
    progress: [],
  });
  await duck.run(`UPDATE absent SET verdict = looked.verdict FROM looked WHERE absent.location = looked.location
    AND absent.verdict = 'missing'`);
  // Those that were not looked at are believed missing only where all that were looked at are.
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
    unknown: count('unknown'),
  };
}

/** A standby that does not come to the moment at which objects were not there still shows rows that are gone. */
async function staysBehind({ database, signal }: ConfirmOptions): Promise<boolean> {
  const { lagSeconds } = await ageOf(database, { patienceMs: MOST_LAG_SECONDS * 1_000, signal });
  return lagSeconds !== 0;
}

async function headAll(
  candidates: readonly Candidate[],
  { bases, storeOf, pace, concurrency, signal }: ConfirmOptions,
): Promise<('present' | 'missing' | 'unknown')[]> {
  const answers: ('present' | 'missing' | 'unknown')[] = [];
  let next = 0;
  async function work(): Promise<void> {
    for (let index = next++; index < candidates.length; index = next++) {
      const { location = '' } = candidates[index] ?? {};
      const [bucket = ''] = location.split('/', 1);
      const base = bases.find((one) => location.startsWith(`${one.bucket}/${one.prefix}`));
      await pace(1, signal);
      const target = { bucket, key: location.slice(bucket.length + 1) };
      answers[index] = (await storeOf(base?.connection ?? '').head(target, signal)).kind;
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work));
  signal.throwIfAborted();
  return answers;
}

/** Which of these the rows that named them still name. */
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
