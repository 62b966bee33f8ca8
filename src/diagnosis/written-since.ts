import { parseXComPath } from '../airflow/xcom-path.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import type { CanaryVerdict, PoolVerdict } from '../canary/verdict.ts';
import type { ProbedPlace } from './from-probe.ts';
import { momentOf } from './problem.ts';
import type { Survey } from './survey.ts';

/**
 * What workers wrote last below the path that is probed. `isOne`: it is the only one, so that every reference as
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
  let latest: ProbedPlace['latestWritten'] = null;
  for (const pool of canary?.pools ?? []) {
    const { storedAt: at, name } = pool;
    if (at === null || (latest !== null && at <= latest.at) || !isThere(pool, path)) continue;
    latest = { at, words: `the canary of ${name} wrote there at ${momentOf(at)}` };
  }
  return latest;
}

function isThere({ settings }: PoolVerdict, { bucket, prefix, connection }: XComPath): boolean {
  if (settings === null) return false;
  try {
    const own = parseXComPath(settings.path);
    return own.bucket === bucket && own.prefix === prefix && own.connection === connection;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}
