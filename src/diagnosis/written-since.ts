import type { Reference } from '../airflow/reference.ts';
import { inForceRule, parseXComPath } from '../airflow/xcom-path.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import type { CanaryVerdict } from '../canary/verdict.ts';
import type { ProbedPlace } from './from-probe.ts';
import { momentOf } from './problem.ts';
import type { Survey } from './survey.ts';

/**
 * The latest write of workers below the path that is probed. `isOne`: it is the only path, so every reference as
 * configured lies there. Airflow writes a reference after its object, and the canary looks where its own value went.
 */
export function latestWritten(
  { survey, canary }: { readonly survey: Pick<Survey, 'times'>; readonly canary: CanaryVerdict | null },
  { path, isOne }: { readonly path: XComPath; readonly isOne: boolean },
): ProbedPlace['latestWritten'] {
  const at = isOne ? survey.times.latestWritten : null;
  const reference =
    at === null
      ? null
      : {
          at,
          words: `a reference was written at ${momentOf(at)}, which Airflow does after its object`,
        };
  const push = latestPush(canary, path);
  return reference === null || (push !== null && push.at > reference.at) ? push : reference;
}

function latestPush(canary: CanaryVerdict | null, path: XComPath): ProbedPlace['latestWritten'] {
  const isThere = inForceRule([path]);
  let latest: ProbedPlace['latestWritten'] = null;
  for (const pool of canary?.pools ?? []) {
    const { heardAt, payload, name, settings } = pool;
    const at = payload === 'stored' ? heardAt : null;
    const base = settings === null ? null : baseOf(settings.path);
    if (at === null || base === null || (latest !== null && at <= latest.at) || !isThere(base)) continue;
    latest = { at, words: `the canary of ${name} wrote there at ${momentOf(at)}` };
  }
  return latest;
}

/** The base of the references below this path; null: Airflow refuses the path. */
function baseOf(path: string): Omit<Reference, 'key'> | null {
  try {
    const { scheme, connection, bucket, prefix } = parseXComPath(path);
    return { scheme, connection: connection ?? '', bucket, prefix, suffix: '' };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return null;
  }
}
