import type { ObjectStore } from '../s3/client.ts';
import type { S3Reason, Said, Unknown } from '../s3/failure.ts';
import type { Greeting } from '../s3/greeting.ts';
import { NO_TLS } from '../s3/greeting.ts';
import { credentialsFix, isAboutAsking } from './credentials-fix.ts';
import type { PreflightStep } from './preflight-step.ts';
import { bad, good, idle, open } from './preflight-step.ts';
export type PreflightOperation = 'put' | 'head' | 'get' | 'list' | 'delete';

export interface PreflightTarget {
  readonly bucket: string;
  /** Where Airflow is to write, without a slash at the end; empty for the whole bucket. */
  readonly prefix: string;
  /** The region of the connection; null: none is given. */
  readonly region: string | null;
  /** False: nothing is put or deleted. */
  readonly write: boolean;
  /** Different for every call: it names the object. */
  readonly id: string;
}

type Answered =
  | { readonly kind: 'allowed'; readonly detail: string }
  | {
      readonly kind: 'refused';
      readonly reason: S3Reason;
      readonly detail: string;
      /** Null: the storage refused nothing. */
      readonly said: Said | null;
    }
  | { readonly kind: 'skipped'; readonly detail: string };

type Refused = Extract<Answered, { kind: 'refused' }>;

/** HEAD is no action of its own. Source: the S3 user guide, "Actions, resources, and condition keys". */
const ACTIONS: Readonly<Record<PreflightOperation, string>> = {
  put: 's3:PutObject',
  head: 's3:GetObject',
  get: 's3:GetObject',
  list: 's3:ListBucket',
  delete: 's3:DeleteObject',
};

const OPERATIONS: readonly PreflightOperation[] = ['put', 'head', 'get', 'list', 'delete'];

/** AWS refuses a signature that is older, or further ahead. */
const TOLERATED_SKEW_SECONDS = 900;

/**
 * Tries everything that Airflow and the exporter need of a bucket, each by itself: one that fails hides no other.
 * What cannot be put is looked for all the same, and deleted: S3 answers both for an object that is not there.
 */
export async function preflight(
  store: ObjectStore,
  target: PreflightTarget,
  { greeting, signal }: { greeting: Greeting; signal: AbortSignal },
): Promise<readonly PreflightStep[]> {
  const reached = greeting.kind === 'answered';
  const answers = reached ? await askAll(store, target, signal) : null;
  return [
    endpointStep(greeting, target),
    tlsStep(greeting),
    clockStep(greeting, answers),
    regionStep(greeting, { target, answers }),
    credentialsStep(answers),
    ...OPERATIONS.map((operation) => operationStep(operation, { target, answers })),
  ];
}

type Answers = Readonly<Record<PreflightOperation, Answered>>;

async function askAll(store: ObjectStore, target: PreflightTarget, signal: AbortSignal): Promise<Answers> {
  const { bucket, prefix, write } = target;
  const folder = `${prefix === '' ? '' : `${prefix}/`}.airflow-xcom-exporter/probe-`;
  const address = { bucket, key: `${folder}${target.id}` };
  const body = new TextEncoder().encode(`airflow-xcom-exporter probe ${target.id}\n`);
  const unwritten = { kind: 'skipped', detail: 'not tried: probe.write is false' } as const;
  const missing = (there: boolean): Answered =>
    there
      ? { kind: 'refused', reason: 'server_error', detail: 'missing right after it was put', said: null }
      : { kind: 'allowed', detail: 'allowed: the object is not there' };

  const put: Answered = write ? allowed(await store.put({ ...address, body }, signal)) : unwritten;
  const there = put.kind === 'allowed';
  const head = await store.head(address, signal);
  const got = await store.get(address, signal);
  const listed = await store.list({ bucket, prefix: folder, after: null, maxKeys: 1 }, signal);
  const removed = write ? await store.delete(address, signal) : null;
  return {
    put,
    head: head.kind === 'missing' ? missing(there) : allowed(head),
    get: got.kind === 'missing' ? missing(there) : allowed(got),
    list: allowed(listed),
    delete: removed === null ? unwritten : allowed(removed),
  };
}

