import { isDeepStrictEqual } from 'node:util';
import type { BaseLooks } from '../window/bases.ts';
import type { Ledger } from '../window/ledger.ts';
import { createLooks } from '../window/looks.ts';
import { survey } from './survey.ts';
import type { Survey, SurveyLooks, SurveyOptions } from './survey.ts';

export type Surveyor = (ledger: Ledger, options: SurveyOptions) => Promise<Survey>;

export interface Comparison {
  /** One survey in so many is also made anew. */
  readonly every: number;
  /** Called when the new survey gave another answer. */
  readonly differs: (message: string) => void;
}

/** Once in fifty minutes at the default schedule. */
export const COMPARED_EVERY = 100;

/**
 * Surveys a window again and again, and looks only at what was written since the last time. Now and then it looks at
 * everything, and that result is the one that counts.
 */
export function createSurveyor({
  bases,
  comparison,
}: {
  /** The looks at bases, which others use as well. */
  readonly bases: BaseLooks;
  readonly comparison: Comparison;
}): Surveyor {
  const kept = newLooks(bases);
  let times = 0;
  return async (ledger, options) => {
    const seen = await survey(ledger, options, kept);
    times += 1;
    if (times % comparison.every !== 0) return seen;
    const anew = await survey(ledger, options, newLooks(createLooks()));
    if (isDeepStrictEqual(anew, seen)) return seen;
    kept.bases.forget();
    // The looks that are not forgotten here are kept by the tallies.
    kept.tallies.forget();
    comparison.differs('what was kept of the window was not what it holds: all of it was looked at again');
    return anew;
  };
}

export function newLooks(bases: BaseLooks): SurveyLooks {
  return { bases, tallies: createLooks(), histories: createLooks(), values: createLooks() };
}
