import type { UncheckedReason } from '../window/flags.ts';
import { uncheckedOf } from '../window/flags.ts';
import { undecided } from './problem.ts';
import type { Ruling } from './problem.ts';

/**
 * References that nobody has looked up yet, or of whose objects nothing is known any more, by what they wait for. Times
 * are epoch ms; null: there is none.
 */
export interface Unlooked {
  /** They wait for a request: none was left for them. */
  readonly waiting: { readonly rows: number; readonly oldest: number | null };
  /** They wait for a useful answer: they, or others of the same path, were asked about in vain. */
  readonly inVain: {
    readonly rows: number;
    readonly oldest: number | null;
    readonly reasons: readonly AskedInVain[];
  };
}

type AskedInVain = Exclude<UncheckedReason, 'budget'>;

/** Fresh rows are looked up in the cycle that finds them. A row older than this was left over. */
export const LATE_SECONDS = 120;

export function gatherUnlooked(): { add(flags: number, at: number): void; tell(): Unlooked } {
  const waiting = { rows: 0, oldest: Infinity };
  const inVain = { rows: 0, oldest: Infinity };
  const reasons = new Set<AskedInVain>();
  return {
    add(flags, at) {
      const reason = uncheckedOf(flags);
      const one = reason === null || reason === 'budget' ? waiting : inVain;
      one.rows += 1;
      one.oldest = Math.min(one.oldest, at);
      if (reason !== null && reason !== 'budget') reasons.add(reason);
    },
    tell: () => ({
      waiting: { ...waiting, oldest: finite(waiting.oldest) },
      inVain: { ...inVain, oldest: finite(inVain.oldest), reasons: [...reasons].sort() },
    }),
  };
}

/** Adds up the unlooked references of all parts of the window. */
export function unlookedTogether(parts: readonly Unlooked[]): Unlooked {
  const together = (sums: readonly Unlooked['waiting'][]) => ({
    rows: sums.reduce((all, { rows }) => all + rows, 0),
    oldest: finite(Math.min(...sums.map(({ oldest }) => oldest ?? Infinity))),
  });
  const reasons = new Set(parts.flatMap(({ inVain }) => inVain.reasons));
  return {
    waiting: together(parts.map(({ waiting }) => waiting)),
    inVain: { ...together(parts.map(({ inVain }) => inVain)), reasons: [...reasons].sort() },
  };
}

function finite(moment: number): number | null {
  return Number.isFinite(moment) ? moment : null;
}

const WORDS: Readonly<Record<AskedInVain, string>> = {
  denied: 'S3 refused to tell',
  throttled: 'S3 or a gateway asked for fewer requests, or could not serve them',
  timeout: 'S3 did not answer in time',
  unreachable: 'S3 gave no answer',
  unconfirmed:
    'S3 has no usable object, which counts once the same connection is shown another one of the bucket and the row is known to stay',
  not_asked: 'S3 was not asked about all, because it refused others of the same path',
  unknown_connection:
    'the connection of rows is not known here, and what stands in for it may lead to another server (give AIRFLOW_CONN_…, or an empty one, aws://, if the workers use a role; if the rows name none, name that path in xcom.path too)',
  unknown_reader:
    'the role may not read legacy_task_data_owner, so nobody knows if a task still reads the rows (run docs/sql/role.sql again)',
};

/** No fault was seen. Objects that S3 was asked about in vain may have it all the same. `now`: epoch ms. */
export function clearUnlessInVain(unlooked: Unlooked, now: number): Ruling {
  const inVain = inVainWords(unlooked, now);
  return inVain === null ? 'clear' : undecided(inVain);
}

/** Why the objects of so many references are not known; null: none is older than a look takes. `now`: epoch ms. */
export function inVainWords({ inVain }: Unlooked, now: number): string | null {
  const { rows, oldest, reasons } = inVain;
  if (oldest === null || now - oldest <= LATE_SECONDS * 1_000) return null;
  const why = reasons.map((reason) => WORDS[reason]).join('; ');
  return `the ${rows === 1 ? 'object of one reference is' : `objects of ${rows} references are`} not known: ${why}`;
}
