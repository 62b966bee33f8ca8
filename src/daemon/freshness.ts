/** Whether the last reading still tells how things are now. */
export interface Freshness {
  /** They were read just now, and are good for `ms` more than the usual time. */
  renew(ms: number): void;
  isStale(): boolean;
  stop(): void;
}

/** Node runs a timer that is longer than this at once. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * Runs on a clock that nobody sets, and on a timer of its own: a cycle that hangs or breaks off must not keep old
 * figures alive. Figures are fresh for `staleMs` at first; `onStale` is called each time they cease to be.
 */
export function createFreshness({ staleMs, onStale }: { staleMs: number; onStale: () => void }): Freshness {
  let freshUntil = 0;
  let timer: NodeJS.Timeout | undefined;
  function renew(ms: number): void {
    freshUntil = performance.now() + staleMs + ms;
    arm();
  }
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
  renew(0);
  return {
    renew,
    isStale,
    stop() {
      clearTimeout(timer);
    },
  };
}