function allowed(answer: Unknown | { readonly kind: 'done' | 'present' | 'got' | 'listed' }): Answered {
  if (answer.kind !== 'unknown') return { kind: 'allowed', detail: 'allowed' };
  const { reason, detail, said } = answer;
  return { kind: 'refused', reason, detail, said };
}

function endpointStep(greeting: Greeting, { bucket }: PreflightTarget): PreflightStep {
  const { url } = greeting;
  if (greeting.kind === 'answered')
    return good('endpoint', `${url} answered in ${Math.round(greeting.seconds * 1_000)} ms`);
  if (greeting.stage === 'tls') return good('endpoint', `${url} takes connections`);
  return bad('endpoint', `${url}: ${greeting.code}`, {
    fix: `Correct endpoint_url or region_name of the connection, or open the way to it: nothing answers for ${bucket}.`,
  });
}

function tlsStep(greeting: Greeting): PreflightStep {
  if (/^http:/i.test(greeting.url)) return idle('tls', 'not used: the endpoint is http');
  if (greeting.kind === 'failed') {
    if (greeting.stage !== 'tls') return open('tls', 'not tried: no connection');
    return bad('tls', greeting.code, {
      fix:
        greeting.code === NO_TLS
          ? 'The server answers in plain HTTP: write http:// in endpoint_url of the connection, or give the port that speaks TLS.'
          : 'Name the certificate authority in AWS_CA_BUNDLE (the path of a PEM file), for the workers as for the exporter, or renew the certificate.',
    });
  }
  const { protocol = 'TLS', validTo = 'unknown' } = greeting.tls ?? {};
  return good('tls', `${protocol}, the certificate is trusted and valid until ${validTo}`);
}

function clockStep(greeting: Greeting, answers: Answers | null): PreflightStep {
  if (greeting.kind === 'failed') return open('clock', 'not tried: no connection');
  const { skewSeconds } = greeting;
  const isRefused = answers !== null && refusals(answers).some(({ reason }) => reason === 'clock_skew');
  const fix = 'Set the clock of this machine by NTP: S3 refuses signatures that are 15 minutes off.';
  if (skewSeconds === null) {
    if (isRefused) return bad('clock', 'the storage refuses the time of the signature', { fix });
    return open('clock', 'the storage did not name the time');
  }
  const side = skewSeconds > 0 ? 'behind' : 'ahead of';
  const words =
    skewSeconds === 0
      ? "as the storage's"
      : `this machine is ${Math.abs(skewSeconds)} s ${side} the storage's clock`;
  return isRefused || Math.abs(skewSeconds) >= TOLERATED_SKEW_SECONDS
    ? bad('clock', words, { fix })
    : good('clock', words);
}

function regionStep(
  greeting: Greeting,
  { target, answers }: { target: PreflightTarget; answers: Answers | null },
): PreflightStep {
  if (greeting.kind === 'failed') return open('region', 'not tried: no connection');
  const found = greeting.bucketRegion;
  const given = target.region;
  if (found !== null && given !== null && found !== given)
    return bad('region', `the bucket is in ${found}, the connection says ${given}`, {
      fix: `Set region_name of the connection to ${found}.`,
    });
  const isRefused = answers !== null && refusals(answers).some(({ reason }) => reason === 'wrong_region');
  if (isRefused)
    return bad('region', `the storage refuses ${given ?? 'the region us-east-1, since none is given'}`, {
      fix: `Set region_name of the connection to ${found ?? 'the region of the bucket'}.`,
    });
  if (found !== null) return good('region', given === null ? `${found}, none is given` : found);
  // Who is refused by a policy was asked in the right region: the signature names it.
  const isTaken = answers !== null && OPERATIONS.some((name) => isKnown(answers[name]));
  return isTaken
    ? good('region', `${given ?? 'none is given'}; the storage takes it and names none itself`)
    : open('region', 'the storage does not name the region of the bucket');
}

