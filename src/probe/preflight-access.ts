import type { ObjectStore } from '../s3/client.ts';
import type { S3Reason, Said, Unknown } from '../s3/failure.ts';
import { isAboutAsking, isRejected } from './credentials-fix.ts';
import type { PreflightStep } from './preflight-step.ts';
import { bad, good, idle, open } from './preflight-step.ts';
import { isOfTheBucket, missingAction, refusalFix, refusalWords } from './refusal-words.ts';
import type { WorkerWay } from './worker-way.ts';
import { goWorkerWay } from './worker-way.ts';

export type PreflightOperation = 'put' | 'head' | 'get' | 'list' | 'delete';

export const OPERATIONS: readonly PreflightOperation[] = ['put', 'head', 'get', 'list', 'delete'];

export interface AccessTarget {
  readonly bucket: string;
  /** Where Airflow is to write, without a slash at the end; empty for the whole bucket. */
  readonly prefix: string;
  /** False: nothing is put or deleted. */
  readonly write: boolean;
  /** Different for every call: it names the object. */
  readonly id: string;
  /** Whether the worker asks with the same credentials: those of the connection. Else they are the exporter's own. */
  readonly asWorker: boolean;
}

export type Answered =
  | { readonly kind: 'allowed'; readonly detail: string }
  | {
      readonly kind: 'refused';
      readonly reason: S3Reason;
      readonly detail: string;
      /** Null: the storage refused nothing. */
      readonly said: Said | null;
    }
  | { readonly kind: 'skipped'; readonly detail: string };

export type Refused = Extract<Answered, { kind: 'refused' }>;

export interface Answers extends Readonly<Record<PreflightOperation, Answered>> {
  readonly way: WorkerWay;
}

