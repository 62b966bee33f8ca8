/** The reason why a task was ended early. */
export type Ending = 'timeout' | 'aborted';

export interface Deadline {
  /** Aborts when the time is up or the outer signal aborts; pass it to everything that can be cancelled. */
  readonly signal: AbortSignal;
  /** The reason why the task was ended; null as long as it was not. */
  ended(): Ending | null;
}

/**
 * Runs a task until `ms` milliseconds have passed or `signal` aborts, at the latest. The promise rejects then, even if
 * the task ignores the signal; nobody uses the further results of the task.
 *
 * This does not use `AbortSignal.any` with `AbortSignal.timeout`, because their timer runs on after the task is done.
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
