import { isRaised } from '../../../src/diagnosis/problem.ts';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromProbe } from '../../../src/diagnosis/from-probe.ts';
import { PROBLEMS } from '../../../src/diagnosis/problem-catalogue.ts';
import type { ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import { probe } from '../../../src/probe/bucket.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { Asker } from '../../../src/s3/connection.ts';
import type { Party } from '../../../src/s3/failure.ts';
import type { HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

type Kind = 'put' | 'head' | 'get' | 'list' | 'delete';

interface Row {
  readonly status: number;
  readonly code: string;
  readonly message?: string;
  readonly html?: boolean;
  readonly operations: readonly Kind[];
  readonly by: Party;
  /** Whose credentials were refused: the workers', unless said. */
  readonly asker?: Asker;
  readonly says: Readonly<Partial<Record<ProblemCode, RegExp>>>;
  /** The reason for not raising a problem, if the answer tells that reason. */
  readonly leavesOpen?: Readonly<Partial<Record<ProblemCode, RegExp>>>;
  /** Words that the remedy must contain. */
  readonly remedy: RegExp;
}

const ALL: readonly Kind[] = ['put', 'head', 'get', 'list', 'delete'];
const NOT_AUTHORISED = (action: string, why: string) =>
  `User: arn:aws:iam::123456789012:user/airflow is not authorized to perform: ${action} on resource: "arn:aws:s3:::xcom/k" ${why}`;

/**
 * One answer of S3 to each operation, in the words that AWS, Ceph, MinIO and proxies document, in front of a server
 * that works. Sources: the S3 API reference, "Error responses"; the IAM user guide, "Troubleshoot access denied error
 * messages"; the S3 user guide on Object Lock and on SSE-KMS; RFC 9110.
 */
const TABLE: readonly Row[] = [
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['put'], by: 's3' },
    says: {
      write_denied:
        /AccessDenied \(403\); s3:PutObject is missing, or the storage does not take the checksum of a PUT \(AWS_REQUEST_CHECKSUM_CALCULATION=when_required leaves it out; botocore before 1.36 sends none\)\.$/,
    },
    remedy: /allow them s3:PutObject/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['put'], by: 's3' },
    message: NOT_AUTHORISED('s3:PutObject', 'with an explicit deny in a resource-based policy'),
    says: { write_denied: /a resource-based policy denies s3:PutObject explicitly/ },
    remedy: /s3:PutObject/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['put'], by: 's3' },
    message: NOT_AUTHORISED('kms:GenerateDataKey', 'because no identity-based policy allows it'),
    says: { write_denied: /kms:GenerateDataKey on the key of the bucket is missing/ },
    remedy: /kms:GenerateDataKey/,
  },
  {
    ...{ status: 400, code: 'KMS.DisabledException', operations: ['put'], by: 's3' },
    says: { write_denied: /the key of KMS that encrypts the bucket cannot be used/ },
    remedy: /a key of KMS that can be used/,
  },
  {
    ...{ status: 403, code: 'InvalidAccessKeyId', operations: ALL, by: 's3' },
    says: {
      write_denied: /InvalidAccessKeyId \(403\); the credentials are not accepted/,
    },
    remedy: /renew or correct them/,
  },
  // The same key signed the other requests: the storage expects another form of PUT than botocore's.
  {
    ...{ status: 403, code: 'SignatureDoesNotMatch', operations: ['put'], by: 's3' },
    says: {
      write_denied:
        /SignatureDoesNotMatch \(403\); other requests with the same credentials are accepted: the storage does not take the checksum of a PUT \(AWS_REQUEST_CHECKSUM_CALCULATION=when_required leaves it out; botocore before 1.36 sends none\), or a proxy changes the request\.$/,
    },
    remedy: /./,
  },
  {
    ...{ status: 403, code: 'SignatureDoesNotMatch', operations: ALL, by: 's3' },
    says: { write_denied: /SignatureDoesNotMatch \(403\); the credentials are not accepted\.$/ },
    remedy: /renew or correct them/,
  },
  // AWS and Cloudflare say so of a key id that is no key id, e.g. of an id and a secret in each other's place.
  ...(
    [
      [
        'AuthorizationHeaderMalformed',
        'The authorization header is malformed; the Credential is mal-formed; expecting "&lt;YOUR-AKID&gt;/YYYYMMDD/REGION/SERVICE/aws4_request".',
      ],
      ['InvalidArgument', 'Credential access key has length 64, should be 32'],
    ] as const
  ).map(([code, message]): Row => ({
    ...{ status: 400, code, message, operations: ALL, by: 's3' },
    says: { write_denied: /\(400\); the credentials are not accepted\.$/ },
    remedy: /renew or correct them/,
  })),
  // Botocore goes on to another region only if the answer has an element or a header for the region.
  {
    ...{ status: 400, code: 'AuthorizationHeaderMalformed', operations: ALL, by: 's3' },
    message: "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
    says: { bucket_unreachable: /AuthorizationHeaderMalformed \(400\): S3 asks for the region eu-west-1/ },
    remedy: /./,
  },
  // A word in a name is no reason.
  ...(
    [
      ['assumed-role/bookworm-WORM/s', 'xcom'],
      ['user/airflow', 'objectlock-team'],
    ] as const
  ).map(([who, bucket]): Row => ({
    ...{ status: 403, code: 'AccessDenied', operations: ['put'], by: 's3', asker: 'exporter' },
    message: `User: arn:aws:sts::123456789012:${who} is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::${bucket}/k" because no identity-based policy allows the s3:PutObject action`,
    says: {},
    leavesOpen: { write_denied: /s3:PutObject is missing\), which says nothing of the workers/ },
    remedy: /./,
  })),
  // If everything is refused, that is one problem, whatever the refusal is called.
  {
    ...{ status: 403, code: 'AccessDenied', operations: ALL, by: 's3' },
    says: { write_denied: /AccessDenied \(403\); s3:PutObject is missing, and s3:ListBucket is missing\.$/ },
    remedy: /what else the evidence names/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ALL, by: 's3' },
    message: NOT_AUTHORISED('s3:PutObject', 'with an explicit deny in a resource-based policy'),
    says: { write_denied: /a resource-based policy denies s3:PutObject explicitly\.$/ },
    remedy: /Remove a policy that denies it/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ALL, by: 's3', asker: 'exporter' },
    says: { permissions_unverifiable: /s3:ListBucket is missing/ },
    leavesOpen: { write_denied: /which says nothing of the workers/ },
    remedy: /s3:ListBucket/,
  },
  ...([405, 501] as const).map((status): Row => ({
    ...{ status, code: 'NotImplemented', operations: ALL, by: 's3' },
    says: { bucket_unreachable: /NotImplemented/ },
    remedy: /endpoint_url/,
  })),
  // A login page: a redirect of S3 carries a code or headers of its own.
  ...([302, 303, 307] as const).map((status): Row => ({
    ...{ status, code: '', operations: ALL, by: 'proxy' },
    says: { bucket_unreachable: /a proxy or a web console answers in place of S3.*the workers is not known/ },
    remedy: /the proxy has to let S3 through/,
  })),
  {
    ...{ status: 302, code: '', operations: ['put'], by: 'proxy' },
    says: { writes_failing: /a proxy in between answers in place of S3/ },
    remedy: /open the proxy/,
  },
  {
    ...{ status: 403, code: 'QuotaExceeded', operations: ['put'], by: 's3' },
    says: { writes_failing: /there is no room, or a quota is reached/ },
    remedy: /raise the quota/,
  },
  {
    ...{ status: 507, code: 'XMinioStorageFull', operations: ['put'], by: 's3' },
    says: { writes_failing: /there is no room/ },
    remedy: /make room/,
  },
  {
    ...{ status: 507, code: 'InsufficientStorage', operations: ['put'], by: 's3' },
    says: { writes_failing: /there is no room/ },
    remedy: /make room/,
  },
  // Backblaze has no code of its own for an exceeded storage cap.
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['put'], by: 's3' },
    message: 'Cannot upload files, storage cap exceeded. See the Caps & Alerts page to increase your cap.',
    says: { writes_failing: /there is no room, or a quota is reached/ },
    remedy: /raise the quota/,
  },
  {
    ...{ status: 405, code: 'MethodNotAllowed', operations: ['put'], by: 's3' },
    says: { writes_failing: /the storage does not take such a request/ },
    remedy: /plain PUT/,
  },
  {
    ...{ status: 411, code: 'MissingContentLength', operations: ['put'], by: 's3' },
    says: { writes_failing: /the storage does not take such a request/ },
    remedy: /plain PUT/,
  },
  {
    ...{ status: 501, code: 'NotImplemented', operations: ['put'], by: 's3' },
    says: { writes_failing: /the storage does not take such a request/ },
    remedy: /plain PUT/,
  },
  {
    ...{ status: 400, code: 'InvalidRequest', operations: ['put'], by: 's3' },
    message:
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
    says: { writes_failing: /Object Lock asks for a checksum/ },
    remedy: /what the answer asks for/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['put'], by: 's3' },
    message: 'Access Denied because object protected by object lock.',
    says: { write_denied: /AccessDenied \(403\); Object Lock forbids it/ },
    remedy: /./,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['get'], by: 's3' },
    message: NOT_AUTHORISED('kms:Decrypt', 'because no identity-based policy allows it'),
    says: { reads_denied: /get, AccessDenied \(403\); kms:Decrypt on the key of the bucket is missing/ },
    remedy: /kms:Decrypt/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['get'], by: 's3' },
    says: { reads_denied: /s3:GetObject is missing/ },
    remedy: /s3:GetObject/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['delete'], by: 's3' },
    says: { deletes_denied: /s3:DeleteObject is missing/ },
    remedy: /s3:DeleteObject/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['delete'], by: 's3' },
    message: 'Access Denied because object protected by object lock.',
    says: { deletes_denied: /Object Lock holds the object/ },
    remedy: /s3:DeleteObject/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['list'], by: 's3' },
    says: { permissions_unverifiable: /s3:ListBucket is missing/ },
    remedy: /s3:ListBucket/,
  },
  {
    ...{ status: 403, code: '', html: true, operations: ['put'], by: 'proxy' },
    says: { writes_failing: /a proxy in between answers in place of S3/ },
    remedy: /open the proxy/,
  },
  {
    ...{ status: 407, code: '', html: true, operations: ALL, by: 'proxy' },
    says: { bucket_unreachable: /a proxy or a web console answers in place of S3.*the workers is not known/ },
    remedy: /the proxy has to let S3 through/,
  },
  {
    ...{ status: 404, code: '', html: true, operations: ALL, by: 'proxy' },
    says: { bucket_unreachable: /a proxy or a web console answers in place of S3/ },
    remedy: /endpoint_url has to name the port of S3 itself/,
  },
  {
    ...{ status: 500, code: 'InternalError', operations: ALL, by: 's3' },
    says: { bucket_unreachable: /the storage itself fails \(InternalError \(500\)\)/ },
    remedy: /why in its own log/,
  },
  {
    ...{ status: 404, code: 'NoSuchBucket', operations: ALL, by: 's3' },
    says: { bucket_unreachable: /NoSuchBucket \(404\)/ },
    remedy: /Check that the bucket exists/,
  },
  // A refusal of the exporter's own credentials says nothing of the workers.
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['put'], by: 's3', asker: 'exporter' },
    says: {},
    leavesOpen: {
      write_denied:
        /^the exporter's own credentials were refused a test put \(AccessDenied \(403\); s3:PutObject is missing, or the storage does not take the checksum of a PUT .*\), which says nothing of the workers \(if they are to read alone, set probe.write to false\)$/,
    },
    remedy: /./,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['put'], by: 's3', asker: 'exporter' },
    message: NOT_AUTHORISED('s3:PutObject', 'with an explicit deny in a resource-based policy'),
    says: {},
    leavesOpen: { write_denied: /denies s3:PutObject explicitly\), which says nothing of the workers/ },
    remedy: /./,
  },
  {
    ...{ status: 400, code: 'KMS.DisabledException', operations: ['put'], by: 's3', asker: 'exporter' },
    says: { write_denied: /the key of KMS that encrypts the bucket cannot be used/ },
    remedy: /a key of KMS that can be used/,
  },
  {
    ...{ status: 403, code: 'QuotaExceeded', operations: ['put'], by: 's3', asker: 'exporter' },
    says: { writes_failing: /there is no room, or a quota is reached/ },
    remedy: /raise the quota/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['get'], by: 's3', asker: 'exporter' },
    says: {},
    leavesOpen: { reads_denied: /refused a test get \(AccessDenied \(403\); s3:GetObject is missing\)/ },
    remedy: /./,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['delete'], by: 's3', asker: 'exporter' },
    says: {},
    leavesOpen: { deletes_denied: /refused a test delete/ },
    remedy: /./,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['delete'], by: 's3', asker: 'exporter' },
    message: 'Access Denied because object protected by object lock.',
    says: { deletes_denied: /Object Lock holds the object/ },
    remedy: /s3:DeleteObject/,
  },
  {
    ...{ status: 403, code: 'AccessDenied', operations: ['list'], by: 's3', asker: 'exporter' },
    says: { permissions_unverifiable: /s3:ListBucket is missing/ },
    remedy: /s3:ListBucket/,
  },
  {
    ...{ status: 400, code: 'ExpiredToken', operations: ALL, by: 's3', asker: 'exporter' },
    says: { not_watching: /its credentials are not accepted \(ExpiredToken \(400\)\)/ },
    leavesOpen: { write_denied: /which says nothing of the workers/ },
    remedy: /Renew credentials that are not accepted/,
  },
  {
    ...{ status: 403, code: 'InvalidAccessKeyId', operations: ALL, by: 's3', asker: 'exporter' },
    says: { not_watching: /its credentials are not accepted \(InvalidAccessKeyId \(403\)\)/ },
    leavesOpen: { write_denied: /which says nothing of the workers/ },
    remedy: /Renew credentials that are not accepted/,
  },
  ...(['workers', 'exporter'] as const).map((asker): Row => ({
    ...{ status: 403, code: 'RequestTimeTooSkewed', operations: ALL, by: 's3', asker },
    says: { not_watching: /the clock of this machine is wrong/ },
    leavesOpen: {
      write_denied: /^the clock of this machine is wrong .*, which says nothing of the workers$/,
    },
    remedy: /by NTP/,
  })),
  ...(['workers', 'exporter'] as const).map((asker): Row => ({
    ...{ status: 401, code: '', operations: ALL, by: 's3', asker },
    says: { not_watching: /its credentials are not accepted \(no code \(401\)\)/ },
    leavesOpen: { write_denied: /which says nothing of the workers/ },
    remedy: /Renew credentials that are not accepted/,
  })),
  ...([401, 403] as const).map((status): Row => ({
    ...{ status, code: '', html: true, operations: ALL, by: 'proxy', asker: 'exporter' },
    says: { bucket_unreachable: /a proxy or a web console answers in place of S3/ },
    remedy: /the proxy has to let S3 through/,
  })),
  {
    ...{ status: 403, code: '', html: true, operations: ['put'], by: 'proxy', asker: 'exporter' },
    says: {},
    leavesOpen: { writes_failing: /a proxy answered a test put of the exporter .*nothing of the workers/ },
    remedy: /./,
  },
  {
    ...{ status: 407, code: '', html: true, operations: ['put'], by: 'proxy' },
    says: {},
    leavesOpen: { writes_failing: /a proxy answered a test put of the exporter .*nothing of the workers/ },
    remedy: /./,
  },
  // Neither a refusal nor a fault of writes: nothing else tells what failed.
  ...(
    [
      ['delete', 'deletes_denied', 501, 'NotImplemented'],
      ['delete', 'deletes_denied', 500, 'InternalError'],
      ['list', 'permissions_unverifiable', 501, 'NotImplemented'],
      ['get', 'reads_denied', 500, 'InternalError'],
    ] as const
  ).map(([operation, problem, status, code]): Row => {
    const why = new RegExp(`^a test ${operation} failed \\(${code} \\(${status}\\)\\)$`);
    return {
      ...{ status, code, operations: [operation], by: 's3' },
      says: {},
      leavesOpen: { [problem]: why },
      remedy: /./,
    };
  }),
  // A fault that may pass is no problem yet, but the verdict is not healthy either.
  ...(
    [
      [500, 'InternalError'],
      [503, 'SlowDown'],
      // The key may be used, and no longer as often.
      [400, 'KMS.ThrottlingException'],
      // Another request for the same place is under way, as on versitygw, where a DELETE empties the folder.
      [409, 'OperationAborted'],
      [409, 'ExistingObjectIsDirectory'],
    ] as const
  ).map(([status, code]): Row => {
    const why = new RegExp(`^a test put failed \\(${code} \\(${status}\\)\\), which may pass$`);
    return {
      ...{ status, code, operations: ['put'], by: 's3' },
      says: {},
      leavesOpen: { write_denied: why, writes_failing: why },
      remedy: /./,
    };
  }),
];

