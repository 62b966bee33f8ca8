export interface WriteRefusals {
  /**
   * Takes up the outcome of a test write. Gives the moment from which on a reference that was written says that others
   * write all the same, epoch ms; null: the test write did not fail.
   */
  note(put: { readonly ok: boolean | null } | undefined, at: number): number | null;
}

/** As long a reference may be written before the first test write of a process, if nobody knows when it began to fail. */
const LATELY_MS = 120_000;

/** Of this first time nobody knows whether what was written came before: whoever writes has a clock of his own. */
const SLACK_MS = 120_000;

/** For so long what was written in the slack is believed. If nothing has followed by then, it is no evidence any more. */
const BELIEVED_MS = 600_000;

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
      if (at - since > BELIEVED_MS) return since + SLACK_MS;
      return hasWorked ? since : Math.min(since, at - LATELY_MS);
    },
  };
}
