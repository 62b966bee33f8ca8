import type { Said } from '../s3/failure.ts';
import { isConflictOfTheMoment } from '../s3/refusal.ts';
import { commonCauseOf, isAboutCredentials, NOT_S3 } from './common-cause.ts';
import type { AccessTarget, Answers, PreflightOperation, Refused } from './preflight-answers.ts';
import { OPERATIONS } from './preflight-answers.ts';
import type { PreflightStep } from './preflight-step.ts';
import { bad, good, idle, open } from './preflight-step.ts';
import {
  HEAD_ALONE,
  isOfTheBucket,
  missingAction,
  putAlone,
  refusalFix,
  refusalWords,
} from './refusal-words.ts';
import { FALSELY_THERE } from './worker-way.ts';

/** The S3 user guide, "Bucket naming rules". */
const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/** The words for a refusal of credentials that the workers may not have: it says nothing about a push. */
const OWN = 'not told of a worker, which may have other credentials';

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
  if (look.detail === FALSELY_THERE)
    return bad('look', `${FALSELY_THERE}: Airflow up to 3.3 looks for a free key and finds none`, {
      fix: NOT_S3,
    });
  if (look.reason !== 'denied') return open('look', `${look.reason}: ${look.detail}`);
  if (!asWorker) return idle('look', `${look.detail}: ${OWN}`);
  // One cause is reported only once.
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
  if (reason === 'no_such_bucket' && !BUCKET_NAME.test(bucket) && !bucket.startsWith('arn:'))
    return bad('bucket', `${detail}: no new bucket can have this name`, {
      fix: 'Correct the bucket in xcom_objectstorage_path: 3 to 63 small letters, digits, dots and hyphens.',
    });
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

export function operationStep(
  operation: PreflightOperation,
  { target, answers }: { target: AccessTarget; answers: Answers | null },
): PreflightStep {
  const answer = answers?.[operation];
  if (answers === null || answer === undefined) return open(operation, 'not tried: no connection');
  if (answer.kind === 'skipped') return idle(operation, answer.detail);
  const cause = commonCauseOf(answers);
  if (cause !== null) return idle(operation, `not told: see the ${cause}`);
  if (operation === 'head' && answers.way.look?.detail === FALSELY_THERE)
    return idle(operation, 'not told: see look');
  if (answer.kind === 'allowed') return good(operation, answer.detail);
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
      // A fault of S3's own passes, and so does a conflict; any other failure does not.
      if ((said?.status ?? 0) >= 500 || (said?.by === 's3' && isConflictOfTheMoment(said)))
        return open(operation, detail);
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
  const alone = putAlone(answer.said, operation, resourceOf(operation, target));
  // When the DELETE is refused too, both permissions are probably missing.
  const others = answer.said?.cause === 'permission' ? (['delete'] as const) : OPERATIONS;
  if (alone !== null && others.some((name) => answers[name].kind === 'allowed'))
    return bad(operation, `${detail}: ${alone.words}`, { fix: alone.fix });
  if (isAboutCredentials(answer)) return bad(operation, detail, { fix: 'See the credentials above.' });
  if (answer.said?.by === 'proxy')
    return bad(operation, `${detail}: a proxy answers in place of S3`, { fix: NOT_S3 });
  if (operation === 'head' && answers.get.kind === 'allowed' && answers.put.kind === 'allowed')
    return bad(operation, `${detail}: ${HEAD_ALONE}`, {
      fix: 'Let HEAD through: a proxy or a firewall on the way may pass GET alone. Airflow sends a HEAD before each read.',
    });
  const isRead = operation === 'head' || operation === 'get';
  // Without s3:ListBucket, S3 answers 403 for a missing object, even to a caller who may read it.
  if (isRead && answers.put.kind !== 'allowed' && answers.list.kind !== 'allowed')
    return open(
      operation,
      `${detail}: not to be told from an object that is not there without s3:ListBucket`,
    );
  const why = operation === 'head' && answer.said?.code === null ? reasonOfGet(answers) : null;
  return refused(operation, { target, answer: why === null ? answer : { ...answer, said: why } });
}

/** Why a GET of the same object is refused, unless a permission is missing. A HEAD cannot say why. */
function reasonOfGet({ get }: Answers): Said | null {
  if (get.kind !== 'refused' || get.said?.by !== 's3') return null;
  return get.said.cause === null || get.said.cause === 'permission' ? null : get.said;
}

function refused(
  operation: PreflightOperation,
  { target, answer }: { target: AccessTarget; answer: Refused },
): PreflightStep {
  const resource = resourceOf(operation, target);
  return bad(operation, `${answer.detail}: ${refusalWords(answer, operation, resource)}`, {
    iamAction: missingAction(answer.said, operation),
    fix: refusalFix(answer.said, operation, resource),
  });
}

function resourceOf(operation: PreflightOperation, { bucket, prefix }: AccessTarget): string {
  const arn = `arn:aws:s3:::${bucket}`;
  return operation === 'list' ? arn : `${arn}/${prefix === '' ? '' : `${prefix}/`}*`;
}
