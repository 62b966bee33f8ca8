import type { NodeHttpHandler } from '@smithy/node-http-handler';

type HttpRequest = Parameters<NodeHttpHandler['handle']>[0];

/** What is used of the SDK's client, settled by it from all that it was configured with. */
export interface SdkConfig {
  /** By how many milliseconds this machine's clock is behind the storage's, as measured. */
  readonly systemClockOffset: number;
  signer(scheme: {
    readonly name: string;
    readonly signingName: string;
    readonly signingRegion: string;
    readonly properties: Record<string, unknown>;
  }): Promise<Signer>;
}

interface Signer {
  sign(
    request: Omit<HttpRequest, 'clone'>,
    options: { readonly signingDate: Date; readonly signingRegion: string; readonly signingService: string },
  ): Promise<unknown>;
}

/** As much of a HEAD's answer as is looked at, under the SDK's names. */
export interface HeadOutput {
  readonly ContentLength?: number | undefined;
  readonly ETag?: string | undefined;
}

/** Where the keys of a bucket are, and how requests to there are signed. */
interface Route {
  readonly to: Pick<HttpRequest, 'protocol' | 'hostname'> & { readonly port?: number };
  /** What comes before the key in the path. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly region: string;
  signer: Signer | null;
}

/**
 * HEADs past the SDK's middleware, which is four fifths of what one costs (`npm run bench:s3`). All that matters is
 * the SDK's: credentials, signature, connections, timeouts. So is the address, taken from a HEAD that went all
 * the way and was answered; where there is no such yet, or one went wrong since, there is no shortcut.
 */
export interface Shortcuts {
  /** To be told of every HEAD through the SDK that was answered with an object. */
  learn(target: { readonly bucket: string; readonly key: string }, request: unknown): void;
  forget(bucket: string): void;
  /** Signs a HEAD and gives what sends it; null when no shortcut to the bucket is known. */
  sign(target: { readonly bucket: string; readonly key: string }): Promise<SignedHead | null>;
}

/** @throws what the transport throws, or an error with the answer when it is no object. */
export type SignedHead = (signal: AbortSignal) => Promise<HeadOutput>;

export function createShortcuts(config: SdkConfig, transport: NodeHttpHandler): Shortcuts {
  const routes = new Map<string, Route>();
  return {
    learn({ bucket, key }, request) {
      if (routes.has(bucket)) return;
      const route = routeOf(request as HttpRequest, key);
      if (route !== null) routes.set(bucket, route);
    },
    forget(bucket) {
      routes.delete(bucket);
    },
    async sign({ bucket, key }) {
      const route = routes.get(bucket);
      if (route === undefined) return null;
      const { to, path, headers, region } = route;
      const scheme = { name: 'sigv4', signingName: 's3', signingRegion: region, properties: {} };
      route.signer ??= await config.signer(scheme);
      const signed = await route.signer.sign(
        { ...to, method: 'HEAD', path: path + escapeKey(key), query: {}, headers: { ...headers } },
        {
          signingDate: new Date(Date.now() + config.systemClockOffset),
          signingRegion: region,
          signingService: 's3',
        },
      );
      return async (abortSignal) => {
        const { response } = await transport.handle(signed as HttpRequest, { abortSignal });
        return read(response as Response);
      };
    },
  };
}

interface Response {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: NodeJS.ReadableStream;
}

function read({ statusCode, headers, body }: Response): HeadOutput {
  // Empty as it is, the connection is free again only when it has been read.
  body.on('error', () => undefined).resume();
  if (statusCode !== 200) {
    throw Object.assign(new Error(`Answered ${statusCode}`), { $response: { statusCode, headers } });
  }
  const { 'content-length': bytes, etag } = headers;
  return { ContentLength: bytes === undefined ? undefined : Number(bytes), ETag: etag };
}

/** Null for what is signed in another way than SigV4 for S3: access points of many regions, S3 Express. */
function routeOf(request: HttpRequest, key: string): Route | null {
  const { protocol, hostname, port, path, headers } = request;
  const { authorization = '', host, 'user-agent': agent } = headers;
  const region = /^AWS4-HMAC-SHA256 Credential=[^ ]*\/\d{8}\/([^/ ]+)\/s3\/aws4_request,/.exec(
    authorization,
  )?.[1];
  const escaped = escapeKey(key);
  if (region === undefined || host === undefined || !path.endsWith(`/${escaped}`)) return null;
  if (Object.keys(request.query).length > 0) return null;
  return {
    to: { protocol, hostname, ...(port === undefined ? {} : { port }) },
    path: path.slice(0, -escaped.length),
    headers: { host, ...(agent === undefined ? {} : { 'user-agent': agent }) },
    region,
    signer: null,
  };
}

/** As RFC 3986 has it and S3 signs it; slashes stay. */
function escapeKey(key: string): string {
  return encodeURIComponent(key)
    .replaceAll('%2F', '/')
    .replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
