import type { ObjectAddress, ObjectStore } from '../s3/client.ts';
import type { Unknown } from '../s3/failure.ts';
import { unknown } from '../s3/failure.ts';
import { mayHaveArrived } from './bucket.ts';
import type { PreflightStep } from './preflight-step.ts';
import { good, idle, open } from './preflight-step.ts';
import { refusalWords } from './refusal-words.ts';

/**
 * The outcome for the versions. `none`: no answer named a version. `left`: no answer said that the versions are gone.
 * `suspended`: the bucket keeps only the delete marker.
 */
export type Litter =
  | { readonly kind: 'none' | 'erased' | 'suspended' }
  | { readonly kind: 'refused' | 'left'; readonly failure: Unknown };

export interface OwnVersions {
  /** The store, which also notes the versions that its own writes and deletions create. */
  readonly store: ObjectStore;
  /** Deletes these versions for good; stops at the first refusal. */
  readonly erase: (signal: AbortSignal) => Promise<Litter>;
}

/** S3's name for the only version of an object in a bucket whose versioning is suspended. */
const NULL_VERSION = 'null';

/**
 * In a bucket that keeps versions, each test object leaves its version and a delete marker. Nobody sees them and
 * somebody pays for them. When versioning is suspended, only the marker stays. This touches only the versions of
 * objects that were written and deleted here.
 */
export function noteVersions(store: ObjectStore): OwnVersions {
  const written = new Map<string, { readonly version: string | null; readonly isCertain: boolean }>();
  /** Objects that may have versions which no answer named. */
  const doubtful: ObjectAddress[] = [];
  const own: (ObjectAddress & { readonly version: string })[] = [];
  return {
    store: {
      ...store,
      put: async (target, signal) => {
        const answer = await store.put(target, signal);
        written.set(nameOf(target), {
          version: answer.kind === 'done' ? answer.version : null,
          isCertain: answer.kind === 'done' ? answer.attempts === 1 : !mayHaveArrived(answer),
        });
        return answer;
      },
      delete: async (target, signal) => {
        const answer = await store.delete(target, signal);
        const put = written.get(nameOf(target));
        if (answer.kind !== 'done' || put === undefined) return answer;
        const { bucket, key } = target;
        if (!put.isCertain && answer.version !== null) doubtful.push({ bucket, key });
        // The version is deleted before the marker: without the marker the object would be visible again.
        const named = new Set([put.version, answer.version].filter((each) => each !== null));
        for (const version of named) own.push({ bucket, key, version });
        return answer;
      },
    },
    async erase(signal) {
      if (own.length === 0) return { kind: 'none' };
      for (const version of own) {
        const answer = await store.delete(version, signal);
        if (answer.kind === 'done') continue;
        const isRefused = answer.reason === 'denied' || answer.said.cause === 'object_lock';
        return { kind: isRefused ? 'refused' : 'left', failure: answer };
      }
      for (const address of doubtful) {
        const failure = await eraseShown(store, address, signal);
        if (failure === null) continue;
        // Without its marker the object is visible again: a new marker hides it.
        await store.delete(address, signal);
        return { kind: 'left', failure };
      }
      return { kind: own.every(({ version }) => version === NULL_VERSION) ? 'suspended' : 'erased' };
    },
  };
}

/** More than the attempts of a PUT. */
const MOST_SHOWN = 5;

/** Deletes versions that become visible once the ones above them are gone; null: none is visible. */
async function eraseShown(
  store: ObjectStore,
  address: ObjectAddress,
  signal: AbortSignal,
): Promise<Unknown | null> {
  for (let shown = 0; shown < MOST_SHOWN; shown += 1) {
    const answer = await store.get(address, signal);
    if (answer.kind === 'missing') return null;
    if (answer.kind === 'unknown') return answer;
    if (answer.version === null) break;
    const deleted = await store.delete({ ...address, version: answer.version }, signal);
    if (deleted.kind === 'unknown') return deleted;
  }
  return unknown('server_error', 'a version is still there', 's3');
}

function nameOf({ bucket, key }: ObjectAddress): string {
  return `${bucket}/${key}`;
}

/** `untried`: why no object was both written and deleted. */
export function versionsStep(
  litter: Litter | { readonly untried: string },
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
): PreflightStep {
  if ('untried' in litter) return idle('versions', litter.untried);
  switch (litter.kind) {
    case 'none':
      return good('versions', 'no answer names any');
    case 'erased':
      return good('versions', 'answers name them: those of the test objects were deleted for good');
    case 'suspended':
      return good(
        'versions',
        'suspended: the markers of deleted test objects were deleted, if the storage lets go of them',
      );
    case 'left':
      return open('versions', `not known to be deleted: ${litter.failure.detail}`);
    case 'refused': {
      const folder = `${prefix === '' ? '' : `${prefix}/`}.airflow-xcom-exporter/`;
      const { fix, action } = fixOf(litter.failure, `arn:aws:s3:::${bucket}/${folder}*`);
      return {
        ...idle('versions', `${litterWords(litter.failure)}: each probe leaves versions`),
        iamAction: action,
        fix,
      };
    }
  }
}

/** Why versions may not be deleted. */
export function litterWords({ detail, reason, said }: Unknown): string {
  if (said.cause === 'object_lock') return `${detail}: Object Lock holds the version`;
  // SeaweedFS and moto give no other reason for a locked version.
  const orLocked =
    said.cause === 'permission' && said.action === null ? ', or Object Lock holds the version' : '';
  const why = refusalWords({ reason, said: { ...said, action: said.action ?? ACTION } }, 'delete', null);
  return `${detail}: ${why}${orLocked}`;
}

const ACTION = 's3:DeleteObjectVersion';

function fixOf(
  { said: { cause, action } }: Unknown,
  resource: string,
): { fix: string; action: string | null } {
  const rule = `a lifecycle rule expire noncurrent versions of ${resource}, or set probe.write to false.`;
  if (cause !== 'permission' && cause !== null) return { action: null, fix: `Let ${rule}` };
  const lacking = action ?? ACTION;
  return { action: lacking, fix: `Allow ${lacking} there, or let ${rule}` };
}
