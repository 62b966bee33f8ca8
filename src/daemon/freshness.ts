import { msToTick } from '../lib/cron.ts';

/** Figures are no longer shown as current once this many ticks have come without a reading. */
const STALE_TICKS = 3;

/** How long figures of now stay fresh, in ms. It follows the ticks to come: no pause of a schedule makes them stale. */
export function freshMs(schedule: string): number {
  return msToTick(schedule, STALE_TICKS);
}

/** Whether the last reading still describes the present. Outlives the settings: a reload reads nothing. */
export interface Freshness {
  /** The figures were read just now, and stay fresh for `ms`. */
  renew(ms: number): void;
  /** From now on figures stay fresh for `ms` at most: another schedule is in force. They become no fresher. */
  limit(ms: number): void;
  /** The figures read so far count no longer. */
  forget(): void;
  /** Whether figures were ever read, since they were forgotten. */
  wasRead(): boolean;
  /** Also true before the first reading. */
  isStale(): boolean;
  stop(): void;
}

/** Node runs a longer timer at once. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * Uses a clock that nobody sets, and its own timer: a cycle that hangs or breaks off must not keep old figures alive.
 * `onRenew` is told for how many ms figures that are read now stay fresh;
 * `onStale` is called each time they stop being fresh.
 */
export function createFreshness({
  onRenew,
  onStale,
}: {
  onRenew: (freshMs: number) => void;
  onStale: () => void;
}): Freshness {
  let freshUntil = -Infinity;
  let wasRead = false;
  let timer: NodeJS.Timeout | undefined;
  function arm(): void {
    clearTimeout(timer);
    const leftMs = Math.ceil(freshUntil - performance.now());
    timer = setTimeout(end, Math.min(Math.max(leftMs, 1), longestTimerMs)).unref();
  }
  function end(): void {
    if (isStale()) onStale();
    else arm();
  }
  function isStale(): boolean {
    return performance.now() > freshUntil;
  }
  return {
    renew(ms) {
      wasRead = true;
      freshUntil = performance.now() + ms;
      onRenew(ms);
      arm();
    },
    limit(ms) {
      onRenew(ms);
      if (isStale()) return;
      freshUntil = Math.min(freshUntil, performance.now() + ms);
      arm();
    },
    forget() {
      clearTimeout(timer);
      wasRead = false;
      freshUntil = -Infinity;
    },
    wasRead: () => wasRead,
    isStale,
    stop() {
      clearTimeout(timer);
    },
  };
}
