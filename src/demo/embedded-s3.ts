import type { Logger } from 'pino';

/** A real S3 server on the loopback, in this process, with its objects in memory. It checks no signature. */
export interface EmbeddedS3 {
  readonly host: string;
  readonly port: number;
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  createBucket(name: string): Promise<void>;
  stop(): Promise<void>;
}

const host = '127.0.0.1';
const region = 'us-east-1';

/** @throws {Error} when the development dependencies are not installed, or no port is free. */
export async function startS3(options: { readonly log: Logger }): Promise<EmbeddedS3> {
  const { buildApp } = await importServer();
  // `startFauxqs` would listen on every interface.
  const app = buildApp({ logger: false, defaultRegion: region });
  const endpoint = await app.listen({ host, port: 0 });
  const port = Number(new URL(endpoint).port);
  options.log.debug({ endpoint }, 'embedded S3 started');

  return {
    host,
    port,
    endpoint,
    region,
    accessKeyId: 'embedded',
    secretAccessKey: 'embedded-secret',
    createBucket: async (name) => {
      const answer = await fetch(`${endpoint}/${encodeURIComponent(name)}`, { method: 'PUT' });
      await answer.arrayBuffer();
      if (!answer.ok)
        throw new Error(`Cannot create the bucket ${name}: the embedded S3 said ${answer.status}`);
    },
    stop: async () => {
      await app.close();
    },
  };
}

async function importServer(): Promise<typeof import('fauxqs')> {
  try {
    return await import('fauxqs');
  } catch (cause) {
    throw new Error('Cannot start the embedded S3: the demo needs the development dependencies: npm ci', {
      cause,
    });
  }
}
