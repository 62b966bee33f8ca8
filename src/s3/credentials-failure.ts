import type { S3Client } from '@aws-sdk/client-s3';

/** There are no credentials. The cause is the failure of the one who was asked for them. */
export class CredentialsFailure extends Error {
  override readonly name = 'CredentialsFailure';

  constructor(cause: unknown) {
    super('There are no credentials', { cause });
  }
}

/** From now on the client tells a failure of its credentials from one of the request that they were for. */
export function tellCredentials({ config }: S3Client): void {
  const { credentials } = config;
  config.credentials = async (options) => {
    try {
      return await credentials(options);
    } catch (error) {
      throw new CredentialsFailure(error);
    }
  };
}
