import type { ObjectAddress, ObjectStore } from '../s3/client.ts';

/** What became of the versions. `none`: the bucket keeps none. `left`: no answer said that they are gone. */
export type Litter = 'none' | 'erased' | 'refused' | 'left';

export interface OwnVersions {
  /** The store, which notes the versions that come of its own writing and deleting. */
  readonly store: ObjectStore;
  /** Deletes them for good; the first refusal ends it. */
  erase(signal: AbortSignal): Promise<Litter>;
}

/**
 * In a bucket that keeps versions each test object leaves its version and a marker of its deletion, which nobody sees and
 * somebody pays for. Only the two of an object that was written and deleted here are touched.
 */
export function noteVersions(store: ObjectStore): OwnVersions {
  const written = new Map<string, string>();
  const own: (ObjectAddress & { readonly version: string })[] = [];
  return {
    store: {
      ...store,
      put: async (target, signal) => {
        const answer = await store.put(target, signal);
        if (answer.kind === 'done' && answer.version !== null) written.set(nameOf(target), answer.version);
        return answer;
      },
      delete: async (target, signal) => {
        const answer = await store.delete(target, signal);
        const version = written.get(nameOf(target));
        if (answer.kind !== 'done' || version === undefined) return answer;
        const { bucket, key } = target;
        own.push({ bucket, key, version });
        // After the version: without the marker it would be there again.
        if (answer.version !== null && answer.version !== version)
          own.push({ bucket, key, version: answer.version });
        return answer;
      },
    },
    async erase(signal) {
      if (written.size === 0) return 'none';
      for (const version of own) {
        const answer = await store.delete(version, signal);
        if (answer.kind === 'unknown') return answer.reason === 'denied' ? 'refused' : 'left';
      }
      return 'erased';
    },
  };
}

function nameOf({ bucket, key }: ObjectAddress): string {
  return `${bucket}/${key}`;
}
