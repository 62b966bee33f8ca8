import type { ObjectStore } from '../s3/client.ts';
import type { Stores } from '../s3/stores.ts';
import type { Ledger } from '../window/ledger.ts';
import type { Allowance } from './allowance.ts';
import type { Archived, Findings, Tried } from './findings.ts';

/**
 * How many objects of one archive are tried at most. One is too few: an object just restored says nothing about the
 * others.
 */
const TRIES = 3;

export interface ArchiveTries {
  /** Settles the references found in an archive since the last call. */
  settle(signal: AbortSignal): Promise<void>;
}

/**
 * Tries to read objects that S3 reports as archived: Ceph's administrator may call any pool GLACIER, and Ceph hands out
 * its objects. One refusal counts for all objects of the same archive below the same path, for the rest of the cycle.
 */
export function createArchiveTries(
  ledger: Ledger,
  options: {
    readonly stores: Pick<Stores, 'of'>;
    readonly allowance: Allowance;
    readonly findings: Findings;
  },
): ArchiveTries {
  const { stores, allowance, findings } = options;
  const rows = ledger.rows();
  const refusing = new Map<ObjectStore, Set<string>>();

  function addressOf(slot: number) {
    const reference = rows.referenceOf(ledger.runOf(slot), slot);
    if (reference === null) throw new Error('Only references are looked up');
    return { store: stores.of(reference.connection), reference };
  }

  /** Groups the objects by path and archive. */
  function grouped(
    all: readonly Archived[],
  ): readonly { store: ObjectStore; name: string; slots: number[] }[] {
    const groups = new Map<ObjectStore, Map<string, number[]>>();
    for (const { slot, archive } of all) {
      const { store, reference } = addressOf(slot);
      const ofStore = groups.get(store) ?? new Map<string, number[]>();
      groups.set(store, ofStore);
      const name = JSON.stringify([reference.bucket, reference.prefix, archive]);
      ofStore.set(name, [...(ofStore.get(name) ?? []), slot]);
    }
    return [...groups].flatMap(([store, names]) =>
      [...names].map(([name, slots]) => ({ store, name, slots })),
    );
  }

  /** Settles the objects that it tries itself; returns the outcome for the others. */
  async function tryFirst(slots: readonly number[], signal: AbortSignal): Promise<Tried> {
    let said: 'readable' | 'untried' = 'untried';
    for (const slot of slots.slice(0, TRIES)) {
      if (allowance.beginnable() === 0) return said;
      const { store, reference } = addressOf(slot);
      const answer = await store.peek(reference, signal);
      if (answer.kind !== 'unknown') allowance.answered(reference);
      if (answer.kind === 'archived') return 'archived';
      // The object has gone since the HEAD: the next cycle finds that out.
      if (answer.kind === 'missing') continue;
      if (answer.kind === 'unknown') return answer.reason === 'aborted' ? 'untried' : answer;
      findings.settleArchived([slot], 'readable');
      said = 'readable';
    }
    return said;
  }

  return {
    async settle(signal) {
      for (const { store, name, slots } of grouped(findings.archived())) {
        const known = refusing.get(store) ?? new Set();
        refusing.set(store, known);
        const outcome = known.has(name) ? 'archived' : await tryFirst(slots, signal);
        if (outcome === 'archived') known.add(name);
        findings.settleArchived(slots, outcome);
      }
    },
  };
}
