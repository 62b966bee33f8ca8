import type { ProbeResult } from '../probe/bucket.ts';
import { isAboutAsking } from '../probe/credentials-fix.ts';
import type { Config } from '../settings/config.ts';
import { storageInForce } from '../settings/config.ts';
import type { ProblemCode } from './problem-catalogue.ts';
import type { Ruling } from './problem.ts';
import { isRaised, takenBack } from './problem.ts';

interface Seen {
  readonly config: Pick<Config, 'xcom'>;
  readonly probe: ProbeResult | null;
  /** The places of the references that are not below the path. */
  readonly elsewhere: readonly { readonly bucket: string; readonly connection: string }[];
}

/**
 * A slip in the path alone leads to a bucket that does not exist, or to a connection that nobody knows. It also leaves
 * every reference outside the path. That is one problem, and the failure is its evidence.
 */
export function ofOneCause(
  { path_mismatch: mismatch, bucket_unreachable: unreachable, not_watching: blind }: SlipRulings,
  { config, probe, elsewhere }: Seen,
): Partial<Record<ProblemCode, Ruling>> {
  const path = storageInForce(config);
  if (path === null || config.xcom.paths?.length !== 1 || !isRaised(mismatch)) return {};
  const failed = probe?.steps.find((step) => step.ok === false);
  if (failed === undefined) return {};
  const { bucket, connection } = path;
  const folded = (words: string): Ruling => ({ ...mismatch, evidence: `${mismatch.evidence} ${words}` });
  if (
    isRaised(unreachable) &&
    failed.reason === 'no_such_bucket' &&
    elsewhere.every((one) => one.bucket !== bucket)
  )
    return {
      path_mismatch: folded(`There is no bucket ${bucket} (${failed.detail}).`),
      bucket_unreachable: takenBack(
        `there is no bucket ${bucket}, and no reference lies in it: see path_mismatch`,
      ),
    };
  if (
    isRaised(blind) &&
    connection !== null &&
    isAboutAsking(failed.said) &&
    elsewhere.every((one) => one.connection !== connection)
  )
    return {
      path_mismatch: folded(`The exporter has no credentials for the connection ${connection} either.`),
      not_watching: takenBack(`no reference names the connection ${connection}: see path_mismatch`),
    };
  return {};
}

type SlipRulings = Readonly<Record<'path_mismatch' | 'bucket_unreachable' | 'not_watching', Ruling>>;
