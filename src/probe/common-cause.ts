import { NO_ANSWER_OF_S3 } from '../s3/failure.ts';
import { isAboutAsking, isRejected } from './credentials-fix.ts';
import type { Answered, Answers, Refused } from './preflight-answers.ts';
import { OPERATIONS, refusals } from './preflight-answers.ts';
import { isOfTheBucket } from './refusal-words.ts';

/** The one thing that all refusals are about, instead of single requests; null: each refusal speaks for itself. */
export type CommonCause = 'endpoint' | 'credentials' | 'clock' | 'region' | 'bucket';

export function commonCauseOf(answers: Answers): CommonCause | null {
  if (isNoS3(answers) || notSent(answers) !== null) return 'endpoint';
  // A refused HEAD has no body, so it does not say why.
  const refused = refusals(answers).filter(({ said }) => said?.by !== 's3' || said.code !== null);
  const isAllowed = OPERATIONS.some((name) => answers[name].kind === 'allowed');
  if (isAllowed || refused.length === 0) return null;
  if (refused.every(isAboutCredentials)) return 'credentials';
  if (refused.every(({ reason }) => reason === 'clock_skew')) return 'clock';
  if (refused.every(({ reason }) => reason === 'wrong_region')) return 'region';
  if (refused.every(({ reason }) => reason === 'no_such_bucket')) return 'bucket';
  return refused.every(({ said }) => isOfTheBucket(said) && said?.cause === refused[0]?.said?.cause)
    ? 'bucket'
    : null;
}

/** Why the SDK made no request of anything that was asked; null: it made one. */
export function notSent(answers: Answers): string | null {
  const all = OPERATIONS.map((name) => answers[name]).filter(({ kind }) => kind !== 'skipped');
  const refused = refusals(answers).filter(({ said }) => said?.by === 'sdk');
  return refused.length === all.length ? (refused[0]?.detail ?? null) : null;
}

/** The answers to these show who speaks: any server can answer 204 to a DELETE or 200 to a HEAD. */
const TELLING = ['put', 'get', 'list'] as const;

/** Whether no answer was one that only S3 gives, and some answer was one that S3 never gives. */
function isNoS3(answers: Answers): boolean {
  const isSpoken =
    answers.get.kind === 'allowed' ||
    answers.list.kind === 'allowed' ||
    refusals(answers).some(({ said }) => said?.by === 's3' && said.code !== null);
  return !isSpoken && TELLING.some((name) => isForeign(answers[name]));
}

/** A page of HTML, a success without the fields of S3's answers, or a refusal without a code. */
function isForeign(answer: Answered): boolean {
  if (answer.kind !== 'refused') return false;
  const { reason, said, detail } = answer;
  if (detail === NO_ANSWER_OF_S3) return true;
  // A proxy that cannot reach its backend for the moment answers with a page, and S3 may be behind it.
  if (said === null || said.status === null || said.status >= 500 || isAboutAsking(said)) return false;
  // A gateway limits the rate of requests to S3 as well.
  if (reason === 'throttled') return false;
  return said.by === 'proxy' || (said.by === 's3' && said.code === null);
}

/** The answer that shows that the server is not S3. */
export function foreignWords(answers: Answers): string {
  const shown = TELLING.find((name) => isForeign(answers[name]));
  const answer = shown === undefined ? undefined : answers[shown];
  return answer?.kind === 'refused' ? `${shown ?? ''} ${answer.detail}` : '';
}

/** The remedy for a page of HTML, or an answer without a code. */
export const NOT_S3 =
  'Check that the endpoint is S3 and no other service: MinIO, for one, takes S3 at port 9000 and shows its console at 9001. Let a proxy on the way pass the requests on.';

/** Whether the refusal is about the caller's identity and not about the request. */
export function isAboutCredentials({ said }: Refused): boolean {
  return isAboutAsking(said) || isRejected(said);
}
