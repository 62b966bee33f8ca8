import { expect, test } from 'vitest';
import { noAnswer, wordsOf } from '../../../src/audit/no-answer.ts';
import { credentialsFix } from '../../../src/probe/credentials-fix.ts';
import { CredentialsFailure } from '../../../src/s3/credentials-failure.ts';
import { CredentialsLate } from '../../../src/s3/credentials.ts';
import { explainFailure } from '../../../src/s3/failure.ts';

test('credentials that do not come in time are not told to be given', () => {
  const late = new CredentialsFailure(new CredentialsLate());
  const failure = explainFailure(late, { now: 0, sent: false, hasBody: true });
  expect(failure).toMatchObject({ reason: 'timeout', said: { by: 'credentials', unasked: true } });
  expect(credentialsFix(failure)).toMatch(/^Open the way from the exporter to what gives its credentials/);
  const words = wordsOf(noAnswer('aws_xcom', failure), 's3:ListBucket');
  expect(words).toMatch(/no credentials in \d+ ms/);
  expect(words).not.toContain('AIRFLOW_CONN_');
});
