/** Whether the last reading still describes the present. */
export interface Freshness {
  /** The figures were read just now; they stay fresh for `ms` longer than usual. */
  renew(ms: number): void;
  isStale(): boolean;
  stop(): void;
}

/** Node runs a longer timer at once. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * Uses a clock that nobody sets, and its own timer: a cycle that hangs or breaks off must not keep old figures alive.
 * Figures are fresh for `staleMs` at first; `onStale` is called each time they stop being fresh. `onRenew` is told for
 * how many ms they stay fresh.
 */
export function createFreshness({
  staleMs,
  onRenew,
  onStale,
}: {
  staleMs: number;
  onRenew: (freshMs: number) => void;
  onStale: () => void;
}): Freshness {
  let freshUntil = 0;
  let timer: NodeJS.Timeout | undefined;
  function renew(ms: number): void {
    freshUntil = performance.now() + staleMs + ms;
    onRenew(staleMs + ms);
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
