import type { Shape } from '../airflow/shape.ts';
import type { CanaryVerdict } from '../canary/verdict.ts';
import type { ProbeResult } from '../probe/bucket.ts';
import type { S3Reason } from '../s3/failure.ts';
import type { Config } from '../settings/config.ts';
import { storageInForce } from '../settings/config.ts';
import { explainCanary } from './canary.ts';
import type { Evidence } from './evidence.ts';
import { NO_EVIDENCE } from './evidence.ts';
import { explainFallback, thresholdDisabled } from './fallback.ts';
import type { ProblemCode } from './problem-catalogue.ts';
import { PROBLEM_CODES } from './problem-catalogue.ts';
import type { Problem, ProblemState, Ruling } from './problem.ts';
import { counted, say } from './problem.ts';
import type { Survey } from './survey.ts';

/** What the rules look at. */
export interface Observation {
  readonly config: Pick<Config, 'xcom' | 'shard'>;
  /** Null: the database has not been read. */
  readonly sampled: {
    readonly shape: Shape | null;
    /** Why the tables are no known shape, or null. */
    readonly unsupported: string | null;
    readonly survey: Survey;
    /** Objects without a row grew within the last while. */
    readonly orphansGrew: { readonly from: number; readonly to: number } | null;
    readonly coverage: number;
    readonly lagSeconds: number;
    readonly unmeasured: number;
    /** Null: no canary has been seen. */
    readonly canary: CanaryVerdict | null;
  } | null;
  /** Null: no probe has ended yet. */
  readonly probe: ProbeResult | null;
}

const UNREACHABLE: ReadonlySet<S3Reason | 'content_mismatch'> = new Set([
  'unreachable',
  'timeout',
  'no_such_bucket',
  'wrong_region',
  'server_error',
]);

/** Says which problems there are. Pure: the same observation gives the same verdict. */
export function diagnose(observation: Observation): {
  readonly states: Record<ProblemCode, ProblemState>;
  readonly problems: Omit<Problem, 'since'>[];
} {
  const verdicts: Record<ProblemCode, Ruling> = {
    ...fromSettings(observation),
    ...fromProbe(observation),
    ...fromRows(observation),
  };
  const states = {} as Record<ProblemCode, ProblemState>;
  const problems: Omit<Problem, 'since'>[] = [];
  for (const code of PROBLEM_CODES) {
    const verdict = verdicts[code];
    states[code] = typeof verdict === 'string' ? verdict : 'raised';
    if (typeof verdict !== 'string') problems.push({ code, ...verdict });
  }
  return { states, problems };
}

type SettingsCode = 'threshold_disabled' | 'compression_unsupported';

function fromSettings({ config: { xcom }, sampled }: Observation): Record<SettingsCode, Ruling> {
  const compression = xcom.compression.toLowerCase();
  // Without rows it is as certain; how much it costs is not known then.
  const survey = sampled === null || sampled.shape === null ? null : sampled.survey;
  return {
    threshold_disabled: thresholdDisabled(xcom)
      ? say(
          `The threshold is ${xcom.threshold} although ${xcom.inForce?.raw ?? ''} is configured${survey === null ? '' : `; ${kept(survey, xcom.oversize)}`}.`,
          survey?.rows.oversize,
        )
      : 'clear',
    compression_unsupported:
      compression === 'snappy' || compression === 'gz'
        ? say(`The compression is ${compression}, for which fsspec knows no file extension.`)
        : 'clear',
  };
}

function kept({ window, rows }: Survey, oversize: number): string {
  return rows.oversize.rows === 0
    ? `no value in the database has ${oversize} bytes or more`
    : `the database holds ${counted(rows.oversize.rows, 'value')} of at least ${oversize} bytes, ${window.oversizeBytes} bytes together`;
}

type ProbeCode = 'write_denied' | 'bucket_unreachable' | 'permissions_unverifiable';

function fromProbe({ probe, config }: Observation): Record<ProbeCode, Ruling> {
  const bucket = storageInForce(config)?.bucket;
  if (probe === null || bucket === undefined)
    return {
      write_denied: 'unknown',
      bucket_unreachable: 'unknown',
      permissions_unverifiable: 'unknown',
    };
  const step = (operation: string) => probe.steps.find((one) => one.operation === operation);
  const put = step('put');
  const list = step('list');
  const unreachable = probe.steps
    .filter((one) => one.ok === false)
    .find(({ reason }) => UNREACHABLE.has(reason));
  const down = probe.steps.every((one) => one.ok !== true) && unreachable !== undefined;
  // Without credentials nothing was asked of the bucket, and nothing is known of it.
  const denied = (one: typeof put) =>
    one?.ok === false &&
    (one.reason === 'denied' || one.reason === 'clock_skew') &&
    !one.detail.includes('no credentials');
  return {
    write_denied:
      put === undefined || put.ok === null
        ? 'unknown'
        : put.ok
          ? 'clear'
          : denied(put)
            ? say(
                `A test write to the bucket ${bucket} was refused: ${put.detail}; ${denial(put.detail, 's3:PutObject')}.`,
              )
            : 'unknown',
    bucket_unreachable: down
      ? say(`No request to the bucket ${bucket} succeeds: ${unreachable.reason} (${unreachable.detail}).`)
      : probe.steps.some((one) => one.ok === true || denied(one))
        ? 'clear'
        : 'unknown',
    permissions_unverifiable:
      list === undefined || list.ok === null
        ? 'unknown'
        : list.ok
          ? 'clear'
          : denied(list)
            ? say(
                `Listing the bucket ${bucket} is refused: ${list.detail}; ${denial(list.detail, 's3:ListBucket')}.`,
              )
            : 'unknown',
  };
}

