import { describe, expect, test } from 'vitest';
import { awsFilePaths, givenAwsPaths, readAwsFiles } from '../../../src/settings/aws-files.ts';
import { readConfig } from '../../../src/settings/read-config.ts';

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

  describe('that may not be read', () => {
    const here = import.meta.filename;
    const denied = (path: string): string => {
      throw Object.assign(new Error(`EACCES: permission denied, open '${path}'`), { code: 'EACCES' });
    };
    const absent = (path: string): string => {
      throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: 'ENOENT' });
    };

    test('are no files that are not there: it is said, and nothing of what they lack', () => {
      const env = { AWS_CONFIG_FILE: here, AWS_PROFILE: 'prod' };
      const sayings = (readFile: (path: string) => string) =>
        readConfig({
          argv: [],
          env: { ...env, AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://bucket/xcom' },
          readFile,
        }).warnings;
      expect(sayings(absent)).toEqual([
        expect.stringContaining("takes the profile prod, which the exporter's AWS files do not have"),
      ]);
      expect(sayings(denied)).toEqual([
        expect.stringMatching(
          /^Cannot read .*aws-files\.test\.ts: permission denied: it belongs to .*; what it says of AWS is not known$/,
        ),
      ]);
    });

    test('are none below a home that may not be entered: nobody knows of a file there', () => {
      expect(readAwsFiles({ HOME: '/home/me' }, denied)).toEqual({ config: '', credentials: '', denied: [] });
    });
  });
});
