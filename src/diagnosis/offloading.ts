import type { Tally } from './tally.ts';
import { MINUTE, stepsOf } from './offload-steps.ts';
import { SLACK_MS } from './worker-histories.ts';

/** The references of the window as evidence of the threshold that workers use, and from when on. */
export interface Offloading {
  /** When the latest reference was written, epoch ms; null: there is none. */
  readonly latest: number | null;
  /** The smallest object whose size is the one that Airflow measured; Infinity: no such size is known. */
  readonly smallest: number;
  /**
   * The smallest value that is known to have gone to object storage by a moment. A value as large that was written
   * later and is in the database went past the backend. One that was written before may be older than the setting.
   */
  readonly smallestBy: (at: number) => number;
  /** Everything that `smallestBy` says about the moments from one to another, as text. */
  readonly smallestWithin: (from: number, to: number) => string;
}

const SLACK_MINUTES = SLACK_MS / MINUTE;

export function offloadingOf(tallies: readonly Pick<Tally, 'least' | 'most' | 'offloads'>[]): Offloading {
  let smallest = Infinity;
  let latest = -Infinity;
  for (const { least, most } of tallies) {
    smallest = Math.min(smallest, least.object);
    latest = Math.max(latest, most.referenceAt);
  }
  const steps = stepsOf(tallies.flatMap(({ offloads }) => offloads));
  const minuteOf = (at: number) => Math.floor(at / MINUTE) + SLACK_MINUTES;
  const smallestBy = (at: number) => steps.findLast(([minute]) => minute <= minuteOf(at))?.[1] ?? Infinity;
  return {
    latest: latest === -Infinity ? null : latest,
    smallest,
    smallestBy,
    smallestWithin(from, to) {
      const within = steps.filter(([minute]) => minute > minuteOf(from) && minute <= minuteOf(to));
      return [smallestBy(from), ...within].join();
    },
  };
}
