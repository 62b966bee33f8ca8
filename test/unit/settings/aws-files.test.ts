import { describe, expect, test } from 'vitest';
import { awsFilePaths, givenAwsPaths, readAwsFiles } from '../../../src/settings/aws-files.ts';

describe("AWS's own files", () => {
  test.each([
    ['~/keys', '/home/me/keys'],
    ['$WHERE/keys', '/etc/aws/keys'],
    ['${WHERE}/keys', '/etc/aws/keys'],
    ['$NOWHERE/keys', '$NOWHERE/keys'],
    ['~other/keys', '~other/keys'],
    ['/etc/~/keys', '/etc/~/keys'],
    ['', '/dev/null'],
  ])('are looked for as botocore expands their paths: %s', (given, path) => {
    const env = {
      HOME: '/home/me',
      WHERE: '/etc/aws',
      AWS_SHARED_CREDENTIALS_FILE: given,
      AWS_CONFIG_FILE: given,
    };
    expect(awsFilePaths(env)).toEqual({ credentials: path, config: path });
    expect(readAwsFiles(env, (read) => `content of ${read}`).config).toBe(`content of ${path}`);
    expect(givenAwsPaths(env)).toEqual({ AWS_SHARED_CREDENTIALS_FILE: path, AWS_CONFIG_FILE: path });
  });

  test('are below the home where no variable names them', () => {
    expect(awsFilePaths({ HOME: '/home/me' })).toEqual({
      credentials: '/home/me/.aws/credentials',
      config: '/home/me/.aws/config',
    });
    expect(givenAwsPaths({ HOME: '/home/me' })).toEqual({});
  });
});
