import { isRegionName } from '../airflow/region-name.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { Greeting } from '../s3/greeting.ts';
import { NO_TLS, OTHER_NAME } from '../s3/greeting.ts';
import { credentialsFix } from './credentials-fix.ts';
import { commonCauseOf, foreignWords, isAboutCredentials, NOT_S3, notSent } from './common-cause.ts';
import { operationStep, workerSteps } from './preflight-access.ts';
import type { AccessTarget, Answered, Answers } from './preflight-answers.ts';
import { askAll, OPERATIONS, refusals } from './preflight-answers.ts';
import type { PreflightStep } from './preflight-step.ts';
import { bad, good, idle, open } from './preflight-step.ts';

export interface PreflightTarget extends AccessTarget {
  /** The region of the connection; null when none is configured. */
  readonly region: string | null;
  /** Whether the host is one of AWS's own, which nobody writes down. */
  readonly isAtAws: boolean;
}

/** AWS refuses a signature whose time is further off than this. */
const TOLERATED_SKEW_SECONDS = 900;

/**
 * Tries everything that Airflow and the exporter need from a bucket, each by itself: a failure hides no other. An
 * object that cannot be put is still looked for and deleted, because S3 answers both for a missing object.
 */
export async function preflight(
  store: ObjectStore,
  target: PreflightTarget,
  { greeting, signal }: { greeting: Greeting; signal: AbortSignal },
): Promise<readonly PreflightStep[]> {
  // Without an address the requests say why, and none of them is sent.
  const answers = greeting.kind !== 'failed' ? await askAll(store, target, signal) : null;
  return [
    endpointStep(greeting, { target, answers }),
    tlsStep(greeting),
    clockStep(greeting, answers),
    regionStep(greeting, { target, answers }),
    credentialsStep(answers),
    ...workerSteps(answers, target),
    ...OPERATIONS.map((operation) => operationStep(operation, { target, answers })),
  ];
}

function endpointStep(
  greeting: Greeting,
  { target: { bucket, isAtAws }, answers }: { target: PreflightTarget; answers: Answers | null },
): PreflightStep {
  const unsent = answers === null ? null : notSent(answers);
  if (unsent !== null)
    return bad('endpoint', unsent, {
      fix: 'Correct the bucket in xcom_objectstorage_path, or take what the message names out of config_kwargs of the connection, the variables and the AWS files.',
    });
  if (greeting.kind === 'unsent') return idle('endpoint', 'not tried: see the region');
  const { url } = greeting;
  if (answers !== null && commonCauseOf(answers) === 'endpoint')
    return bad('endpoint', `${url}: no S3 answers there (${foreignWords(answers)})`, { fix: NOT_S3 });
  // Every client appends the bucket, so an endpoint that ends with the bucket names it twice.
  if (answers?.list.kind === 'refused' && new URL(url).pathname.endsWith(`/${bucket}/${bucket}`))
    return bad('endpoint', `${url} names the bucket twice`, {
      fix: `Take /${bucket} off the end of endpoint_url of the connection.`,
    });
  if (greeting.kind === 'answered')
    return good('endpoint', `${url} answered in ${Math.round(greeting.seconds * 1_000)} ms`);
  if (greeting.stage === 'tls') return good('endpoint', `${url} takes connections`);
  if (greeting.stage === 'timeout')
    return open('endpoint', `${url}: ${greeting.code}, and a worker waits longer`);
  if (greeting.stage === 'proxy')
    return bad('endpoint', `${url}: ${greeting.code}`, {
      fix: 'Correct HTTPS_PROXY, HTTP_PROXY or NO_PROXY, for the workers as for the exporter, or let the proxy through to the endpoint.',
    });
  if (isAtAws)
    return bad('endpoint', `${url}: ${greeting.code}`, {
      fix: 'Correct region_name of the connection if the host has the wrong region, or open the way to AWS: DNS, a firewall, a proxy or an endpoint of the VPC.',
    });
  if (new URL(url).hostname.startsWith(`${bucket}.`))
    return bad('endpoint', `${url}: ${greeting.code}`, {
      fix: 'The name of the bucket is part of the host: take addressing_style out of config_kwargs of the connection, or give the DNS such names.',
    });
  return bad('endpoint', `${url}: ${greeting.code}`, {
    fix: `Correct endpoint_url or region_name of the connection, or open the way to it: nothing answers for ${bucket}.`,
  });
}