const server = useS3('xcom');
const never = new AbortController().signal;
let proxy: HttpFaultProxy;
let store: ObjectStore;

beforeEach(async () => {
  proxy = await startHttpFaultProxy({ upstream: server() });
  const options = { observer: recordRequests(), log: pino({ level: 'silent' }), requestTimeoutMs: 5_000 };
  store = openObjectStore(connectionTo(proxy.url, server()), options);
});

afterEach(async () => {
  store.close();
  await proxy.stop();
});

describe('an answer of S3 becomes the problem of the party that gave it', () => {
  test.each(
    TABLE.map(
      (row) =>
        [`${row.status} ${row.code} to ${row.operations.join()} of ${row.asker ?? 'workers'}`, row] as const,
    ),
  )('%s', async (_, row) => {
    const { status, code, message = 'Message', html = false } = row;
    proxy.setFault({
      match: ({ kind }) => row.operations.some((operation) => operation === kind),
      answer: { error: { status, code, message, html } },
    });
    const result = await probe(
      store,
      { bucket: 'xcom', prefix: 'base', write: true, now: Date.now(), id: 'p1' },
      never,
    );
    const failed = result.steps.filter((step) => step.ok === false);
    expect(failed.map(({ said }) => said?.by)).toEqual(failed.map(() => row.by));
    expect(failed).not.toEqual([]);
    const { asker = 'workers', leavesOpen = {} } = row;
    const rulings = Object.entries(
      fromProbe(
        { ...result, asker, othersWriteFrom: null, othersReachFrom: null, writesFailSince: null },
        { bucket: 'xcom', latestWritten: null },
      ),
    );
    const raised = rulings.flatMap(([problem, ruling]) =>
      isRaised(ruling) ? [[problem, ruling.evidence] as const] : [],
    );
    expect(Object.fromEntries(raised)).toEqual(matching(row.says));
    const open = rulings.flatMap(([problem, ruling]) =>
      typeof ruling !== 'string' && 'undecided' in ruling ? [[problem, ruling.undecided] as const] : [],
    );
    expect(Object.fromEntries(open)).toEqual(matching(leavesOpen));
    // No account, role or key from the answer appears in the words.
    expect(JSON.stringify([raised, open])).not.toMatch(/123456789012|arn:/);
    const remedies = (Object.keys(row.says) as ProblemCode[]).map((problem) => PROBLEMS[problem].remedy);
    if (remedies.length > 0) expect(remedies.join(' ')).toMatch(row.remedy);
    // The problem that depends on this operation must not be ruled clear.
    const clear = rulings.filter(([, ruling]) => ruling === 'clear').map(([problem]) => problem);
    if (row.operations.includes('put')) expect(clear).not.toContain('write_denied');
  });
});

