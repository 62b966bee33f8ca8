export interface WriteRefusals {
  /**
   * Takes up the outcome of a test write. Gives the moment from which on a reference that was written says that others
   * write all the same, epoch ms; null: the test write did not fail.
   */
  note(put: { readonly ok: boolean | null } | undefined, at: number): number | null;
}

/** As long a reference may be written before the first test write of a process, if nobody knows when it began to fail. */
const LATELY_MS = 120_000;

/** What is remembered of test writes: since when they fail. */
export function createWriteRefusals(): WriteRefusals {
  let hasWorked = false;
  let since: number | null = null;
  return {
    note(put, at) {
      if (put?.ok === true) {
        hasWorked = true;
        since = null;
      }
      if (put?.ok !== false) return null;
      since ??= at;
      return hasWorked ? since : Math.min(since, at - LATELY_MS);
    },
  };
}