const UNSENT = 'not tried: nothing is sent';

function tlsStep(greeting: Greeting): PreflightStep {
  if (greeting.kind === 'unsent') return idle('tls', UNSENT);
  if (/^http:/i.test(greeting.url)) return idle('tls', 'not used: the endpoint is http');
  if (greeting.kind === 'failed') {
    if (greeting.stage !== 'tls') return open('tls', 'not tried: no connection');
    return bad('tls', greeting.code, { fix: tlsFix(greeting.code) });
  }
  const { protocol = 'TLS', validTo = null } = greeting.tls ?? {};
  const until = validTo === null ? '' : ` and valid until ${validTo}`;
  return good('tls', `${protocol}, the certificate is trusted${until}`);
}

function tlsFix(code: string): string {
  if (code === NO_TLS)
    return 'The server answers in plain HTTP: write http:// in endpoint_url of the connection, or give the port that speaks TLS.';
  if (code.startsWith(OTHER_NAME))
    return 'Write a name of the certificate in endpoint_url of the connection, or renew the certificate with the name that is asked.';
  return 'Name the certificate authority in AWS_CA_BUNDLE (the path of a PEM file), for the workers as for the exporter, or renew the certificate.';
}

function clockStep(greeting: Greeting, answers: Answers | null): PreflightStep {
  if (greeting.kind === 'failed') return open('clock', 'not tried: no connection');
  if (greeting.kind === 'unsent') return idle('clock', UNSENT);
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
  if (answers !== null && commonCauseOf(answers) === 'endpoint')
    return idle('region', 'not told: see the endpoint');
  const found = greeting.kind === 'answered' ? greeting.bucketRegion : null;
  const given = target.region;
  if (given !== null && !isRegionName(given))
    return bad(
      'region',
      `${given} is no name of a region, and botocore refuses it: every push of Airflow fails`,
      {
        fix: `Set region_name of the connection, or AWS_DEFAULT_REGION, to ${found ?? 'the region of the bucket'}: no quote, space or comment may stand beside it.`,
      },
    );
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
  // A refusal by a policy shows that the region is right, because the signature names the region.
  const isTaken = answers !== null && OPERATIONS.some((name) => isKnown(answers[name]));
  return isTaken
    ? good('region', `${given ?? 'none is given'}; the storage takes it and names none itself`)
    : open('region', 'the storage does not name the region of the bucket');
}

function credentialsStep(answers: Answers | null): PreflightStep {
  if (answers === null) return open('credentials', 'not tried: no connection');
  if (commonCauseOf(answers) === 'endpoint') return idle('credentials', 'not told: see the endpoint');
  const names = OPERATIONS.map((name) => answers[name]);
  if (names.some(({ kind }) => kind === 'allowed')) return good('credentials', 'accepted');
  const refused = refusals(answers);
  const wrong = refused.find(isAboutCredentials);
  if (wrong !== undefined)
    return bad('credentials', wrong.detail, {
      fix: credentialsFix(wrong),
    });
  if (refused.some(isKnown))
    return good(
      'credentials',
      'accepted, and all that was asked is refused: by policies, or since the requester has to pay',
    );
  return open('credentials', 'no answer tells');
}

/** Whether the storage accepted the caller's signature: only then does it answer AccessDenied. */
function isKnown(answer: Answered): boolean {
  if (answer.kind !== 'refused') return answer.kind === 'allowed';
  return answer.said?.by === 's3' && answer.said.code === 'AccessDenied';
}
