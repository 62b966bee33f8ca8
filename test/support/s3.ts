import { NO_PROXIES } from '../../src/s3/agents.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import type { S3Connection } from '../../src/s3/connection.ts';
import type { S3Observer, S3Operation } from '../../src/s3/calls.ts';
import type { EmbeddedS3 } from '../../src/demo/embedded-s3.ts';
import { startS3 as startServer } from '../../src/demo/embedded-s3.ts';
import { secret } from '../../src/lib/secret.ts';
import type { Stores } from '../../src/s3/stores.ts';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';

export function startS3(): Promise<EmbeddedS3> {
  return startServer({ log: pino({ level: 'silent' }) });
}

/**
 * One server with these buckets for the tests of a file. Call this at the top level; read the server inside a test.
 */
export function useS3(...buckets: string[]): () => EmbeddedS3 {
  let server: EmbeddedS3 | null = null;
  beforeAll(async () => {
    server = await startS3();
    for (const bucket of buckets) await server.createBucket(bucket);
  });
  afterAll(async () => {
    await server?.stop();
  });
  return () => {
    if (server === null) throw new Error('The embedded S3 is used before it has started');
    return server;
  };
}

/**
 * Puts an object without the SDK, or deletes it when the body is null. The SDK takes several times as long, and a
 * test with many objects does not look at it.
 */
export async function plantDirectly(
  { endpoint }: EmbeddedS3,
  object: { readonly bucket: string; readonly key: string; readonly body: Uint8Array<ArrayBuffer> | null },
): Promise<void> {
  const path = [object.bucket, ...object.key.split('/')].map(encodeURIComponent).join('/');
  const method = object.body === null ? 'DELETE' : 'PUT';
  // Without a type the server refuses an empty body.
  const headers = { 'content-type': 'application/octet-stream' };
  const answer = await fetch(`${endpoint}/${path}`, { method, headers, body: object.body });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`Cannot ${method} ${object.key}: the embedded S3 said ${answer.status}`);
}

/** A connection to AWS by keys, apart from what is told. */
export function connectionWith(told: Partial<S3Connection>): S3Connection {
  return {
    asker: 'workers',
    region: null,
    endpoint: null,
    accessKeyId: 'K',
    secretAccessKey: secret('s'),
    sessionToken: null,
    profile: null,
    profileKeys: null,
    role: null,
    forcePathStyle: false,
    authorities: null,
    proxies: NO_PROXIES,
    identityProxies: NO_PROXIES,
    sendsChecksums: true,
    variants: {},
    agent: null,
    ...told,
  };
}

/** The settings with which the client talks to the embedded server, or to a proxy in front of it. */
export function connectionTo(endpoint: string, server: EmbeddedS3): S3Connection {
  return connectionWith({
    region: server.region,
    endpoint,
    accessKeyId: server.accessKeyId,
    secretAccessKey: secret(server.secretAccessKey),
    forcePathStyle: true,
  });
}

/** Records the requests and the failures that an object store reports. */
export function recordRequests(): S3Observer & {
  readonly requests: Record<S3Operation, number>;
  readonly failures: string[];
} {
  const requests = { put: 0, head: 0, get: 0, list: 0, delete: 0 };
  const failures: string[] = [];
  return {
    requests,
    failures,
    request: (operation) => {
      requests[operation] += 1;
    },
    failure: (operation, reason) => {
      failures.push(`${operation} ${reason}`);
    },
  };
}

/** The stores that a cycle needs: one open store serves every connection that a row may name. */
export function storesOf(
  store: ObjectStore,
  observer: { readonly requests: Readonly<Record<S3Operation, number>> },
): Pick<Stores, 'of' | 'sent' | 'knows' | 'takeUnnamed'> {
  return {
    of: () => store,
    knows: () => true,
    takeUnnamed: () => undefined,
    sent: () => Object.values(observer.requests).reduce((sum, requests) => sum + requests, 0),
  };
}
