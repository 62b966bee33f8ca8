import { describe, expect, test } from 'vitest';
import type { NoAnswer } from '../../../src/audit/no-answer.ts';
import { countAnswers, noAnswer, ownAnswer, wordsOf } from '../../../src/audit/no-answer.ts';
import { ProxyFailure } from '../../../src/s3/agents.ts';
import { CredentialsFailure } from '../../../src/s3/credentials-failure.ts';
import type { Party, Unknown } from '../../../src/s3/failure.ts';
import { explainFailure, unknown } from '../../../src/s3/failure.ts';

const from = (reason: Unknown['reason'], detail: string, by: Party) =>
  noAnswer('aws', unknown(reason, detail, by));

const explain = (error: unknown) => explainFailure(error, { now: Date.now(), sent: true, hasBody: true });
/** A server in front of object storage answers with a text of its own. */
const ofGateway = (status: number, server = 'istio-envoy') =>
  noAnswer(
    'aws',
    explain({
      $metadata: { httpStatusCode: status },
      $response: { headers: { 'content-type': 'text/plain', 'content-length': '18', server } },
    }),
  );

describe('what an answer comes to in words', () => {
  test.each<[string, NoAnswer]>([
    [
      'denied: object storage answered AccessDenied (403). Allow s3:ListBucket on the path to the credentials of the connection.',
      from('denied', 'AccessDenied (403)', 's3'),
    ],
    [
      'denied: object storage answered InvalidAccessKeyId (403). Renew or correct the credentials of the connection.',
      { ...from('denied', 'InvalidAccessKeyId (403)', 's3'), cause: 'identity' },
    ],
    [
      'denied: a proxy in between answered no code (403) from squid. Let the proxy pass these requests, or correct the endpoint of the connection. If HTTP_PROXY names the proxy, NO_PROXY can name the host.',
      ofGateway(403, 'squid'),
    ],
    [
      'throttled: a proxy in between answered no code (429) from istio-envoy. Run the audit again with a lower --requests-per-second.',
      ofGateway(429),
    ],
    [
      'server error: a proxy in between answered no code (502) from istio-envoy. Look at the log of the proxy and at the server behind it, and run the audit again.',
      ofGateway(502),
    ],
    [
      'server error: a proxy in between answered no code (503) from istio-envoy. Look at the log of the proxy and at the server behind it, and run the audit again.',
      ofGateway(503),
    ],
    [
      'timeout: a proxy in between answered no code (504) from istio-envoy. Look at the log of the proxy and at the server behind it, and run the audit again.',
      ofGateway(504),
    ],
    [
      'server error: a proxy in between answered no code (404) from nginx. Let the proxy pass these requests, or correct the endpoint of the connection. If HTTP_PROXY names the proxy, NO_PROXY can name the host.',
      ofGateway(404, 'nginx'),
    ],
    [
      'throttled: a proxy in between answered no code (429) from istio-envoy. Run the audit again with a lower --requests-per-second.',
      from('throttled', 'no code (429) from istio-envoy', 'proxy'),
    ],
    [
      'unreachable: the proxy squid:3128 did not answer: ECONNREFUSED. Let the proxy pass these requests, or name the host in NO_PROXY.',
      noAnswer('aws', explain(new ProxyFailure('squid:3128', { status: null, code: 'ECONNREFUSED' }))),
    ],
    [
      'unreachable: the proxy squid:3128 answered 503. Let the proxy pass these requests, or name the host in NO_PROXY.',
      noAnswer('aws', explain(new ProxyFailure('squid:3128', { status: 503, code: null }))),
    ],
    [
      'denied: the connection aws is not known here, and with the credentials found in its place: AccessDenied (403). Give AIRFLOW_CONN_AWS.',
      from(
        'denied',
        'the connection aws is not known here, and with the credentials found in its place: AccessDenied (403)',
        'credentials',
      ),
    ],
    [
      'denied: no credentials found. Give credentials of AWS.',
      noAnswer('', unknown('denied', 'no credentials found', 'credentials')),
    ],
    [
      'denied: no credentials: STS answered AccessDenied (403). Let the audit reach STS, and let the trust policy of the role name the audit.',
      from('denied', 'no credentials: STS answered AccessDenied (403)', 'sts'),
    ],
    [
      'throttled: no credentials: STS answered Throttling (400). Run the audit again.',
      noAnswer(
        'aws',
        explain(new CredentialsFailure({ Code: 'Throttling', $metadata: { httpStatusCode: 400 } })),
      ),
    ],
    [
      'denied: no credentials: in place of STS a proxy answered no code (403) from squid. Let the proxy pass these requests, or correct the endpoint of the connection. If HTTP_PROXY names the proxy, NO_PROXY can name the host.',
      noAnswer(
        'aws',
        explain(
          new CredentialsFailure({
            $metadata: { httpStatusCode: 403 },
            $response: { headers: { 'content-type': 'text/html', server: 'squid' } },
          }),
        ),
      ),
    ],
    [
      'unreachable: no answer came, ECONNREFUSED. Correct the endpoint of the connection, or open the way to it.',
      from('unreachable', 'ECONNREFUSED', 'network'),
    ],
    [
      'wrong region: not sent: the region is no name of a region. Set region_name of the connection to the region of the bucket.',
      from('wrong_region', 'not sent: the region is no name of a region', 'exporter'),
    ],
    ['this connection is not known here. Give AIRFLOW_CONN_AWS.', ownAnswer('aws', 'unknown_connection')],
    [
      'this connection is not known here. If these rows are from a path that named no connection, name that path in xcom.path too.',
      ownAnswer('', 'unknown_connection'),
    ],
    [
      'this connection is not known here. Put the id of a connection in place of the key and the secret that the path has.',
      ownAnswer('KEY:secret', 'unknown_connection'),
    ],
    [
      'a standby is behind, and may still show rows that are gone. Give the URL of the primary, or run the audit again.',
      ownAnswer('aws', 'standby_behind'),
    ],
  ])('%s', (words, answer) => {
    expect(wordsOf(answer, 's3:ListBucket')).toBe(words);
  });
});

test('answers are counted by connection, reason and party, the most frequent first', () => {
  const answers = [
    from('denied', 'no code (403)', 's3'),
    from('denied', 'no code (403)', 'proxy'),
    from('denied', 'no code (403)', 's3'),
    noAnswer('other', unknown('denied', 'no code (403)', 's3')),
  ];
  expect(countAnswers(answers).map(({ connection, by, references }) => [connection, by, references])).toEqual(
    [
      ['aws', 's3', 2],
      ['aws', 'proxy', 1],
      ['other', 's3', 1],
    ],
  );
});