function credentialsStep(answers: Answers | null): PreflightStep {
  if (answers === null) return open('credentials', 'not tried: no connection');
  const names = OPERATIONS.map((name) => answers[name]);
  if (names.some(({ kind }) => kind === 'allowed')) return good('credentials', 'accepted');
  const refused = refusals(answers);
  const wrong = refused.find(isAboutCredentials);
  if (wrong !== undefined)
    return bad('credentials', wrong.detail, {
      fix: credentialsFix(wrong.said),
    });
  if (refused.some(isKnown)) return good('credentials', 'accepted, and all that was asked is refused');
  return open('credentials', 'no answer tells');
}

/** Whether the storage read the signature of who asks: AccessDenied is said to nobody else. */
function isKnown(answer: Answered): boolean {
  if (answer.kind !== 'refused') return answer.kind === 'allowed';
  return answer.said?.by === 's3' && answer.said.code === 'AccessDenied';
}

/** Whether the refusal is about who asks, and not about what is asked for. */
function isAboutCredentials({ said }: Refused): boolean {
  return isAboutAsking(said) || said?.cause === 'identity';
}

function operationStep(
  operation: PreflightOperation,
  { target, answers }: { target: PreflightTarget; answers: Answers | null },
): PreflightStep {
  const answer = answers?.[operation];
  if (answers === null || answer === undefined) return open(operation, 'not tried: no connection');
  if (answer.kind === 'allowed') return good(operation, answer.detail);
  if (answer.kind === 'skipped') return idle(operation, answer.detail);
  const { reason, detail, said } = answer;
  switch (reason) {
    case 'denied':
      return denied(operation, { target, answers, answer });
    case 'no_such_bucket':
      return bad(operation, detail, {
        fix: `Create the bucket ${target.bucket}, or correct its name in xcom_objectstorage_path.`,
      });
    case 'wrong_region':
      return bad(operation, detail, { fix: 'See the region above.' });
    case 'clock_skew':
      return bad(operation, detail, { fix: 'See the clock above.' });
    case 'server_error':
      // A fault of its own passes; anything else that is no answer of S3 does not.
      if ((said?.status ?? 0) >= 500) return open(operation, detail);
      return bad(operation, detail, { fix: 'Check that the endpoint is S3 and no other service.' });
    case 'throttled':
    case 'timeout':
    case 'unreachable':
    case 'aborted':
      return open(operation, `${reason}: ${detail}`);
  }
}

function denied(
  operation: PreflightOperation,
  { target, answers, answer }: { target: PreflightTarget; answers: Answers; answer: Refused },
): PreflightStep {
  const { detail } = answer;
  if (isAboutCredentials(answer)) return bad(operation, detail, { fix: 'See the credentials above.' });
  const isRead = operation === 'head' || operation === 'get';
  // Without s3:ListBucket S3 says 403 of what is not there, to those too who may read it.
  if (isRead && answers.put.kind !== 'allowed' && answers.list.kind !== 'allowed')
    return open(
      operation,
      `${detail}: not to be told from an object that is not there without s3:ListBucket`,
    );
  const { bucket, prefix } = target;
  const arn = `arn:aws:s3:::${bucket}`;
  const resource = operation === 'list' ? arn : `${arn}/${prefix === '' ? '' : `${prefix}/`}*`;
  const iamAction = ACTIONS[operation];
  return bad(operation, `${detail}: ${iamAction} on ${resource} is missing`, {
    iamAction,
    fix:
      operation === 'put'
        ? `Allow ${iamAction} on ${resource}, and kms:GenerateDataKey if the bucket is encrypted by KMS.`
        : `Allow ${iamAction} on ${resource}.`,
  });
}

function refusals(answers: Answers): readonly Refused[] {
  return OPERATIONS.map((name) => answers[name]).filter((answer) => answer.kind === 'refused');
}