/** AccessDenied is an authenticated refusal; any other code is about who asks, not about what is allowed. */
function denial(detail: string, action: string): string {
  return detail.startsWith('AccessDenied') ? `${action} is missing` : 'the credentials are not accepted';
}

type RowsCode = Exclude<ProblemCode, SettingsCode | ProbeCode>;

const ROWS_CODES: readonly RowsCode[] = PROBLEM_CODES.filter(
  (code): code is RowsCode =>
    ![
      'threshold_disabled',
      'compression_unsupported',
      'write_denied',
      'bucket_unreachable',
      'permissions_unverifiable',
    ].includes(code),
);

function fromRows(observation: Observation): Record<RowsCode, Ruling> {
  const all = (verdict: 'clear' | 'unknown') =>
    Object.fromEntries(ROWS_CODES.map((code) => [code, verdict])) as Record<RowsCode, Ruling>;
  const { sampled, config } = observation;
  if (sampled === null) return all('unknown');
  if (sampled.shape === null)
    return { ...all('unknown'), schema_unsupported: say(`${sentence(sampled.unsupported ?? '')}.`) };
  const { shape, survey } = sampled;
  const { window, rows } = survey;
  const skips = shape.major === 3 ? rows.skips : NO_EVIDENCE;
  return {
    ...all('clear'),
    airflow_too_old: shape.tooOld
      ? say(`The tables have the shape of Airflow ${shape.airflow}: ${shape.name}.`)
      : 'clear',
    ...explainFallback(survey, config),
    objects_missing: some(
      rows.missing,
      window.broken.missing,
      (n) =>
        `${n} of ${counted(window.rows.s3, 'reference')} in the window point${n === 1 ? 's at an object that is' : ' at objects that are'} not there.`,
    ),
    objects_empty: some(
      rows.empty,
      window.broken.empty,
      (n) =>
        `${n} of ${counted(window.rows.s3, 'reference')} in the window point${n === 1 ? 's at an object' : ' at objects'} of 0 bytes.`,
    ),
    path_mismatch: some(
      rows.path_mismatch,
      0,
      (n) =>
        `${n} of ${counted(window.rows.s3, 'reference')} in the window lie${n === 1 ? 's' : ''} outside ${config.xcom.inForce?.raw ?? ''}; seen is ${prefixes(survey.mismatchedPrefixes)}.`,
    ),
    path_leaked: some(
      rows.leaked,
      0,
      (n) => `${counted(n, 'row')} in the window hold${n === 1 ? 's' : ''} the path of another row.`,
    ),
    local_path: some(
      rows.local,
      0,
      (n) => `${counted(n, 'row')} in the window name${n === 1 ? 's' : ''} a file on the disk of a worker.`,
    ),
    skip_decision_offloaded: some(
      skips,
      0,
      (n) => `${counted(n, 'skip decision')} in the window ${n === 1 ? 'is a reference' : 'are references'}.`,
    ),
    third_party_backend: some(
      rows.third_party,
      0,
      (n) =>
        `${counted(n, 'row')} in the window hold${n === 1 ? 's a reference' : ' references'} of another backend.`,
    ),
    orphans_growing:
      window.orphanObjects === null
        ? 'unknown'
        : sampled.orphansGrew === null
          ? 'clear'
          : say(
              `Objects that no row refers to grew from ${sampled.orphansGrew.from} to ${sampled.orphansGrew.to} under the runs of the window.`,
            ),
    exporter_behind: behind(sampled),
    ...explainCanary(sampled.canary),
  };
}

function some(seen: Evidence, known: number | null, evidence: (rows: number) => string): Ruling {
  if (seen.rows > 0) return say(evidence(seen.rows), seen);
  return known === null ? 'unknown' : 'clear';
}

function behind({ coverage, lagSeconds, unmeasured }: NonNullable<Observation['sampled']>): Ruling {
  if (unmeasured > 0)
    return say(`${unmeasured} new values were too many or too large to be measured exactly in this cycle.`);
  if (coverage < 1 && lagSeconds > 120)
    return say(
      `${Math.round(coverage * 100)} % of the window is decided; the oldest reference waits since ${Math.round(lagSeconds)} s.`,
    );
  return 'clear';
}

function prefixes(all: readonly string[]): string {
  const [first = '', second] = all;
  return second === undefined ? first : `${first} and ${all.length - 1} more`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