function matching(words: Readonly<Partial<Record<ProblemCode, RegExp>>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(words).map(([problem, pattern]) => [problem, expect.stringMatching(pattern)]),
  );
}

test('a page that comes with 200 to everything is named as no S3', async () => {
  proxy.setFault({ match: () => true, answer: 'garbage' });
  const target = { bucket: 'xcom', prefix: 'base', write: true, now: Date.now(), id: 'p1' };
  const { bucket_unreachable: ruling } = fromProbe(
    {
      ...(await probe(store, target, never)),
      asker: 'workers',
      othersWriteFrom: null,
      othersReachFrom: null,
      writesFailSince: null,
    },
    { bucket: 'xcom', latestWritten: null },
  );
  expect(isRaised(ruling) ? ruling.evidence : ruling).toBe(
    'No request to the bucket xcom succeeds: what answers is not S3 (not an answer of S3).',
  );
});

describe('a storage that answers later than the exporter waits', () => {
  async function probeSlow(match: (request: { readonly kind: string }) => boolean) {
    proxy.setFault({ match, answer: 'stall' });
    const slow = openObjectStore(connectionTo(proxy.url, server()), {
      observer: recordRequests(),
      log: pino({ level: 'silent' }),
      requestTimeoutMs: 1_000,
    });
    const target = { bucket: 'xcom', prefix: 'base', write: true, now: Date.now(), id: 'p1' };
    const tried = await probe(slow, target, never);
    slow.close();
    return [null, 1].map((writesFailSince) =>
      fromProbe(
        { ...tried, asker: 'workers', othersWriteFrom: null, othersReachFrom: null, writesFailSince },
        { bucket: 'xcom', latestWritten: null },
      ),
    );
  }

  test('to everything, is not said to be out of reach', async () => {
    for (const rulings of await probeSlow(() => true)) {
      expect(Object.values(rulings).filter(isRaised)).toEqual([]);
      expect(rulings.bucket_unreachable).toMatchObject({
        undecided: 'a test put had no answer in 1000 ms: a worker waits longer',
      });
    }
  });

  test('to a PUT alone, is not said to fail writes', async () => {
    for (const rulings of await probeSlow(({ kind }) => kind === 'put')) {
      expect(Object.values(rulings).filter(isRaised)).toEqual([]);
      expect(rulings.writes_failing).toMatchObject({
        undecided: 'a test put had no answer in 1000 ms, and a worker waits longer',
      });
    }
  });
});
