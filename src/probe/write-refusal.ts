/** The history of earlier test writes. */
export interface WriteHistory {
  /**
   * Epoch ms. If a reference was written after this moment and its object exists, others can write although the test
   * write fails. Null: the test write did not fail.
   */
  readonly othersWriteFrom: number | null;
  /** Since when every test write has failed, if for long enough: epoch ms. Null: not so. */
  readonly writesFailSince: number | null;
}

export interface WriteRefusals {
  /** Takes in the outcome of a test write. */
  note(put: { readonly ok: boolean | null } | undefined, at: number): WriteHistory;
}

/**
 * Until a test write has succeeded, nobody knows since when writes fail: references from this long before count too.
 */
const LATELY_MS = 120_000;

/** Workers' clocks differ: a reference this soon after the first failure may have been written before it. */
const SLACK_MS = 120_000;

/** How long such an early reference counts. After that, it is no evidence unless later references have followed. */
const BELIEVED_MS = 600_000;

/** A fault of the storage's own that lasts this long, over this many test writes, does not pass by itself. */
const LASTING_MS = 300_000;
const LASTING_WRITES = 3;

/** Remembers since when test writes have failed. */
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
