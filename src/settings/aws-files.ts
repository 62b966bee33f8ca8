import type { AwsFiles } from '../airflow/aws-profile.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where AWS's own files are; '' where there is no home to look in. */
export function awsFilePaths(env: Environment): AwsFiles {
  const home = env['HOME'] ?? '';
  const below = (name: string): string => (home === '' ? '' : `${home}/.aws/${name}`);
  return {
    credentials: env['AWS_SHARED_CREDENTIALS_FILE'] ?? below('credentials'),
    config: env['AWS_CONFIG_FILE'] ?? below('config'),
  };
}

/** A file that cannot be read is as good as none: botocore and the SDK go on without it. */
export function readAwsFiles(env: Environment, readFile: (path: string) => string): AwsFiles {
  const { credentials, config } = awsFilePaths(env);
  const read = (path: string): string => {
    try {
      return path === '' ? '' : readFile(path);
    } catch {
      return '';
    }
  };
  return { credentials: read(credentials), config: read(config) };
}
