/** The reason why a task ended before its time. */
export type Ending = 'timeout' | 'aborted';

export interface Deadline {
  /** Aborts when the time is up or the outer signal does; hand it to whatever can be cancelled. */
  readonly signal: AbortSignal;
  /** Null as long as neither has happened. */
  ended(): Ending | null;
}

/**
 * Runs a task that ends no later than after `ms` milliseconds or when `signal` aborts, even where the task takes
 * no notice: the promise rejects then, and what the task still does is nobody's concern.
 *
 * Not `AbortSignal.any` with `AbortSignal.timeout`: their timer runs on for its full time after the task is done.
 */
export async function runWithin<T>(
  limit: { readonly ms: number; readonly signal: AbortSignal },
  task: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let ending: Ending | null = null;
  let stop: (error: Error) => void = () => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });

  function end(how: Ending): void {
    ending ??= how;
    const error = new Error(how === 'timeout' ? `Took longer than ${limit.ms} ms` : 'Aborted');
    controller.abort(error);
    stop(error);
  }
  function abort(): void {
    end('aborted');
  }

  const timer = setTimeout(end, limit.ms, 'timeout');
  limit.signal.addEventListener('abort', abort, { once: true });
  if (limit.signal.aborted) abort();
  try {
    return await Promise.race([stopped, task({ signal: controller.signal, ended: () => ending })]);
  } finally {
    clearTimeout(timer);
    limit.signal.removeEventListener('abort', abort);
  }
}
