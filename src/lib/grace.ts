/** How long tidying up may still take after the caller has ended. */
const GRACE_MS = 2_000;

/** Gives a signal that aborts some time after the given one. */
export function withGrace(signal: AbortSignal): { readonly signal: AbortSignal; readonly end: () => void } {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | null = null;
  function abort(): void {
    timer = setTimeout(() => {
      controller.abort();
    }, GRACE_MS);
  }
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  return {
    signal: controller.signal,
    end: () => {
      signal.removeEventListener('abort', abort);
      if (timer !== null) clearTimeout(timer);
    },
  };
}

/** Tidies up, even after the caller has ended. */
export async function withinGrace<T>(
  signal: AbortSignal,
  tidy: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const grace = withGrace(signal);
  try {
    return await tidy(grace.signal);
  } finally {
    grace.end();
  }
}
