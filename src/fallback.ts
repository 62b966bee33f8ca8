import { pools } from './attribution.ts';
import type { Placed, Pool } from './attribution.ts';
import { isFallback, isOversize } from './classify.ts';
import type { Config } from './config.ts';
import { counted, say, topPlaces } from './evidence.ts';
import type { Verdict } from './evidence.ts';
import { isReference } from './ledger.ts';
import type { Entry } from './ledger.ts';
import type { Reference } from './airflow/reference.ts';

/** So many rows on both sides before the threshold in force is inferred from their sizes. */
const MISMATCH_ROWS = 3;

export type FallbackCode = 'backend_inactive' | 'worker_bypass' | 'threshold_mismatch' | 'oversize_in_db';

/** Why large values are in the database: one explanation, the most telling that holds. */
export function explainFallback(
  entries: readonly Entry[],
  { config, inForce }: { config: { xcom: Config['xcom'] }; inForce: (reference: Reference) => boolean },
): Record<FallbackCode, Verdict> {
  const none = {
    backend_inactive: 'clear',
    worker_bypass: 'clear',
    threshold_mismatch: 'clear',
    oversize_in_db: 'clear',
  } as const;
  const { oversize, threshold } = config.xcom;
  const all = entries.filter(({ placement }) => isOversize(placement, oversize));
  const large = all.filter(({ placement }) => isFallback(placement, oversize));
  const references = entries.filter(isReference).filter(({ placement }) => inForce(placement.reference));
  const anyReference = entries.some(isReference);
  const mismatch = thresholdMismatch(entries, config);
  if (mismatch !== null && !thresholdDisabled(config.xcom)) return { ...none, threshold_mismatch: mismatch };
  if (all.length === 0 || thresholdDisabled(config.xcom)) return none;
  const largest = all.reduce(
    (most, { placement }) => (placement.storage === 'db' ? Math.max(most, placement.bytes) : most),
    0,
  );
  const served = all.length - large.length;
  const byServer = served === 0 ? '' : ` (${served} written by the REST API or the server)`;
  const figures = `The database holds ${counted(all.length, 'value')} of at least ${oversize} bytes, the largest of ${largest}${byServer}`;
  if (!anyReference && large.length > 0)
    return { ...none, backend_inactive: say(`${figures}, and not one reference is in the window.`, large) };
  const placed: Placed[] = [
    ...large.map((entry) => ({ entry, bypassed: true })),
    ...references.map((entry) => ({ entry, bypassed: false })),
  ].flatMap(({ entry: { worker }, bypassed }) => (worker === null ? [] : [{ worker, bypassed }]));
  const named = pools(placed);
  if (named.length > 0)
    return {
      ...none,
      worker_bypass: say(
        `${figures}; they cluster on ${named.map(poolWords).join(' and ')} (Fisher's exact test over ${placed.length} rows).`,
        large,
        [
          ...named.map(({ label, value, bypassed }) => ({ label, value, rows: bypassed })),
          ...topPlaces(large).filter((place) => !named.some((pool) => pool.label === place.label)),
        ],
      ),
    };
  const inForceWords = threshold < 0 ? 'no threshold is known' : `the threshold is ${threshold}`;
  return {
    ...none,
    oversize_in_db: say(
      `${figures}; ${inForceWords}, and ${counted(references.length, 'reference')} in the window ${references.length === 1 ? 'is' : 'are'} as configured.`,
      all,
    ),
  };
}

function poolWords({ label, value, bypassed, offloaded }: Pool): string {
  return `${label} ${JSON.stringify(value)} (${bypassed} of ${bypassed + offloaded} there)`;
}

/** Everything stays in the database because Airflow is told so. */
export function thresholdDisabled(xcom: Config['xcom']): boolean {
  const otherBackend = xcom.backend !== '' && !xcom.backend.includes('ObjectStor');
  return xcom.threshold < 0 && xcom.paths.length > 0 && !otherBackend;
}

/**
 * The sizes on both sides give the threshold in force: with one threshold everywhere, the largest value in the
 * database is smaller than the smallest object. Only uncompressed objects have the size that Airflow measured.
 */
function thresholdMismatch(entries: readonly Entry[], config: { xcom: Config['xcom'] }): Verdict | null {
  const { threshold } = config.xcom;
  if (threshold < 0) return null;
  const objects = entries.filter(
    (entry) => isReference(entry) && entry.placement.reference.suffix === '' && entry.object === 'present',
  );
  const inDatabase = entries.filter(
    ({ placement }) => placement.storage === 'db' && placement.byDesign === null && placement.exact,
  );
  const small = objects.filter(({ objectBytes }) => objectBytes !== null && objectBytes < threshold);
  const large = inDatabase.filter(({ placement }) => isOversize(placement, threshold));
  const smallest = objects.reduce(
    (least, { objectBytes }) => Math.min(least, objectBytes ?? least),
    Infinity,
  );
  const largest = inDatabase.reduce(
    (most, { placement }) => (placement.storage === 'db' ? Math.max(most, placement.leastBytes) : most),
    0,
  );
  const separable =
    largest < smallest && objects.length >= MISMATCH_ROWS && inDatabase.length >= MISMATCH_ROWS;
  if (separable && (small.length >= MISMATCH_ROWS || large.length >= MISMATCH_ROWS))
    return say(
      `The threshold is ${threshold}, but the largest value in the database has ${largest} bytes and the smallest object ${smallest}: the workers use a threshold between the two.`,
      small.length > 0 ? small : large,
    );
  if (small.length >= MISMATCH_ROWS)
    return say(
      `${small.length} objects are smaller than the threshold of ${threshold} bytes, the smallest has ${smallest}: some workers use a lower one.`,
      small,
    );
  return null;
}
