/** The history of earlier probes. */
export interface WriteHistory {
  /**
   * Epoch ms. If a reference was written after this moment and its object exists, others can write although the test
   * write fails. Null: the test write did not fail.
   */
  readonly othersWriteFrom: number | null;
  /** The same for a bucket that is out of the exporter's reach. Null: it is not, or that is not known. */
  readonly othersReachFrom: number | null;
  /** Since when every test write has failed, if for long enough: epoch ms. Null: not so. */
  readonly writesFailSince: number | null;
}

export interface WriteRefusals {
  /**
   * Takes in the outcome of a test write, and whether the bucket is out of reach. Each has a history of its own: writes
   * may have failed for days when the bucket goes away.
   */
  note(
    seen: { readonly put: { readonly ok: boolean | null } | undefined; readonly isOutOfReach: boolean },
    at: number,
  ): WriteHistory;
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

/** Remembers since when test writes have failed, and since when the bucket has been out of reach. */
export function createWriteRefusals(): WriteRefusals {
  const writes = createStreak();
  const reach = createStreak();
  return {
    note({ put, isOutOfReach }, at) {
      const failing = writes.note(put?.ok ?? null, at);
      const away = reach.note(!isOutOfReach, at);
      return {
        othersWriteFrom: failing?.othersFrom ?? null,
        othersReachFrom: away?.othersFrom ?? null,
        writesFailSince: failing?.lastsSince ?? null,
      };
    },
  };
}

interface Streak {
  readonly othersFrom: number;
  readonly lastsSince: number | null;
}

/** A series of failures without a success in between. An outcome of null says nothing. */
function createStreak(): { note(worked: boolean | null, at: number): Streak | null } {
  let hasWorked = false;
  let since: number | null = null;
  let failed = 0;
  return {
    note(worked, at) {
      if (worked === true) {
        hasWorked = true;
        since = null;
        failed = 0;
      }
      if (worked !== false) return null;
      since ??= at;
      failed += 1;
      const isLasting = failed >= LASTING_WRITES && at - since >= LASTING_MS;
      return { othersFrom: othersFrom(since, at), lastsSince: isLasting ? since : null };
    },
  };

  function othersFrom(from: number, at: number): number {
    if (at - from > BELIEVED_MS) return from + SLACK_MS;
    return hasWorked ? from : Math.min(from, at - LATELY_MS);
  }
}
