import { NO_ANSWER_OF_S3 } from '../s3/calls.ts';
import { isAboutAsking, isRejected } from './credentials-fix.ts';
import type { Answered, Answers, Refused } from './preflight-answers.ts';
import { OPERATIONS, refusals } from './preflight-answers.ts';
import { isOfTheBucket } from './refusal-words.ts';

/** What the answers are about, when it is one thing, and not the single requests; null: each speaks for itself. */
export type CommonCause = 'endpoint' | 'credentials' | 'clock' | 'region' | 'bucket';

export function commonCauseOf(answers: Answers): CommonCause | null {
  if (isNoS3(answers)) return 'endpoint';
  // A HEAD that is refused has no body, hence no word on why.
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

/** Their answers show who speaks: anybody can answer 204 to a DELETE or 200 to a HEAD. */
const TELLING = ['put', 'get', 'list'] as const;

/** Nothing was answered that only S3 says, and something that S3 never does. */
function isNoS3(answers: Answers): boolean {
  const isSpoken =
    answers.get.kind === 'allowed' ||
    answers.list.kind === 'allowed' ||
    refusals(answers).some(({ said }) => said?.by === 's3' && said.code !== null);
  return !isSpoken && TELLING.some((name) => isForeign(answers[name]));
}

/** A page of HTML, a success without what S3 says of it, or a refusal without its code. */
function isForeign(answer: Answered): boolean {
  if (answer.kind !== 'refused') return false;
  const { said, detail } = answer;
  if (detail === NO_ANSWER_OF_S3) return true;
  // A proxy that reaches nobody for the moment says so with a page, and S3 may be behind it.
  if (said === null || said.status === null || said.status >= 500) return false;
  return said.by === 'proxy' || (said.by === 's3' && said.code === null);
}

/** The answer that shows that it is no S3 who answers. */
export function foreignWords(answers: Answers): string {
  const shown = TELLING.find((name) => isForeign(answers[name]));
  const answer = shown === undefined ? undefined : answers[shown];
  return answer?.kind === 'refused' ? `${shown ?? ''} ${answer.detail}` : '';
}

/** A page of HTML, or an answer without a code. */
export const NOT_S3 =
  'Check that the endpoint is S3 and no other service: MinIO, for one, takes S3 at port 9000 and shows its console at 9001. Let a proxy on the way pass the requests on.';

/** Whether the refusal is about who asks, and not about what is asked for. */
export function isAboutCredentials({ said }: Refused): boolean {
  return isAboutAsking(said) || isRejected(said);
}
