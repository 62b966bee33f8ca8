import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkCommand } from '../../../src/commands/check.ts';
import type { Exchange, HttpFaultProxy, ProxiedRequest } from '../../../src/demo/fault-proxy.ts';
import { sayError, startHttpFaultProxy } from '../../../src/demo/fault-proxy.ts';
import { fromProbe } from '../../../src/diagnosis/from-probe.ts';
import { isRaised } from '../../../src/diagnosis/problem.ts';
import { probe } from '../../../src/probe/bucket.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { callCommand } from '../../support/call-command.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer of something else than S3, or an answer that S3 gives in place of the server's. */
interface Plain {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The server's own answer, with these headers. */
interface With {
  readonly headers: Readonly<Record<string, string>>;
}

/** Gives the answer to a request; null: the server's own answer. */
type Rule = (
  request: ProxiedRequest & {
    readonly key: string;
    readonly prefix: string;
    /** Whether the object is there. */
    readonly isThere: boolean;
  },
) => Refusal | Plain | With | null;

const accessDenied = (message = 'Access Denied'): Refusal => ({ status: 403, code: 'AccessDenied', message });

/** A refusal in the words of the IAM user guide, "Troubleshoot access denied error messages". */
const notAuthorized = (action: string, why: string): Refusal =>
  accessDenied(
    `User: arn:aws:sts::123456789012:assumed-role/airflow/worker is not authorized to perform: ${action} on resource: "arn:aws:s3:::xcom" ${why}`,
  );
const inBucketPolicy = 'with an explicit deny in a resource-based policy';
const ACTIONS: Readonly<Record<string, string>> = {
  put: 's3:PutObject',
  head: 's3:GetObject',
  get: 's3:GetObject',
  list: 's3:ListBucket',
  delete: 's3:DeleteObject',
};
const actionOf = ({ kind, key }: Pick<ProxiedRequest, 'kind'> & { readonly key: string }): string => {
  if (key !== '' || kind === 'list') return ACTIONS[kind] ?? '';
  return kind === 'head' ? 's3:ListBucket' : 's3:GetBucketLocation';
};
const everything = (refusal: (action: string) => Refusal): Rule => {
  return (request) => refusal(actionOf(request));
};
const only = (
  kinds: readonly ProxiedRequest['kind'][],
  refusal: Refusal | ((action: string) => Refusal),
): Rule => {
  return (request) => {
    if (!kinds.includes(request.kind) || (request.key === '' && request.kind !== 'list')) return null;
    return typeof refusal === 'function' ? refusal(actionOf(request)) : refusal;
  };
};

/**
 * A bucket with versions, in front of a server that keeps none. `erased`: the answer when a version is deleted; null:
 * it is done.
 */
function versioned(erased: Refusal | null): Rule {
  return ({ kind, key, path }) => {
    if (key === '') return null;
    if (kind === 'put') return { headers: { 'x-amz-version-id': 'v1' } };
    if (kind !== 'delete') return null;
    if (path.includes('versionId')) return erased;
    return { headers: { 'x-amz-version-id': 'v2', 'x-amz-delete-marker': 'true' } };
  };
}

function page(headers: Readonly<Record<string, string>>): Rule {
  return ({ kind }) => ({
    status: 200,
    headers: { 'content-type': 'text/html', server: 'nginx/1.25', ...headers },
    body: kind === 'head' ? '' : '<html><body>Please log in</body></html>',
  });
}

/**
 * Answers that AWS documents for configurations that teams use, in front of a server that otherwise works. Sources:
 * the S3 user guide (bucket policy examples, Requester Pays, SSE-KMS, Object Lock, VPC endpoints, request routing,
 * Optimizing performance, Directory buckets) and the S3 API reference, "Error responses".
 */
const CORNERS: Readonly<Record<string, Rule>> = {
  'a policy that allows LIST below the prefix alone': ({ kind, key, prefix, isThere }) => {
    if (kind === 'list') return prefix.startsWith('xcom/') ? null : accessDenied();
    // Requests for the bucket itself: GetBucketLocation is not allowed, and the others need s3:ListBucket without a
    // prefix.
    if (key === '') return accessDenied();
    return (kind === 'head' || kind === 'get') && !isThere ? accessDenied() : null;
  },
  'a policy that allows reads alone': only(['put', 'delete'], (action) =>
    notAuthorized(action, `because no identity-based policy allows the ${action} action`),
  ),
  'a bucket policy that wants TLS': everything((action) => notAuthorized(action, inBucketPolicy)),
  'a bucket policy that wants a header of encryption': only(
    ['put'],
    notAuthorized('s3:PutObject', inBucketPolicy),
  ),
  'a VPC endpoint policy that does not name the bucket': everything((action) =>
    notAuthorized(action, `because no VPC endpoint policy allows the ${action} action`),
  ),
  'a service control policy that denies writes': only(['put', 'delete'], (action) =>
    notAuthorized(action, 'with an explicit deny in a service control policy'),
  ),
  'requester pays': everything(() => accessDenied()),
  'a key of KMS that may not encrypt': only(
    ['put'],
    notAuthorized(
      'kms:GenerateDataKey',
      'because no identity-based policy allows the kms:GenerateDataKey action',
    ),
  ),
  'a key of KMS that may not decrypt': only(
    ['get'],
    notAuthorized('kms:Decrypt', 'because no resource-based policy allows the kms:Decrypt action'),
  ),
  'a key of KMS that may not decrypt, to a HEAD as well': only(
    ['get', 'head'],
    notAuthorized('kms:Decrypt', 'because no resource-based policy allows the kms:Decrypt action'),
  ),
  'a key of KMS that is disabled': only(['put', 'get'], {
    status: 400,
    code: 'KMS.DisabledException',
    message: 'arn:aws:kms:us-east-1:123456789012:key/1 is disabled.',
  }),
  // A deletion leaves a marker, and the version stays: the S3 user guide, "Object Lock considerations".
  'Object Lock': versioned(accessDenied('Access Denied because object protected by object lock.')),
  'a bucket that keeps versions': versioned(null),
  'versions that may not be deleted': versioned(accessDenied()),
  'a bucket whose versioning is suspended': ({ kind, key, path }) =>
    kind === 'delete' && key !== '' && !path.includes('versionId')
      ? { headers: { 'x-amz-version-id': 'null', 'x-amz-delete-marker': 'true' } }
      : null,
  'a page in answer to everything': page({}),
  'a page with an ETag in answer to everything': page({ etag: '"0"' }),
  'an empty success in answer to everything': () => ({ status: 204, headers: {}, body: '' }),
  'a refusal without a body': () => ({ status: 403, headers: { server: 'awselb/2.0' }, body: '' }),
  'a question for a password without a body': () => ({
    status: 401,
    headers: { server: 'nginx/1.25' },
    body: '',
  }),
  'a way to a page of login': () => ({ status: 302, headers: { location: '/login' }, body: '' }),
  'a proxy that reaches nobody for the moment': () => ({
    status: 502,
    headers: { server: 'nginx', 'content-type': 'text/html' },
    body: '<html><h1>502 Bad Gateway</h1></html>',
  }),
  'a mesh without a healthy server': ({ kind }) => ({
    status: 503,
    headers: { server: 'istio-envoy', 'content-type': 'text/plain' },
    body: kind === 'head' ? '' : 'no healthy upstream',
  }),
  'a mesh that reaches nobody for a PUT': ({ kind }) =>
    kind === 'put'
      ? {
          status: 502,
          headers: { server: 'istio-envoy', 'content-type': 'text/plain' },
          body: 'upstream connect error',
        }
      : null,
  'a proxy that reaches nobody for a PUT': ({ kind }) =>
    kind === 'put'
      ? {
          status: 502,
          headers: { server: 'nginx', 'content-type': 'text/html' },
          body: '<html><h1>502 Bad Gateway</h1></html>',
        }
      : null,
  'a bucket in another region, behind a proxy that takes headers off': ({ kind }) => ({
    status: 301,
    headers: { server: 'nginx', 'content-type': 'application/xml' },
    body: kind === 'head' ? '' : '<Error><Code>PermanentRedirect</Code><Message>Elsewhere.</Message></Error>',
  }),
  'a refusal of PUT without a body': ({ kind }) =>
    kind === 'put' ? { status: 403, headers: {}, body: '' } : null,
  'a HEAD that finds whatever it is asked for': ({ kind, key }) =>
    kind === 'head' && key !== ''
      ? { status: 200, headers: { etag: '"0"', 'content-length': '65' }, body: '' }
      : null,
  'a HEAD that is refused where GET is not': only(['head'], accessDenied()),
  'a quota': only(['put'], { status: 403, code: 'QuotaExceeded', message: 'Quota exceeded' }),
  'a bucket in another region': ({ kind }) => ({
    status: kind === 'head' ? 400 : 301,
    code: 'PermanentRedirect',
    message: 'The bucket you are attempting to access must be addressed using the specified endpoint.',
    headers: { 'x-amz-bucket-region': 'eu-south-2' },
  }),
  'a bucket that was made a moment ago in another region': ({ path }) => ({
    status: 307,
    code: 'TemporaryRedirect',
    message: 'Please re-send this request to the specified temporary endpoint.',
    headers: { location: `http://127.0.0.1:9${path}`, 'x-amz-bucket-region': 'eu-south-2' },
  }),
  'writes below the prefix that are throttled': only(['put'], {
    status: 503,
    code: 'SlowDown',
    message: 'Please reduce your request rate.',
  }),
  'an account that is suspended': everything(() => ({
    status: 403,
    code: 'AllAccessDisabled',
    message: 'All access to this object has been disabled',
  })),
  'a session that has ended': everything(() => ({
    status: 400,
    code: 'ExpiredToken',
    message: 'The provided token has expired.',
  })),
  'a LIST that takes whole folders alone, as a directory bucket': ({ kind, prefix }) =>
    kind === 'list' && prefix !== '' && !prefix.endsWith('/')
      ? { status: 400, code: 'InvalidRequest', message: 'The prefix must end in a delimiter.' }
      : null,
};

const server = useS3('xcom');
const never = new AbortController().signal;
let door: HttpFaultProxy;

beforeAll(async () => {
  door = await startHttpFaultProxy({ upstream: server() });
});
afterAll(() => door.stop());

/**
 * Compares what `check --probe-only` prints, and what the daemon's probe raises, with a file. A person agreed with
 * each line.
 */
test.each(Object.entries(CORNERS))('%s', async (name, rule) => {
  let refusal: ReturnType<Rule> = null;
  const there = new Set<string>();
  door.setFault({
    match: (request) => {
      const url = new URL(request.path, door.url);
      const key = url.pathname.split('/').slice(2).join('/');
      const prefix = url.searchParams.get('prefix') ?? '';
      refusal = rule({ ...request, key, prefix, isThere: there.has(key) });
      const isPassed = refusal === null || !('status' in refusal);
      if (isPassed && request.kind === 'put') there.add(key);
      if (isPassed && request.kind === 'delete') there.delete(key);
      return refusal !== null;
    },
    answer: (exchange) => {
      if (refusal !== null) give(exchange, refusal);
    },
  });
  const { region, accessKeyId, secretAccessKey } = server();
  const { code, stdout, stderr } = await callCommand(checkCommand, {
    argv: ['--probe-only'],
    env: {
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@xcom/xcom',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1000',
      AIRFLOW_CONN_AWS_XCOM: `aws://${accessKeyId}:${secretAccessKey}@/?endpoint_url=${encodeURIComponent(door.url)}&region_name=${region}`,
    },
  });
  const printed = `${stdout}${stderr}`
    .replaceAll(door.url, 'http://127.0.0.1:PORT')
    .replace(/answered in \d+ ms/, 'answered in N ms');
  await expect(`${printed}\nexit code ${code}\n\n${await raisedByProbe()}\n`).toMatchFileSnapshot(
    `../../golden/corners/${name.replaceAll(/[^A-Za-z]+/g, '-')}.txt`,
  );
  // No account, role or key from the answer appears in the output.
  expect(printed).not.toMatch(/123456789012|arn:aws:(?!s3:)/);
});

function give(exchange: Exchange, answer: Refusal | Plain | With): void {
  const { request, response, forward } = exchange;
  if ('code' in answer) {
    sayError(exchange, { headers: {}, ...answer });
  } else if ('status' in answer) {
    request.resume().once('end', () => {
      response.writeHead(answer.status, answer.headers).end(answer.body);
    });
  } else {
    for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value);
    forward();
  }
}

async function raisedByProbe(): Promise<string> {
  const options = { observer: recordRequests(), log: pino({ level: 'silent' }), requestTimeoutMs: 5_000 };
  const store = openObjectStore(connectionTo(door.url, server()), options);
  const target = { bucket: 'xcom', prefix: 'xcom', write: true, now: Date.now(), id: 'daemon' };
  const tried = await probe(store, target, never);
  const rulings = Object.entries(
    fromProbe(
      { ...tried, asker: 'workers', othersWriteFrom: null, othersReachFrom: null, writesFailSince: null },
      { bucket: 'xcom', latestWritten: null },
    ),
  );
  store.close();
  const raised = rulings.flatMap(([problem, ruling]) =>
    isRaised(ruling) ? [`${problem}: ${ruling.evidence}`] : [],
  );
  return raised.length === 0 ? 'No problem raised.' : raised.join('\n');
}
