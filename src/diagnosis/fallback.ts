import type { Config } from '../settings/config.ts';
import type { Ruling } from './problem.ts';
import { counted, say } from './problem.ts';
import type { Survey } from './survey.ts';
import type { Pool } from './worker-pools.ts';
import { pools } from './worker-pools.ts';

/** The fewest rows on both sides from whose sizes the threshold in force is inferred. */
const MISMATCH_ROWS = 3;

export type FallbackCode = 'backend_inactive' | 'worker_bypass' | 'threshold_mismatch' | 'oversize_in_db';

/**
 * Why large values are in the database: one explanation, the most telling that holds. One shard of several does not
 * know whether the dags of the others have references.
 */
export function explainFallback(
  survey: Survey,
  { xcom, shard }: Pick<Config, 'xcom' | 'shard'>,
): Record<FallbackCode, Ruling> {
  const nowhere = survey.references === 0 && survey.rows.fallback.rows > 0;
  const none = {
    backend_inactive: nowhere && shard.count > 1 ? 'unknown' : 'clear',
    worker_bypass: 'clear',
    threshold_mismatch: 'clear',
    oversize_in_db: 'clear',
  } as const;
  const { oversize, threshold } = xcom;
  const { oversize: all, fallback: large } = survey.rows;
  const mismatch = thresholdMismatch(survey, threshold);
  if (mismatch !== null && !thresholdDisabled(xcom)) return { ...none, threshold_mismatch: mismatch };
  if (all.rows === 0 || thresholdDisabled(xcom)) return none;
  const { foreign } = survey;
  const served = all.rows - large.rows - foreign;
  const others = [
    ...(served === 0 ? [] : [`${served} written by the REST API or the server`]),
    ...(foreign === 0 ? [] : [`${foreign} by tasks that are not in Python`]),
  ];
  const byDesign = others.length === 0 ? '' : ` (${others.join(' and ')})`;
  const figures = `The database holds ${counted(all.rows, 'value')} of at least ${oversize} bytes, the largest of ${survey.largestOversize}${byDesign}`;
  if (nowhere && shard.count === 1)
    return { ...none, backend_inactive: say(`${figures}, and not one reference is in the window.`, large) };
  const named = pools(survey.placed);
  if (named.length > 0) {
    const placed = survey.placed.reduce((sum, one) => sum + one.bypassed + one.offloaded, 0);
    return {
      ...none,
      worker_bypass: say(
        `${figures}; they cluster on ${named.map(poolWords).join(' and ')} (Fisher's exact test over ${placed} rows).`,
        {
          where: [
            ...named.map(({ label, value, bypassed }) => ({ label, value, rows: bypassed })),
            ...large.where.filter((place) => !named.some((pool) => pool.label === place.label)),
          ],
          findings: large.findings,
        },
      ),
    };
  }
  const inForceWords = threshold < 0 ? 'no threshold is known' : `the threshold is ${threshold}`;
  return {
    ...none,
    oversize_in_db: say(
      `${figures}; ${inForceWords}, and ${counted(survey.inForce, 'reference')} in the window ${survey.inForce === 1 ? 'is' : 'are'} as configured.`,
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
  return xcom.threshold < 0 && xcom.inForce !== null && !otherBackend;
}

/**
 * The sizes on both sides give the threshold in force: with one threshold everywhere, the largest value in the
 * database is smaller than the smallest object. Only uncompressed objects have the size that Airflow measured.
 */
function thresholdMismatch({ objects, values, rows }: Survey, threshold: number): Ruling | null {
  if (threshold < 0) return null;
  const { belowThreshold: small, aboveThreshold: large } = rows;
  const { smallest } = objects;
  const { largest } = values;
  const separable = largest < smallest && objects.count >= MISMATCH_ROWS && values.count >= MISMATCH_ROWS;
  if (separable && (small.rows >= MISMATCH_ROWS || large.rows >= MISMATCH_ROWS))
    return say(
      `The threshold is ${threshold}, but the largest value in the database has ${largest} bytes and the smallest object ${smallest}: the workers use a threshold between the two.`,
      small.rows > 0 ? small : large,
    );
  if (small.rows >= MISMATCH_ROWS)
    return say(
      `${small.rows} objects are smaller than the threshold of ${threshold} bytes, the smallest has ${smallest}: some workers use a lower one.`,
      small,
    );
  return null;
}