/** Asks what a push asks for, in its order, and then the rest: one that fails hides no other. */
export async function askAll(
  store: ObjectStore,
  target: AccessTarget,
  signal: AbortSignal,
): Promise<Answers> {
  const { bucket, prefix, write } = target;
  const folder = `${prefix === '' ? '' : `${prefix}/`}.airflow-xcom-exporter/`;
  const address = { bucket, key: `${folder}probe-${target.id}` };
  const body = new TextEncoder().encode(`airflow-xcom-exporter probe ${target.id}\n`);
  const unwritten = { kind: 'skipped', detail: 'not tried: probe.write is false' } as const;
  const missing = (there: boolean): Answered =>
    there
      ? { kind: 'refused', reason: 'server_error', detail: 'missing right after it was put', said: null }
      : { kind: 'allowed', detail: 'allowed: the object is not there' };

  const way = await goWorkerWay(store, address, signal);
  // Some servers make a bucket for a PUT to none.
  if (way.bucket.kind === 'unseen' && way.bucket.failure.reason === 'no_such_bucket') {
    const none = allowed(way.bucket.failure);
    return { way, put: none, head: none, get: none, list: none, delete: none };
  }
  const put: Answered = write ? allowed(await store.put({ ...address, body }, signal)) : unwritten;
  const there = put.kind === 'allowed';
  const head = await store.head(address, signal);
  const got = await store.get(address, signal);
  const listed = await store.list({ bucket, prefix: folder, after: null, maxKeys: 1 }, signal);
  const removed = write ? await store.delete(address, signal) : null;
  return {
    way,
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

/** What the answers are about, when it is one thing, and not the single requests; null: each speaks for itself. */
export type CommonCause = 'endpoint' | 'credentials' | 'clock' | 'region' | 'bucket';

export function commonCauseOf(answers: Answers): CommonCause | null {
  // A HEAD that is refused has no body, hence no word on why.
  const refused = refusals(answers).filter(({ said }) => said?.by !== 's3' || said.code !== null);
  const isAllowed = OPERATIONS.some((name) => answers[name].kind === 'allowed');
  if (isAllowed || refused.length === 0) return null;
  if (refused.every(({ said }) => said?.by === 'proxy')) return 'endpoint';
  if (refused.every(isAboutCredentials)) return 'credentials';
  if (refused.every(({ reason }) => reason === 'clock_skew')) return 'clock';
  if (refused.every(({ reason }) => reason === 'wrong_region')) return 'region';
  if (refused.every(({ reason }) => reason === 'no_such_bucket')) return 'bucket';
  return refused.every(({ said }) => isOfTheBucket(said) && said?.cause === refused[0]?.said?.cause)
    ? 'bucket'
    : null;
}

/** A page of HTML, or an answer without a code. */
export const NOT_S3 =
  'Check that the endpoint is S3 and no other service, and let a proxy on the way pass the requests on.';

/** Then it says nothing of a push. */
const OWN = 'not told of a worker, for these are credentials of the exporter';

/** The two requests of a push before its PUT. */
export function workerSteps(answers: Answers | null, target: AccessTarget): readonly PreflightStep[] {
  if (answers === null)
    return (['look', 'bucket'] as const).map((check) => open(check, 'not tried: no connection'));
  const cause = commonCauseOf(answers);
  const see = cause === null ? null : `not told: see the ${cause}`;
  const bucket =
    cause === null || cause === 'bucket' ? bucketStep(answers, target) : idle('bucket', see ?? '');
  return [see === null ? lookStep(answers, target) : idle('look', see), bucket];
}

function lookStep({ way: { look }, list, head }: Answers, { bucket, asWorker }: AccessTarget): PreflightStep {
  if (look === null) return good('look', 'allowed: a new key is seen to be free');
  if (look.reason !== 'denied') return open('look', `${look.reason}: ${look.detail}`);
  if (!asWorker) return idle('look', `${look.detail}: ${OWN}`);
  // One cause is said once.
  const see = [list, head].findIndex(({ kind }) => kind === 'refused');
  if (see !== -1) return idle('look', `not told: see ${['list', 'head'][see] ?? ''}`);
  return bad(
    'look',
    `${look.detail}: Airflow up to 3.3 looks for the new key before each push, which fails`,
    {
      iamAction: 's3:ListBucket',
      fix: `Allow s3:ListBucket on arn:aws:s3:::${bucket} without a condition on s3:prefix.`,
    },
  );
}

function bucketStep({ way: { bucket: seen } }: Answers, { bucket, asWorker }: AccessTarget): PreflightStep {
  if (seen.kind === 'untried') return open('bucket', 'not tried: the look before it failed');
  if (seen.kind === 'seen') return good('bucket', `allowed: seen by ${seen.by}`);
  const { reason, detail, said } = seen.failure;
  if (reason === 'no_such_bucket')
    return bad(
      'bucket',
      `${detail}: s3fs sends CreateBucket next, so a worker that may makes it and writes there`,
      {
        fix: `Create the bucket ${bucket}, or correct its name in xcom_objectstorage_path, and deny s3:CreateBucket to the workers.`,
      },
    );
  const arn = `arn:aws:s3:::${bucket}`;
  if (isOfTheBucket(said))
    return bad('bucket', `${detail}: ${refusalWords({ reason, said }, 'list', arn)}`, {
      fix: refusalFix(said, 'list', arn),
    });
  if (reason !== 'denied') return open('bucket', `${reason}: ${detail}`);
  if (!asWorker) return idle('bucket', `${detail}: ${OWN}`);
  return bad('bucket', `${detail}: s3fs sends CreateBucket next in place of the PUT, and every push fails`, {
    iamAction: 's3:ListBucket',
    fix: `Allow s3:ListBucket, without a condition on s3:prefix, or s3:GetBucketLocation on arn:aws:s3:::${bucket} for the workers.`,
  });
}

/** Whether the refusal is about who asks, and not about what is asked for. */
export function isAboutCredentials({ said }: Refused): boolean {
  return isAboutAsking(said) || isRejected(said);
}

export function operationStep(
  operation: PreflightOperation,
  { target, answers }: { target: AccessTarget; answers: Answers | null },
): PreflightStep {
  const answer = answers?.[operation];
  if (answers === null || answer === undefined) return open(operation, 'not tried: no connection');
  if (answer.kind === 'allowed') return good(operation, answer.detail);
  if (answer.kind === 'skipped') return idle(operation, answer.detail);
  const cause = commonCauseOf(answers);
  if (cause !== null) return idle(operation, `not told: see the ${cause}`);
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
      if (said?.by === 's3' && said.cause !== null) return refused(operation, { target, answer });
      // A fault of its own passes; anything else does not.
      if ((said?.status ?? 0) >= 500) return open(operation, detail);
      return bad(operation, detail, {
        fix:
          said?.by === 's3' && said.code !== null
            ? 'Look the code up in the manual of the storage: it does not take the request, which is that of a worker.'
            : NOT_S3,
      });
    case 'throttled':
    case 'timeout':
    case 'unreachable':
    case 'aborted':
      return open(operation, `${reason}: ${detail}`);
  }
}

function denied(
  operation: PreflightOperation,
  { target, answers, answer }: { target: AccessTarget; answers: Answers; answer: Refused },
): PreflightStep {
  const { detail } = answer;
  if (isAboutCredentials(answer)) return bad(operation, detail, { fix: 'See the credentials above.' });
  if (answer.said?.by === 'proxy')
    return bad(operation, `${detail}: a proxy answers in place of S3`, { fix: NOT_S3 });
  const isRead = operation === 'head' || operation === 'get';
  // Without s3:ListBucket S3 says 403 of what is not there, to those too who may read it.
  if (isRead && answers.put.kind !== 'allowed' && answers.list.kind !== 'allowed')
    return open(
      operation,
      `${detail}: not to be told from an object that is not there without s3:ListBucket`,
    );
  return refused(operation, { target, answer });
}

function refused(
  operation: PreflightOperation,
  { target: { bucket, prefix }, answer }: { target: AccessTarget; answer: Refused },
): PreflightStep {
  const arn = `arn:aws:s3:::${bucket}`;
  const resource = operation === 'list' ? arn : `${arn}/${prefix === '' ? '' : `${prefix}/`}*`;
  return bad(operation, `${answer.detail}: ${refusalWords(answer, operation, resource)}`, {
    iamAction: missingAction(answer.said, operation),
    fix: refusalFix(answer.said, operation, resource),
  });
}

export function refusals(answers: Answers): readonly Refused[] {
  return OPERATIONS.map((name) => answers[name]).filter((answer) => answer.kind === 'refused');
}
