import { splitBucket } from '../airflow/bucket.ts';
import type { HeadAnswer, ObjectStore, PeekAnswer } from '../s3/client.ts';
import type { Duck } from './duck.ts';
import type { AskOptions, Candidate } from './looks.ts';
import { headAll, keepVerdicts, sampleOf } from './looks.ts';
import type { NoAnswer } from './no-answer.ts';
import { noAnswer, ownAnswer } from './no-answer.ts';
import type { RowsAgainOptions } from './rows-again.ts';
import { rowsAgain } from './rows-again.ts';

export interface UnreadableOptions extends Omit<AskOptions, 'storeOf'>, RowsAgainOptions {
  readonly storeOf: (connection: string) => Pick<ObjectStore, 'head' | 'peek'>;
  readonly duck: Duck;
  /** SQL: whether the listing says nothing about a reference. */
  readonly isApart: string;
}

/** An answer of storage about one object. `why`: why it is not known whether the object can be read. */
type Read = { readonly kind: 'live' | 'unreadable' } | { readonly kind: 'unsure'; readonly why: NoAnswer };

/** How many objects of one archive are tried at most: one that was just restored says nothing about the others. */
const TRIES = 3;

/**
 * A listing does not show whether an object was restored from its archive. Some servers keep the name of the storage
 * class and hand the object out. So objects in archive classes are asked for, and those that storage calls archived are
 * tried. Returns why some are not known.
 */
export async function confirmUnreadable(options: UnreadableOptions): Promise<NoAnswer[]> {
  const { duck, bases, isApart } = options;
  const look = { duck, table: 'unreadable', listed: 'unreadable', unasked: 'unreadable' } as const;
  // Verdicts of an audit that was killed are forgotten.
  await duck.run(
    `UPDATE unreadable SET verdict = CASE WHEN ${isApart} THEN 'unjudged' ELSE 'unreadable' END`,
  );
  const candidates = await sampleOf(look, bases);
  if (candidates.length === 0) return [];
  const reads = await tryArchived(candidates, await headAll(candidates, options), options);
  const again = await rowsAgain(
    candidates.filter((_, index) => reads[index]?.kind === 'unreadable'),
    options,
  );
  const judged = reads.map((read, index): { verdict: Read['kind'] | 'vanished'; why: NoAnswer | null } => {
    const candidate = candidates[index];
    if (read.kind === 'unsure') return { verdict: 'unsure', why: read.why };
    if (read.kind === 'live' || candidate === undefined) return { verdict: 'live', why: null };
    const row = again(candidate);
    if (row === 'named') return { verdict: 'unreadable', why: null };
    if (row === 'vanished') return { verdict: 'vanished', why: null };
    return { verdict: 'unsure', why: ownAnswer(candidate.connection, row) };
  });
  await keepVerdicts(
    look,
    candidates,
    judged.map(({ verdict }) => verdict),
  );
  return judged.flatMap(({ why }) => why ?? []);
}

/**
 * Tries to read archived objects, as the exporter does. Those that answer first speak for the others of their place and
 * archive.
 */
async function tryArchived(
  candidates: readonly Candidate[],
  heads: readonly HeadAnswer[],
  options: UnreadableOptions,
): Promise<Read[]> {
  const reads: Read[] = [];
  const tried = new Map<string, readonly Read[]>();
  for (const [index, { location, prefix, connection }] of candidates.entries()) {
    const head = heads[index];
    if (head === undefined || head.kind === 'missing') reads.push(goneSince(connection));
    else if (head.kind === 'unknown') reads.push({ kind: 'unsure', why: noAnswer(connection, head) });
    else if (head.archive === null) reads.push({ kind: 'live' });
    else {
      const address = splitBucket(location);
      const archive = JSON.stringify([connection, address.bucket, prefix, head.archive]);
      const before = tried.get(archive) ?? [];
      const last = before.at(-1);
      if (last !== undefined && (last.kind === 'unreadable' || before.length >= TRIES)) reads.push(last);
      else {
        await options.pace(1, options.signal);
        const answer = await options.storeOf(connection).peek(address, options.signal);
        const read = readOf(answer, connection);
        reads.push(read);
        // An object that is gone by now says nothing about the others.
        if (answer.kind !== 'missing') tried.set(archive, [...before, read]);
      }
    }
  }
  options.signal.throwIfAborted();
  return reads;
}

function readOf(answer: PeekAnswer, connection: string): Read {
  if (answer.kind === 'unknown') return { kind: 'unsure', why: noAnswer(connection, answer) };
  if (answer.kind === 'missing') return goneSince(connection);
  return { kind: answer.kind === 'archived' ? 'unreadable' : 'live' };
}

function goneSince(connection: string): Read {
  return { kind: 'unsure', why: ownAnswer(connection, 'gone_since') };
}
