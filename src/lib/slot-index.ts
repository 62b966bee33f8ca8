/**
 * Finds a slot in columns by the hash of its contents, at 8 bytes per slot. The index grows by one bucket at a time as
 * slots are added (linear hashing, Litwin 1980), so that no single addition takes long.
 */
export interface SlotIndex {
  /** Gives the slot with this hash for which `matches` is true, or -1. */
  find(hash: number, matches: (slot: number) => boolean): number;
  add(slot: number, hash: number): void;
  remove(slot: number, hash: number): void;
}

const FIRST_BUCKETS = 256;

/** `hashOf` gives the 32-bit hash of an added slot; it must be the same hash as when the slot was added. */
export function createSlotIndex(hashOf: (slot: number) => number): SlotIndex {
  // A slot is stored as its number plus one; 0 means no slot.
  const heads = createPagedWords();
  const nexts = createPagedWords();
  let mask = FIRST_BUCKETS - 1;
  /** The buckets below this number have already been split in two. */
  let split = 0;
  let count = 0;

  function bucketOf(hash: number): number {
    const bucket = hash & mask;
    return bucket < split ? hash & (2 * mask + 1) : bucket;
  }

  function splitNext(): void {
    const wide = 2 * mask + 1;
    let stays = 0;
    let moves = 0;
    for (let slot = heads.get(split); slot !== 0;) {
      const next = nexts.get(slot - 1);
      if ((hashOf(slot - 1) & wide) === split) {
        nexts.put(slot - 1, stays);
        stays = slot;
      } else {
        nexts.put(slot - 1, moves);
        moves = slot;
      }
      slot = next;
    }
    heads.put(split, stays);
    heads.put(mask + 1 + split, moves);
    split += 1;
    if (split > mask) {
      mask = wide;
      split = 0;
    }
  }

  return {
    find(hash, matches) {
      for (let slot = heads.get(bucketOf(hash)); slot !== 0; slot = nexts.get(slot - 1))
        if (matches(slot - 1)) return slot - 1;
      return -1;
    },
    add(slot, hash) {
      const bucket = bucketOf(hash);
      nexts.put(slot, heads.get(bucket));
      heads.put(bucket, slot + 1);
      count += 1;
      if (count > mask + 1 + split) splitNext();
    },
    remove(slot, hash) {
      const bucket = bucketOf(hash);
      let before = 0;
      for (let at = heads.get(bucket); at !== 0; at = nexts.get(at - 1)) {
        if (at === slot + 1) {
          if (before === 0) heads.put(bucket, nexts.get(slot));
          else nexts.put(before - 1, nexts.get(slot));
          count -= 1;
          return;
        }
        before = at;
      }
    },
  };
}

/** A long array of 32-bit numbers that grows page by page: growing copies nothing and leaves no garbage. */
export interface PagedWords {
  /** Gives the number; 0 when none was put there. */
  get(at: number): number;
  put(at: number, value: number): void;
}

const PAGE_BITS = 14;
const PAGE_WORDS = 1 << PAGE_BITS;

export function createPagedWords(): PagedWords {
  const pages: Uint32Array[] = [];
  return {
    get: (at) => pages[at >>> PAGE_BITS]?.[at & (PAGE_WORDS - 1)] ?? 0,
    put(at, value) {
      const number = at >>> PAGE_BITS;
      while (pages.length <= number) pages.push(new Uint32Array(PAGE_WORDS));
      const page = pages[number];
      if (page !== undefined) page[at & (PAGE_WORDS - 1)] = value;
    },
  };
}
