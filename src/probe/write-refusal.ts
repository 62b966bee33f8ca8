export interface WriteRefusals {
  /**
   * Takes up the outcome of a test write. Gives the moment from which on a reference that was written says that others
   * write all the same, epoch ms; null: the test write did not fail.
   */
  note(put: { readonly ok: boolean | null } | undefined, at: number): number | null;
}

/** Before the first test write of a process nobody knows since when writes fail: references of this long before it count. */
const LATELY_MS = 120_000;

/** Workers have clocks of their own: a reference of this first time may have been written before the refusal. */
const SLACK_MS = 120_000;

/** Such a reference counts for this long. It is no evidence if no other has followed by then. */
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
