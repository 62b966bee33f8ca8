import { existsSync } from 'node:fs';
import type { AwsFiles } from '../airflow/aws-profile.ts';
import { expandVariables } from '../airflow/config-value.ts';
import { denial } from '../lib/denial.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The variables that name AWS's files, with each path as botocore expands it. The SDK expands only `~/`, and takes an
 * empty path for the file below the home.
 */
export function givenAwsPaths(env: Environment): Readonly<Record<string, string>> {
  return Object.fromEntries(
    ['AWS_SHARED_CREDENTIALS_FILE', 'AWS_CONFIG_FILE'].flatMap((name) => {
      const path = env[name];
      return path === undefined
        ? []
        : [[name, path === '' ? '/dev/null' : (expandVariables(path, env) ?? path)]];
    }),
  );
}

/** The paths of AWS's own files; '' if there is no home to look in. */
export function awsFilePaths(env: Environment): AwsFiles {
  const home = env['HOME'] ?? '';
  const below = (name: string): string => (home === '' ? '' : `${home}/.aws/${name}`);
  const given = givenAwsPaths(env);
  return {
    credentials: given['AWS_SHARED_CREDENTIALS_FILE'] ?? below('credentials'),
    config: given['AWS_CONFIG_FILE'] ?? below('config'),
  };
}

/** A file that cannot be read counts as none: botocore and the SDK go on without it. */
export function readAwsFiles(env: Environment, readFile: (path: string) => string): AwsFiles {
  const given = new Set(Object.values(givenAwsPaths(env)));
  const denied: string[] = [];
  const read = (path: string): string => {
    try {
      return path === '' ? '' : readFile(path);
    } catch (cause) {
      const words = denial(path, cause);
      // Below a home that may not be entered, nobody knows of a file.
      if (words !== null && (given.has(path) || existsSync(path)))
        denied.push(`Cannot read ${path}: ${words}; what it says of AWS is not known`);
      return '';
    }
  };
  const { credentials, config } = awsFilePaths(env);
  return { credentials: read(credentials), config: read(config), denied };
}
