import { describe, expect, test } from 'vitest';
import { parseConfigFile } from '../../../src/airflow/config-file.ts';
import { holderAmong, secretsBackends } from '../../../src/airflow/secrets-backend.ts';

const AMAZON = 'airflow.providers.amazon.aws.secrets.systems_manager.SystemsManagerParameterStoreBackend';
const LOCAL = 'airflow.secrets.local_filesystem.LocalFilesystemBackend';
const GOOGLE = 'airflow.providers.google.cloud.secrets.secret_manager.CloudSecretManagerBackend';
const AZURE = 'airflow.providers.microsoft.azure.secrets.key_vault.AzureKeyVaultBackend';
const VAULT = 'airflow.providers.hashicorp.secrets.vault.VaultBackend';
const WORKERS_LOCAL = {
  AIRFLOW__WORKERS__SECRETS_BACKEND: LOCAL,
  AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS: '{"variables_file_path": "/v"}',
};
const CLASS = 'AIRFLOW__SECRETS__BACKEND';
const OPTIONS = 'AIRFLOW__SECRETS__BACKEND_KWARGS';

function asked(env: Readonly<Record<string, string>>, id = 'aws_xcom'): boolean {
  return holderAmong(secretsBackends({ file: null, env }), id) !== null;
}

/** Run with Python: `re.match(pattern, 'aws_xcom', re.IGNORECASE)`. Null: no plain pattern, so nobody knows here. */
test.each<[pattern: unknown, matches: boolean | null]>([
  ['^smtp', false],
  ['smtp', false],
  ['xcom', false],
  ['aws', true],
  ['AWS_', true],
  ['^(?:smtp|aws)_', true],
  ['(smtp|db)_.*', false],
  ['smtp|aws', true],
  ['.*xcom$', true],
  ['(?!aws)', false],
  ['[a-c]\\w{2,3}_', true],
  ['[^a]', false],
  ['\\d+', false],
  ['', true],
  [null, true],
  ['(?i)smtp', null],
  ['(?P<kind>smtp)', null],
  ['\\Asmtp', null],
  ['smtp\\Z', null],
  ['[]s]mtp', null],
  ['s{,2}mtp', null],
  ['s++mtp', null],
  ['(smtp', null],
  ['größe', null],
  [7, null],
])('a backend of Amazon with the pattern %j', (pattern, matches) => {
  const options = JSON.stringify({ connections_prefix: 'a', connections_lookup_pattern: pattern });
  expect(asked({ [CLASS]: AMAZON, [OPTIONS]: options })).toBe(matches ?? true);
});

describe('a worker may ask', () => {
  test.each<[string, Readonly<Record<string, string>>, boolean]>([
    ['none', {}, false],
    ['any class', { [CLASS]: 'a.Backend' }, true],
    [
      'a class that is not known to have a pattern',
      pair('a.Backend', '{"connections_lookup_pattern": "^smtp"}'),
      true,
    ],
    ['any class without a prefix', pair('a.Backend', '{"connections_prefix": null}'), true],
    ['one of Amazon without a prefix', pair(AMAZON, '{"connections_prefix": null}'), false],
    [
      'one of Amazon without a path, which it does not have',
      pair(AMAZON, '{"connections_path": null}'),
      true,
    ],
    ['one of Google without a prefix', pair(GOOGLE, '{"connections_prefix": null}'), false],
    ['one of Azure without a prefix', pair(AZURE, '{"connections_prefix": null}'), false],
    ['Vault without a path', pair(VAULT, '{"connections_path": null}'), false],
    ['Vault without a prefix, which it does not have', pair(VAULT, '{"connections_prefix": null}'), true],
    ['one of the workers that looks for none, before another', { ...WORKERS_LOCAL, [CLASS]: VAULT }, true],
    [
      'one of the workers that looks for none, before another that looks for none',
      { ...WORKERS_LOCAL, ...pair(VAULT, '{"connections_path": null}') },
      false,
    ],
    ['one with an empty prefix', pair(AMAZON, '{"connections_prefix": ""}'), true],
    ['files, none named', { [CLASS]: LOCAL }, false],
    [
      'files, none of connections',
      pair(LOCAL, '{"connections_file_path": null, "variables_file_path": "/v"}'),
      false,
    ],
    ['files, one of connections', pair(LOCAL, '{"connections_file_path": "/c"}'), true],
    [
      'files, one in a variable of its own, since 3.2',
      { [CLASS]: LOCAL, AIRFLOW__SECRETS__BACKEND_KWARG__CONNECTIONS_FILE_PATH: '/c' },
      true,
    ],
    ['options that are no JSON', pair(LOCAL, '{connections_file_path'), true],
    ['options that a command prints', { [CLASS]: LOCAL, [`${OPTIONS}_CMD`]: 'cat /options' }, true],
  ])('%s', (_, env, expected) => {
    expect(asked(env)).toBe(expected);
  });
});

test('the options in the file are read as Airflow reads them', () => {
  const file = parseConfigFile(
    `[secrets]\nbackend = ${AMAZON}\nbackend_kwargs = {"connections_lookup_pattern": "smtp$"}\n`,
  );
  if ('fault' in file) throw new Error(file.fault);
  expect(holderAmong(secretsBackends({ file, env: {} }), 'aws_xcom')).toBeNull();
});

function pair(className: string, options: string) {
  return { [CLASS]: className, [OPTIONS]: options };
}
