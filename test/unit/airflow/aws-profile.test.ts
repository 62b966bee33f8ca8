import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { s3Connection } from '../../../src/airflow/worker-s3.ts';
import { parseXComPaths } from '../../../src/airflow/xcom-path.ts';
import type { S3Connection } from '../../../src/s3/connection.ts';
import { sentenceOf } from '../../../src/settings/push-fault.ts';
import { workerWarnings } from '../../../src/settings/worker-warnings.ts';

/** A pair of files and botocore's result for it: both come from test/airflow/aws-files. */
interface Recorded {
  readonly case: {
    readonly config: string;
    readonly credentials: string;
    readonly profile: string | null;
    readonly encoding: 'utf-8' | 'latin-1';
  };
  readonly answer:
    | { readonly refused: string }
    | {
        readonly keys: readonly [string, string, string | null] | null;
        readonly region: string;
        readonly at: string;
        readonly checksums: string;
        readonly authorities: string | null;
      };
}

const { cases } = JSON.parse(
  readFileSync(new URL('../../fixtures/aws-files/answers.json', import.meta.url), 'utf8'),
) as { readonly cases: readonly Recorded[] };

/** The address at which a client asks for an object. */
function addressOf({ endpoint, forcePathStyle, variants }: S3Connection): string {
  const kind = variants.useAccelerateEndpoint
    ? 's3-accelerate'
    : variants.useDualstackEndpoint
      ? 's3.dualstack.us-east-1'
      : 's3';
  const at = new URL(endpoint ?? `https://${kind}.amazonaws.com`);
  return forcePathStyle ? `${at.origin}/bucket/key` : `${at.protocol}//bucket.${at.host}/key`;
}

function ours({ config, credentials, profile, encoding }: Recorded['case']) {
  const read = (text: string) => Buffer.from(text, encoding === 'utf-8' ? 'utf8' : 'latin1').toString('utf8');
  const world = {
    env: profile === null ? {} : { AWS_PROFILE: profile },
    files: { config: read(config), credentials: read(credentials) },
    secretsBackends: [],
  };
  const s3 = s3Connection({ id: '', given: null }, world);
  const warnings = workerWarnings([{ id: '', variable: '', given: null, isSet: false, s3 }], {
    ...world,
    paths: parseXComPaths('s3://bucket'),
  }).map(sentenceOf);
  const keys = s3.profileKeys;
  const answer = {
    keys:
      keys === null
        ? null
        : [keys.accessKeyId, keys.secretAccessKey.reveal(), keys.sessionToken?.reveal() ?? null],
    region: s3.region ?? 'us-east-1',
    at: addressOf(s3),
    checksums: s3.sendsChecksums ? 'when_supported' : 'when_required',
    authorities: s3.authorities,
  };
  return { answer, warnings };
}

describe("AWS's own files, as botocore read them", () => {
  test('are recorded in 200 forms', () => {
    expect(cases.length).toBeGreaterThan(200);
  });

  test('make the same client, or the warning is there that they make none', () => {
    const different = cases.flatMap((one) => {
      const { answer, warnings } = ours(one.case);
      const isRight =
        'refused' in one.answer
          ? warnings.some((warning) => /\bfails\b/.test(warning))
          : JSON.stringify(answer) === JSON.stringify(one.answer);
      return isRight ? [] : [{ ...one, ours: answer, warnings }];
    });
    expect(different).toEqual([]);
  });

  test('are warned of for no other reason than a refusal, of botocore or later of AWS', () => {
    const later =
      /comment behind a key or role|takes a role|role is taken|An indented line|the single sign-on/;
    const heard = cases.flatMap((one) =>
      'refused' in one.answer
        ? []
        : ours(one.case)
            .warnings.filter((warning) => !later.test(warning))
            .map((warning) => ({ ...one.case, warning })),
    );
    expect(heard).toEqual([]);
  });
});
