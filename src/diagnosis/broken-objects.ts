import type { BrokenReason } from '../window/flags.ts';
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

/** The figures of the window, without each 0 that references contradict because S3 was asked about them in vain. */
export function knownFigures({ window, unlooked }: Survey, now: number): Survey['window'] {
  if (inVainWords(unlooked, now) === null) return window;
  return withBroken(window, (count) => (count === 0 ? null : count));
}

/** While HEAD answers wrongly, neither the sizes of objects are known nor what became of them. */
export function unseenFigures(window: Survey['window']): Survey['window'] {
  return { ...withBroken(window, () => null), bytes: { ...window.bytes, s3: null } };
}

function withBroken(
  window: Survey['window'],
  figure: (count: number | null) => number | null,
): Survey['window'] {
  const { missing, empty, unreadable } = window.broken;
  const broken = { missing: figure(missing), empty: figure(empty), unreadable: figure(unreadable) };
  return { ...window, broken: { ...window.broken, ...broken } };
}
