import { pools } from './attribution.ts';
import type { Placed, Pool } from './attribution.ts';
import type { Shape } from './airflow/shape.ts';
import type { Reference } from './airflow/reference.ts';
import { isS3Path } from './airflow/xcom-path.ts';
import type { S3Reason } from './clients/s3.ts';
import type { Config } from './config.ts';
import { isFallback, isOversize } from './classify.ts';
import { brokenReason, isReference } from './ledger.ts';
import type { Entry } from './ledger.ts';
import type { ProbeResult } from './probe.ts';
import { PROBLEM_CODES } from './problems.ts';
import type { ProblemCode } from './problems.ts';
import type { Finding, Problem, ProblemState, WindowTotals } from './report.ts';

/** What the rules look at. */
export interface Observation {
  readonly config: Pick<Config, 'xcom' | 'maxDags'>;
  /** Null: the database has not been read. */
  readonly sampled: {
    readonly shape: Shape | null;
    /** Why the tables are no known shape, or null. */
    readonly unsupported: string | null;
    readonly entries: readonly Entry[];
    readonly window: WindowTotals;
    /** Objects without a row grew within the last while. */
    readonly orphansGrew: { readonly from: number; readonly to: number } | null;
    readonly coverage: number;
    readonly lagSeconds: number;
    readonly unmeasured: number;
  } | null;
  readonly inForce: (reference: Reference) => boolean;
  /** Null: no probe has ended yet. */
  readonly probe: ProbeResult | null;
}

type Verdict = Omit<Problem, 'code' | 'since'> | 'clear' | 'unknown';

