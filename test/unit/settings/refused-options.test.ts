import { expect, test } from 'vitest';
import { parseConnection } from '../../../src/airflow/connection.ts';
import { refusedOptions } from '../../../src/settings/refused-options.ts';

/** botocore 1.34.106, that of Airflow 2.9.3, pushes with each of these; 1.44.8 refuses each. */
test.each([
  [{ env: { AWS_REQUEST_CHECKSUM_CALCULATION: '' }, config: '' }, 'AWS_REQUEST_CHECKSUM_CALCULATION has'],
  [{ env: { AWS_RESPONSE_CHECKSUM_VALIDATION: 'x' }, config: '' }, 'AWS_RESPONSE_CHECKSUM_VALIDATION has'],
  [
    { env: {}, config: '[default]\nrequest_checksum_calculation = x\n' },
    'request_checksum_calculation in the AWS files has',
  ],
])('%j: no push is said to fail, for an older botocore does not read it', ({ env, config }, place) => {
  expect(refusedOptions({ id: '', given: null }, { env, files: { config, credentials: '' } })).toEqual([
    `${place} a value that botocore refuses from 1.36 on: with it every push of Airflow fails. It takes when_supported or when_required`,
  ]);
});

test.each([
  ['AWS_ACCOUNT_ID_ENDPOINT_MODE', 'preferred, disabled or required', 'Disabled'],
  ['AWS_S3_DISABLE_EXPRESS_SESSION_AUTH', 'true or false', 'False'],
])('%s is refused empty by a younger botocore', (name, words, right) => {
  const said = (text: string) =>
    refusedOptions(
      { id: '', given: null },
      { env: { [name]: text }, files: { config: '', credentials: '' } },
    );
  expect(said('')).toEqual([
    `${name} has a value that botocore refuses from a release after 1.34 on: with it every push of Airflow fails. It takes ${words}`,
  ]);
  expect(said(right)).toEqual([]);
});

function ofConnection(config_kwargs: object) {
  const given = parseConnection(JSON.stringify({ extra: { config_kwargs } }));
  return refusedOptions({ id: 'conn', given }, { env: {}, files: { config: '', credentials: '' } });
}

test('an option of a connection that an older botocore does not know is warned of, with its variable', () => {
  expect(ofConnection({ request_checksum_calculation: 'when_required' })).toEqual([
    'The connection conn has request_checksum_calculation in config_kwargs, which an older botocore does not know, as that of Airflow 2.9: every push fails there. Set AWS_REQUEST_CHECKSUM_CALCULATION in its place, which it ignores',
  ]);
  expect(
    ofConnection({ region_name: 'eu-west-1', defaults_mode: 'legacy', use_fips_endpoint: true }),
  ).toEqual([]);
});

test('a value of a connection that no botocore takes fails every push', () => {
  expect(ofConnection({ request_checksum_calculation: 'x' })).toEqual([
    {
      pushFault: expect.stringMatching(/^The connection conn, in config_kwargs\.request_checksum/) as string,
    },
  ]);
});
