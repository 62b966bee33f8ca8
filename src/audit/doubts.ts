import { formatCount } from '../lib/format.ts';
import type { Duck } from './duck.ts';
import { below, bucketOf, folded, isFoldable } from './key-sql.ts';
import type { Base } from './named-object.ts';
import type { NoAnswer } from './no-answer.ts';
import type { ServerOf } from './servers.ts';

/** A reason not to believe the listing of a bucket. */
export interface Doubt {
  readonly bucket: string;
  readonly references: number;
  readonly why: string;
}

/** References that the listing of their bucket lacks, and why it is not known whether their objects are there. */
export interface Lacking {
  readonly bucket: string;
  readonly references: number;
  /**
   * `overlooked`: the object is there, and older than the listing that lacks it. `unanswered`: a HEAD got no answer, or
   * none could be sent. `outside`: their place was not listed.
   */
  readonly verdict: 'overlooked' | 'unanswered' | 'outside';
  readonly reason: NoAnswer['reason'] | null;
}

const SO = 'so it may have objects in use under other names';

/**
 * Some servers list a key otherwise than a row spells it, and an inventory may leave keys out. An object that a HEAD
 * finds shows that. A HEAD without an answer might have shown it, whatever the others of its bucket say.
 *
 * `spelt`: the doubts of {@link otherSpellings}, which come first. Each bucket has one doubt at most.
 */
export function doubtsOf(lacking: readonly Lacking[], spelt: readonly Doubt[]): Doubt[] {
  const buckets = new Set([...lacking, ...spelt].map(({ bucket }) => bucket));
  return [...buckets].sort().flatMap((bucket): Doubt[] => {
    const shown = spelt.find((one) => one.bucket === bucket);
    if (shown !== undefined) return [shown];
    const own = lacking.filter((one) => one.bucket === bucket);
    const countOf = (verdict: Lacking['verdict']) =>
      own.filter((one) => one.verdict === verdict).reduce((sum, one) => sum + one.references, 0);
    const overlooked = countOf('overlooked');
    const unanswered = countOf('unanswered');
    const outside = countOf('outside');
    if (overlooked > 0) {
      const why = `${formatCount(overlooked)} references name objects that storage has and the listing lacks, ${SO}`;
      return [{ bucket, references: overlooked, why }];
    }
    if (unanswered > 0) {
      const silent = own.filter(({ verdict }) => verdict === 'unanswered');
      const reasons = new Set(silent.map(({ reason }) => reason?.replaceAll('_', ' ')));
      const why = `the listing lacks the objects of ${formatCount(unanswered)} references, and no HEAD of them was answered (${[...reasons].join(', ')}), ${SO}`;
      return [{ bucket, references: unanswered, why }];
    }
    if (outside === 0) return [];
    const why = `${formatCount(outside)} references name objects in places of it that were not listed, ${SO}`;
    return [{ bucket, references: outside, why }];
  });
}

/**
 * The buckets with objects that nothing names by their key, and something names by a key that differs in its slashes
 * alone. Names of every kind count, also those that nobody asked storage for.
 */
export async function otherSpellings(duck: Duck): Promise<Doubt[]> {
  const hash = `hash(${folded('location')})`;
  // Two keys without such a slash are alike or different: one side at least has it, and is few as a rule.
  await duck.run(
    `CREATE OR REPLACE TABLE foldable_names AS SELECT DISTINCT ${hash} AS h FROM named WHERE ${isFoldable('location')}`,
  );
  await duck.run(
    `CREATE OR REPLACE TABLE foldable_objects AS SELECT location, ${hash} AS h FROM unnamed WHERE ${isFoldable('location')}`,
  );
  const found = await duck.run<{ bucket: string; references: number }>(
    `SELECT ${bucketOf('location')} AS bucket, count(*)::DOUBLE AS "references" FROM (
       SELECT location FROM unnamed SEMI JOIN foldable_names ON ${hash} = h
       UNION SELECT location FROM foldable_objects
         SEMI JOIN (SELECT ${hash} AS n FROM named) AS names ON foldable_objects.h = names.n)
     GROUP BY 1`,
  );
  return found.map(({ bucket, references }) => ({
    bucket,
    references,
    why: `${formatCount(references)} of its objects that nothing names have the key of a reference but for slashes, ${SO}`,
  }));
}

/** The references in places that were not listed, but for those that are known to lead to another server. */
export async function outsideOf(
  duck: Duck,
  { places, serverOf }: { readonly places: readonly Base[]; readonly serverOf: ServerOf },
): Promise<Lacking[]> {
  const groups = await duck.run<{ bucket: string; connection: string; references: number }>(
    `SELECT ${bucketOf('location')} AS bucket, connection, count(*)::DOUBLE AS "references"
     FROM named WHERE kind IN ('row', 'state') AND NOT ${below(places)} GROUP BY ALL`,
  );
  return groups.flatMap(({ bucket, connection, references }) => {
    const listed = places.find((place) => place.bucket === bucket);
    const server = serverOf(connection);
    const mayBeHere = listed !== undefined && (server === null || server === serverOf(listed.connection));
    return mayBeHere ? [{ bucket, references, verdict: 'outside' as const, reason: null }] : [];
  });
}
