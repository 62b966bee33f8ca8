/**
 * Finds a slot of some columns by the hash of what stands there: 8 bytes a slot. Grows bucket by bucket with every
 * slot that is added (linear hashing, Litwin 1980), so that no single addition takes long.
 */
export interface SlotIndex {
  /** The slot that `matches`, or -1. */
  find(hash: number, matches: (slot: number) => boolean): number;
  add(slot: number, hash: number): void;
  remove(slot: number, hash: number): void;
}

const FIRST_BUCKETS = 256;

/** `hashOf` gives the hash of a slot that was added, as it was then: 32 bits. */
export function createSlotIndex(hashOf: (slot: number) => number): SlotIndex {
  // A slot is written as its number plus one, so that 0 is nothing.
  let heads = new Uint32Array(FIRST_BUCKETS);
  let nexts = new Uint32Array(FIRST_BUCKETS);
  let mask = FIRST_BUCKETS - 1;
  /** Buckets below have been split in two already. */
  let split = 0;
  let count = 0;

  function bucketOf(hash: number): number {
    const bucket = hash & mask;
    return bucket < split ? hash & (2 * mask + 1) : bucket;
  }

  function splitNext(): void {
    const added = mask + 1 + split;
    if (added >= heads.length) heads = grown(heads, added);
    let slot = heads[split] ?? 0;
    let stays = 0;
    let moves = 0;
    const wide = 2 * mask + 1;
    while (slot !== 0) {
      const next = nexts[slot - 1] ?? 0;
      if ((hashOf(slot - 1) & wide) === split) {
        nexts[slot - 1] = stays;
        stays = slot;
      } else {
        nexts[slot - 1] = moves;
        moves = slot;
      }
      slot = next;
    }
    heads[split] = stays;
    heads[added] = moves;
    split += 1;
    if (split > mask) {
      mask = wide;
      split = 0;
    }
  }

  return {
    find(hash, matches) {
      for (let slot = heads[bucketOf(hash)] ?? 0; slot !== 0; slot = nexts[slot - 1] ?? 0)
        if (matches(slot - 1)) return slot - 1;
      return -1;
    },
    add(slot, hash) {
      if (slot >= nexts.length) nexts = grown(nexts, slot);
      const bucket = bucketOf(hash);
      nexts[slot] = heads[bucket] ?? 0;
      heads[bucket] = slot + 1;
      count += 1;
      if (count > mask + 1 + split) splitNext();
    },
    remove(slot, hash) {
      const bucket = bucketOf(hash);
      let before = 0;
      for (let at = heads[bucket] ?? 0; at !== 0; at = nexts[at - 1] ?? 0) {
        if (at === slot + 1) {
          const next = nexts[slot] ?? 0;
          if (before === 0) heads[bucket] = next;
          else nexts[before - 1] = next;
          count -= 1;
          return;
        }
        before = at;
      }
    },
  };
}

/** By a quarter, not by half: what is reserved in vain stays small. */
function grown(array: Uint32Array<ArrayBuffer>, needed: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(needed + 1, Math.ceil(array.length * 1.25)));
  larger.set(array);
  return larger;
}
