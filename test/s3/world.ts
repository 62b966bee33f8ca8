import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { pino } from 'pino';
import { NO_PROXIES } from '../../src/s3/agents.ts';
import { secret } from '../../src/lib/secret.ts';
import type { S3Observer } from '../../src/s3/calls.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import { openObjectStore } from '../../src/s3/client.ts';
import type { S3Connection } from '../../src/s3/connection.ts';
import { signByHand } from '../support/sigv4.ts';
import type { RunningServer, S3Server } from './servers.ts';
import { ACCOUNT } from './servers.ts';
import type { Writer } from './writer.ts';
import { RELEASES, startWriter } from './writer.ts';

/** One running server, its writers, and the ways to look at it. */
export interface World {
  readonly server: S3Server;
  readonly endpoint: string;
  /** A client for what the product never does: creating buckets, setting versioning. */
  readonly aws: S3Client;
  /** The same client through a door; the caller destroys it. */
  readonly through: (url: string) => S3Client;
  readonly writers: readonly Writer[];
  /** The writer of the latest release. */
  readonly writer: Writer;
  readonly newBucket: () => Promise<string>;
  /** Puts empty objects. Airflow never writes an object without bytes, so this uses a request of its own. */
  putEmpty(bucket: string, keys: Iterable<string>): Promise<void>;
  connection(changes?: Partial<S3Connection>): S3Connection;
  /** The exporter's own client. */
  readonly open: (
    changes?: Partial<S3Connection>,
    observer?: S3Observer,
    requestTimeoutMs?: number,
  ) => ObjectStore;
  /** The status of one request as the server itself answers it, without the SDK. */
  status(method: 'HEAD' | 'GET', path: string, as?: Partial<Signer>): Promise<number>;
  headers(path: string): Promise<Headers>;
  stop(): Promise<void>;
}

interface Signer {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  readonly at: Date;
}

export const never = new AbortController().signal;
const noObserver: S3Observer = { request: () => undefined, failure: () => undefined };

/** The path of a request for a key, escaped as it is signed. */
export function pathOf(bucket: string, key: string): string {
  const escaped = encodeURIComponent(key).replace(
    /[!'()*]/g,
    (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `/${bucket}/${escaped.replaceAll('%2F', '/')}`;
}

export async function startWorld(server: S3Server): Promise<World> {
  const running: RunningServer = await server.start();
  const { endpoint } = running;
  const { accessKeyId, secretAccessKey, region } = ACCOUNT;
  const through = (url: string) =>
    new S3Client({
      endpoint: url,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
  const aws = through(endpoint);
  const writers = await Promise.all(RELEASES.map((release) => startWriter(endpoint, release)));
  const stores: ObjectStore[] = [];
  let buckets = 0;

  const connection = (changes: Partial<S3Connection> = {}): S3Connection => ({
    region,
    endpoint,
    accessKeyId,
    secretAccessKey: secret(secretAccessKey),
    sessionToken: null,
    profile: null,
    role: null,
    forcePathStyle: true,
    authorities: null,
    proxies: NO_PROXIES,
    identityProxies: NO_PROXIES,
    sendsChecksums: true,
    asker: 'workers',
    variants: {},
    agent: null,
    profileKeys: null,
    ...changes,
  });

  async function ask(method: string, path: string, as: Partial<Signer>): Promise<Response> {
    const { host } = new URL(endpoint);
    const signer = { accessKeyId, secretAccessKey, region, at: new Date(), ...as };
    const headers = signByHand({ method, path, host, ...signer });
    const answer = await fetch(endpoint + path, { method, headers });
    await answer.arrayBuffer();
    return answer;
  }

  return {
    server,
    endpoint,
    aws,
    through,
    writers,
    writer: writers.at(-1) ?? fail(),
    connection,
    async newBucket() {
      buckets += 1;
      const name = `xcom-${buckets}`;
      for (let attempt = 0; ; attempt += 1) {
        try {
          await aws.send(new CreateBucketCommand({ Bucket: name }));
          return name;
        } catch (error) {
          // A server may answer before it can store anything.
          if (attempt > 30) throw error;
          await new Promise((resolve) => setTimeout(resolve, 1_000));
        }
      }
    },
    async putEmpty(bucket, keys) {
      for (const key of keys)
        await aws.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: new Uint8Array() }));
    },
    open(changes, observer = noObserver, requestTimeoutMs = 20_000) {
      const log = pino({ level: 'silent' });
      const store = openObjectStore(connection(changes), { observer, log, requestTimeoutMs });
      stores.push(store);
      return store;
    },
    status: async (method, path, as = {}) => (await ask(method, path, as)).status,
    headers: async (path) => (await ask('HEAD', path, {})).headers,
    async stop() {
      for (const store of stores) store.close();
      aws.destroy();
      await Promise.all(writers.map((writer) => writer.stop()));
      await running.stop();
    },
  };
}

function fail(): never {
  throw new Error('No release of s3fs is named');
}
