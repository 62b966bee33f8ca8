import type { BrokenReason } from '../window/flags.ts';
import { BROKEN_REASONS } from '../window/flags.ts';
import { counted, say } from './problem.ts';
import type { Ruling } from './problem.ts';
import type { Survey } from './survey.ts';
import { clearUnlessInVain, inVainWords } from './unlooked.ts';

/** The faults of a reference that only an answer of S3 about its object shows. */
const REASONS = ['missing', 'empty', 'unreadable'] as const satisfies readonly BrokenReason[];
type Reason = (typeof REASONS)[number];

const WORDS: Readonly<Record<Reason, { readonly one: string; readonly several: string }>> = {
  missing: { one: 'at an object that is not there', several: 'at objects that are not there' },
  empty: { one: 'at an object of 0 bytes', several: 'at objects of 0 bytes' },
  unreadable: {
    one: 'at an object that is in an archive and not restored',
    several: 'at objects that are in an archive and not restored',
  },
};

/**
 * The answers that are known were believed: objects/findings.ts takes back a 404 for somebody who sees nothing there.
 * `now`: epoch ms.
 */
export function brokenObjects(
  { rows, window, unlooked }: Survey,
  now: number,
): Record<`objects_${Reason}`, Ruling> {
  const rule = (reason: Reason): Ruling => {
    const { rows: count } = rows[reason];
    if (count > 0) {
      const { one, several } = WORDS[reason];
      return say(
        `${count} of ${counted(window.rows.s3, 'reference')} in the window point${count === 1 ? `s ${one}` : ` ${several}`}.`,
        rows[reason],
      );
    }
    if (window.broken[reason] === null) return 'unknown';
    return clearUnlessInVain(unlooked, now);
  };
  return {
    objects_missing: rule('missing'),
    objects_empty: rule('empty'),
    objects_unreadable: rule('unreadable'),
  };
}

/**
 * The figures of the window, without each 0 that references contradict: S3 was asked about them in vain, or nobody knows
 * if a task still reads them.
 */
export function knownFigures({ window, unlooked, unowned }: Survey, now: number): Survey['window'] {
  const { broken } = window;
  const isInVain = inVainWords(unlooked, now) !== null;
  const isOpen = (reason: BrokenReason) =>
    unowned[reason] > 0 || (isInVain && (REASONS as readonly BrokenReason[]).includes(reason));
  const known = { ...broken };
  for (const reason of BROKEN_REASONS) if (known[reason] === 0 && isOpen(reason)) known[reason] = null;
  return { ...window, broken: known };
}

/** While HEAD answers wrongly, neither the sizes of objects are known nor what became of them. */
export function unseenFigures(window: Survey['window']): Survey['window'] {
  const unseen = { missing: null, empty: null, unreadable: null };
  return { ...window, broken: { ...window.broken, ...unseen }, bytes: { ...window.bytes, s3: null } };
}