const MAX_FINDINGS = 50;
/** So many rows on both sides before the threshold in force is inferred from their sizes. */
const MISMATCH_ROWS = 3;
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
  const verdicts: Record<ProblemCode, Verdict> = {
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

function say(
  evidence: string,
  entries: readonly Entry[] = [],
  where: Problem['where'] = topPlaces(entries),
): Verdict {
  const latest = [...entries].sort((a, b) => b.row.at - a.row.at).slice(0, MAX_FINDINGS);
  return { evidence, where, findings: latest.map(finding) };
}

type SettingsCode = 'threshold_disabled' | 'compression_unsupported';

function fromSettings({ config: { xcom } }: Observation): Record<SettingsCode, Verdict> {
  const compression = xcom.compression.toLowerCase();
  return {
    threshold_disabled: thresholdDisabled(xcom)
      ? say(`The threshold is ${xcom.threshold} although ${xcom.paths[0]?.raw ?? ''} is configured.`)
      : 'clear',
    compression_unsupported:
      compression === 'snappy' || compression === 'gz'
        ? say(`The compression is ${compression}, for which fsspec knows no file extension.`)
        : 'clear',
  };
}

function thresholdDisabled(xcom: Config['xcom']): boolean {
  const otherBackend = xcom.backend !== '' && !xcom.backend.includes('ObjectStor');
  return xcom.threshold < 0 && xcom.paths.length > 0 && !otherBackend;
}

type ProbeCode = 'write_denied' | 'bucket_unreachable' | 'permissions_unverifiable';

function fromProbe({ probe, config }: Observation): Record<ProbeCode, Verdict> {
  const inS3 = config.xcom.paths.some(isS3Path);
  if (probe === null || !inS3)
    return {
      write_denied: inS3 ? 'unknown' : 'clear',
      bucket_unreachable: inS3 ? 'unknown' : 'clear',
      permissions_unverifiable: inS3 ? 'unknown' : 'clear',
    };
  const bucket = config.xcom.paths.find(isS3Path)?.bucket ?? '';
  const step = (operation: string) => probe.steps.find((one) => one.operation === operation);
  const put = step('put');
  const list = step('list');
  const unreachable = probe.steps.find((one) => one.ok === false && UNREACHABLE.has(one.reason));
  const down = probe.steps.every((one) => one.ok !== true) && unreachable?.ok === false;
  const denied = (one: typeof put) =>
    one?.ok === false && (one.reason === 'denied' || one.reason === 'clock_skew');
  return {
    write_denied:
      put === undefined || put.ok === null
        ? 'unknown'
        : put.ok
          ? 'clear'
          : denied(put)
            ? say(`A test write to the bucket ${bucket} was refused: ${put.detail}; s3:PutObject is missing.`)
            : 'unknown',
    bucket_unreachable:
      down && unreachable.ok === false
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
            ? say(`Listing the bucket ${bucket} is refused: ${list.detail}; s3:ListBucket is missing.`)
            : 'unknown',
  };
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

function fromRows(observation: Observation): Record<RowsCode, Verdict> {
  const all = (verdict: 'clear' | 'unknown') =>
    Object.fromEntries(ROWS_CODES.map((code) => [code, verdict])) as Record<RowsCode, Verdict>;
  const { sampled, config, inForce } = observation;
  if (sampled === null) return all('unknown');
  if (sampled.shape === null)
    return { ...all('unknown'), schema_unsupported: say(`${sentence(sampled.unsupported ?? '')}.`) };
  const { shape, entries, window } = sampled;
  const broken = (reason: string) => entries.filter((entry) => brokenReason(entry, inForce) === reason);
  const missing = broken('missing');
  const empty = broken('empty');
  const mismatched = broken('path_mismatch');
  const leaked = broken('leaked');
  const local = entries.filter(
    ({ placement }) => placement.storage === 'other' && placement.form === 'local',
  );
  const foreign = entries.filter(
    ({ placement }) => placement.storage === 'other' && placement.form === 'third_party',
  );
  const skips = entries.filter(
    (entry) => entry.row.key === 'skipmixin_key' && isReference(entry) && shape.major === 3,
  );
  return {
    ...all('clear'),
    airflow_too_old: shape.tooOld
      ? say(`The tables have the shape of Airflow ${shape.airflow}: ${shape.name}.`)
      : 'clear',
    ...fallback(observation, entries),
    objects_missing: some(
      missing,
      window.broken.missing,
      (n) =>
        `${n} of ${counted(window.rows.s3, 'reference')} in the window point${n === 1 ? 's at an object that is' : ' at objects that are'} not there.`,
    ),
    objects_empty: some(
      empty,
      window.broken.empty,
      (n) =>
        `${n} of ${counted(window.rows.s3, 'reference')} in the window point${n === 1 ? 's at an object' : ' at objects'} of 0 bytes.`,
    ),
    path_mismatch: some(
      mismatched,
      0,
      (n) =>
        `${n} of ${counted(window.rows.s3, 'reference')} in the window lie${n === 1 ? 's' : ''} outside ${config.xcom.paths[0]?.raw ?? ''}; seen is ${prefixes(mismatched)}.`,
    ),
    path_leaked: some(
      leaked,
      0,
      (n) => `${counted(n, 'row')} in the window hold${n === 1 ? 's' : ''} the path of another row.`,
    ),
    local_path: some(
      local,
      0,
      (n) => `${counted(n, 'row')} in the window name${n === 1 ? 's' : ''} a file on the disk of a worker.`,
    ),
    skip_decision_offloaded: some(
      skips,
      0,
      (n) => `${counted(n, 'skip decision')} in the window ${n === 1 ? 'is a reference' : 'are references'}.`,
    ),
    third_party_backend: some(
      foreign,
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
  };
}

function some(entries: readonly Entry[], known: number | null, evidence: (rows: number) => string): Verdict {
  if (entries.length > 0) return say(evidence(entries.length), entries);
  return known === null ? 'unknown' : 'clear';
}

function behind({ coverage, lagSeconds, unmeasured }: NonNullable<Observation['sampled']>): Verdict {
  if (unmeasured > 0)
    return say(`${unmeasured} new values were too many or too large to be measured exactly in this cycle.`);
  if (coverage < 1 && lagSeconds > 120)
    return say(
      `${Math.round(coverage * 100)} % of the window is decided; the oldest reference waits since ${Math.round(lagSeconds)} s.`,
    );
  return 'clear';
}

type FallbackCode = 'backend_inactive' | 'worker_bypass' | 'threshold_mismatch' | 'oversize_in_db';

/** Why large values are in the database: one explanation, the most telling that holds. */
function fallback(
  { config, inForce }: Observation,
  entries: readonly Entry[],
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

/**
 * The sizes on both sides give the threshold in force: with one threshold everywhere, the largest value in the
 * database is smaller than the smallest object. Only uncompressed objects have the size that Airflow measured.
 */
function thresholdMismatch(entries: readonly Entry[], config: Observation['config']): Verdict | null {
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

function prefixes(entries: readonly Entry[]): string {
  const bases = new Set(
    entries
      .filter(isReference)
      .map(
        ({ placement: { reference: r } }) =>
          `${r.scheme}://${r.connection === '' ? '' : `${r.connection}@`}${r.bucket}/${r.prefix}`,
      ),
  );
  const [first = '', second] = bases;
  return second === undefined ? first : `${first} and ${bases.size - 1} more`;
}

function topPlaces(entries: readonly Entry[]): Problem['where'] {
  const top = (label: string, value: (entry: Entry) => string | null) => {
    const rows = new Map<string, number>();
    for (const entry of entries) {
      const name = value(entry);
      if (name !== null && name !== '') rows.set(name, (rows.get(name) ?? 0) + 1);
    }
    return [...rows]
      .map(([name, count]) => ({ label, value: name, rows: count }))
      .sort((a, b) => b.rows - a.rows)
      .slice(0, 3);
  };
  return [
    ...top('dag', ({ row }) => row.dagId),
    ...top('task', ({ row }) => row.taskId),
    ...top('queue', ({ worker }) => worker?.queue ?? null),
  ];
}

function finding({ row, worker, placement, objectBytes }: Entry): Finding {
  return {
    dagId: row.dagId,
    runId: row.runId,
    taskId: row.taskId,
    mapIndex: row.mapIndex,
    key: row.key,
    bytes: placement.storage === 's3' ? objectBytes : placement.bytes,
    queue: worker?.queue ?? null,
    executor: worker?.executor ?? null,
    hostname: worker?.hostname ?? null,
    operator: worker?.operator ?? null,
    at: row.at,
  };
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
