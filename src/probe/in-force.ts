import { randomUUID } from 'node:crypto';
import { withinGrace } from '../lib/grace.ts';
import type { Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import { storageInForce } from '../settings/config.ts';
import type { ProbeResult, ProbeStep, Tried } from './bucket.ts';
import { LOST, probe } from './bucket.ts';
import type { Litter } from './own-versions.ts';
import { noteVersions } from './own-versions.ts';
import { outOfReach } from './reach.ts';
import type { Listing } from './server-ways.ts';
import { seeListing } from './server-ways.ts';
import { missingBucket } from './worker-way.ts';
import type { WriteRefusals } from './write-refusal.ts';

export interface ProbeInForceOptions {
  readonly stores: Pick<Stores, 'of' | 'connectionOf'>;
  /** The history of earlier probes. */
  readonly refusals: WriteRefusals;
  /** Names the test object. */
  readonly id: string;
  /**
   * Whether versions of the test object are deleted for good in a bucket that keeps them; false: this was refused
   * lately.
   */
  readonly mayErase: boolean;
  readonly signal: AbortSignal;
}

/** Results beside the operations. */
interface Aside {
  /** Null: no deletion of versions was tried. */
  readonly litter: Litter | null;
  /**
   * Whether an object is not found when it is written under the key of a deleted one: some servers keep too much of the
   * deleted object.
   */
  readonly isKeySpent: boolean;
  readonly clockSkewSeconds: number | null;
}

/** Probes the place where Airflow should write now; null when no path in S3 is configured. */
export async function probeInForce(
  config: Config,
  { stores, refusals, id, mayErase, signal }: ProbeInForceOptions,
): Promise<(ProbeResult & Aside) | null> {
  const path = storageInForce(config);
  if (path === null) return null;
  const { bucket, prefix } = path;
  const { write } = config.probe;
  const connection = path.connection ?? '';
  const store = stores.of(connection);
  const own = noteVersions(store);
  const now = Date.now();
  const target = { bucket, prefix, now, id };
  const start = performance.now();
  // Checked each time, because some servers create a bucket that somebody has deleted.
  const missing = write ? await missingBucket(store, bucket, signal) : null;
  const looked = { bucket: missing, seconds: (performance.now() - start) / 1_000 };
  const writable = { ...target, write: write && missing === null };
  const first = await probe(own.store, writable, signal);
  // Airflow writes new keys, so the loss counts only if an object under a new key is lost too.
  const second = isLost(first) ? await probe(own.store, { ...writable, id: freshId(id) }, signal) : null;
  const isKeySpent = second !== null && !isLost(second);
  const result = isKeySpent ? second : first;
  const steps = result.steps.map((step) => (step.operation === 'put' ? putStep(step, looked) : step));
  return {
    ...result,
    steps,
    asker: connection === '' ? 'exporter' : stores.connectionOf(connection).asker,
    ...refusals.note(
      {
        put: steps.find(({ operation }) => operation === 'put'),
        isOutOfReach: outOfReach(steps) !== null,
      },
      now,
    ),
    litter: mayErase ? await withinGrace(signal, own.erase) : null,
    isKeySpent,
    clockSkewSeconds: store.clockSkewSeconds(),
  };
}

/** Another name for a test object of this exporter. */
export function freshId(id: string): string {
  return `${id}-${randomUUID().slice(0, 8)}`;
}

function isLost({ steps }: Tried): boolean {
  const lost = steps.filter(
    (step) => step.ok === false && step.reason === 'content_mismatch' && step.detail === LOST,
  );
  return ['head', 'get'].every((name) => lost.some(({ operation }) => operation === name));
}

/** A write to a missing bucket is not tried, because it is known to fail. */
function putStep(
  tried: ProbeStep,
  { bucket, seconds }: { readonly bucket: Unknown | null; readonly seconds: number },
): ProbeStep {
  if (bucket === null) return tried;
  const { reason, detail, said } = bucket;
  return { operation: 'put', ok: false, seconds, reason, detail, said };
}

/**
 * Checks how the server lists the place where Airflow should write now. Null when no path in S3 is configured, or no
 * answer shows it.
 */
export async function seeListingInForce(
  config: Config,
  { stores, id, mayErase, signal }: Omit<ProbeInForceOptions, 'refusals'>,
): Promise<Listing | null> {
  const path = storageInForce(config);
  if (path === null) return null;
  const { bucket, prefix } = path;
  const own = noteVersions(stores.of(path.connection ?? ''));
  const listing = await seeListing(own.store, { bucket, prefix, id }, signal);
  if (mayErase) await withinGrace(signal, own.erase);
  return listing;
}
