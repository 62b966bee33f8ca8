/** What earlier test writes add to one. */
export interface WriteHistory {
  /**
   * A reference that was written from here on, and whose object is there, says that others write although the test write
   * fails: epoch ms. Null: it did not fail.
   */
  readonly othersWriteFrom: number | null;
  /** Since when each test write has failed, where that has lasted: epoch ms. Null: it has not. */
  readonly writesFailSince: number | null;
}

export interface WriteRefusals {
  /** Takes up the outcome of a test write. */
  note(put: { readonly ok: boolean | null } | undefined, at: number): WriteHistory;
}

/** Before the first test write of a process nobody knows since when writes fail: references of this long before it count. */
const LATELY_MS = 120_000;

/** Workers have clocks of their own: a reference of this first time may have been written before the refusal. */
const SLACK_MS = 120_000;

/** Such a reference counts for this long. It is no evidence if no other has followed by then. */
const BELIEVED_MS = 600_000;

/** A fault of the storage's own that lasts so long, and through so many test writes, does not pass by itself. */
const LASTING_MS = 300_000;
const LASTING_WRITES = 3;

/** What is remembered of test writes: since when they fail. */
export function createWriteRefusals(): WriteRefusals {
  let hasWorked = false;
  let since: number | null = null;
  let failed = 0;
  return {
    note(put, at) {
      if (put?.ok === true) {
        hasWorked = true;
        since = null;
        failed = 0;
      }
      if (put?.ok !== false) return { othersWriteFrom: null, writesFailSince: null };
      since ??= at;
      failed += 1;
      const isLasting = failed >= LASTING_WRITES && at - since >= LASTING_MS;
      return { othersWriteFrom: othersFrom(since, at), writesFailSince: isLasting ? since : null };
    },
  };

  function othersFrom(from: number, at: number): number {
    if (at - from > BELIEVED_MS) return from + SLACK_MS;
    return hasWorked ? from : Math.min(from, at - LATELY_MS);
  }
}
