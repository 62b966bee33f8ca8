import { splitBucket } from '../airflow/bucket.ts';
import type { Doubt, Lacking } from './doubts.ts';
import { doubtsOf, otherSpellings, outsideOf } from './doubts.ts';
import type { Duck } from './duck.ts';
import { bucketOf } from './key-sql.ts';
import type { AskOptions, Candidate } from './looks.ts';
import { headAll, keepVerdicts, sampleOf } from './looks.ts';
import type { Base } from './named-object.ts';
import type { NoAnswer, Unanswered } from './no-answer.ts';
import { countAnswers, noAnswer, ownAnswer } from './no-answer.ts';
import type { RowsAgainOptions } from './rows-again.ts';
import { rowsAgain } from './rows-again.ts';
import type { Apart, Connections, ServerOf, Unjudged } from './servers.ts';

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
  /** Why the rest of `unknown` is not known, and whether objects in archive classes can be read. */
  readonly unanswered: readonly Unanswered[];
  /** The buckets whose listing and rows may name one object differently: none of their orphans is to be deleted. */
  readonly doubts: readonly Doubt[];
}

export interface ConfirmOptions extends AskOptions, RowsAgainOptions, Pick<Connections, 'isKnown'> {
  readonly duck: Duck;
  /** The places that were listed. */
  readonly places: readonly Base[];
  readonly serverOf: ServerOf;
  readonly apart: Apart;
  /** Why it is not known of some objects in archive classes whether they can be read. */
  readonly unanswered: readonly NoAnswer[];
  /** An object that was put later than this may be younger than its listing, epoch ms. */
  readonly listedUpTo: number;
  /** Waits as long as a purging task may take from deleting an object to deleting its row. */
  readonly settle: (signal: AbortSignal) => Promise<void>;
}

/** The verdicts of a second look. `overlooked`: the object is there, and older than the listing that lacks it. */
type Verdict = 'missing' | 'present' | 'overlooked' | 'vanished' | 'unknown' | 'unanswered';

/** A listing alone does not prove that an object is missing: the objects are asked for and the rows read once more. */
export async function confirm(options: ConfirmOptions): Promise<Confirmed> {
  const { duck, bases, apart } = options;
  const look = { duck, table: 'absent', listed: 'missing', unasked: 'unasked' } as const;
  // If an audit was killed after this step, its verdicts are still here: they are checked anew.
  await duck.run(`UPDATE absent SET verdict =
    CASE WHEN ${apart.isApart} THEN 'unjudged' WHEN is_young THEN 'young' ELSE 'missing' END`);
  const [{ absent } = { absent: 0 }] = await duck.run<{ absent: number }>(
    `SELECT count(*)::DOUBLE AS absent FROM absent WHERE verdict = 'missing'`,
  );
  const candidates = await sampleOf(look, bases);
  const judged = candidates.length === 0 ? [] : await judge(candidates, options);
  const verdicts = judged.map(({ verdict }) => verdict);
  if (candidates.length > 0) await keepVerdicts(look, candidates, verdicts);
  const count = (...some: readonly Verdict[]) => verdicts.filter((one) => some.includes(one)).length;
  const { unjudged } = apart;
  const lacking = [
    ...judged.flatMap(({ verdict, why }, index): Lacking[] => {
      if (verdict !== 'overlooked' && verdict !== 'unanswered') return [];
      const { bucket } = splitBucket(candidates[index]?.location ?? '');
      return [{ bucket, references: 1, verdict, reason: why?.reason ?? null }];
    }),
    ...(await unaskedOf(options)),
    ...(await outsideOf(duck, options)),
  ];
  return {
    absent,
    looked: candidates.length,
    missing: count('missing'),
    present: count('present', 'overlooked'),
    vanished: count('vanished'),
    unknown: count('unknown', 'unanswered') + unjudged.reduce((sum, { references }) => sum + references, 0),
    unjudged,
    unanswered: countAnswers([...options.unanswered, ...judged.flatMap(({ why }) => why ?? [])]),
    doubts: doubtsOf(lacking, await otherSpellings(duck)),
  };
}

interface Judged {
  readonly verdict: Verdict;
  /** Why it is not known whether the object is missing; null when it is known. */
  readonly why: NoAnswer | null;
}

async function judge(candidates: readonly Candidate[], options: ConfirmOptions): Promise<Judged[]> {
  const heads = await headAll(candidates, options);
  await options.settle(options.signal);
  const again = await rowsAgain(
    candidates.filter((_, index) => heads[index]?.kind === 'missing'),
    options,
  );
  return candidates.map((candidate, index): Judged => {
    const { connection } = candidate;
    const head = heads[index];
    if (head === undefined || head.kind === 'missing') {
      const row = again(candidate);
      if (row === 'named') return { verdict: 'missing', why: null };
      if (row === 'vanished') return { verdict: 'vanished', why: null };
      return { verdict: 'unknown', why: ownAnswer(connection, row) };
    }
    if (head.kind === 'unknown') return { verdict: 'unanswered', why: noAnswer(connection, head) };
    const isLater = (head.lastModified ?? 0) > options.listedUpTo;
    return { verdict: isLater ? 'present' : 'overlooked', why: null };
  });
}

/** Those that nobody was asked about: a connection that is not known may lead to this server. */
async function unaskedOf({ duck, isKnown }: ConfirmOptions): Promise<Lacking[]> {
  const groups = await duck.run<{ bucket: string; connection: string; references: number }>(
    `SELECT ${bucketOf('location')} AS bucket, connection, count(*)::DOUBLE AS "references"
     FROM absent WHERE verdict = 'unjudged' GROUP BY ALL`,
  );
  return groups
    .filter(({ connection }) => !isKnown(connection))
    .map((one) => ({ ...one, verdict: 'unanswered', reason: 'unknown_connection' }));
}
