import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** The parts of a request without a body that are signed. The path is escaped as it is sent. */
export interface Unsigned {
  readonly method: string;
  readonly path: string;
  readonly query?: string;
  readonly host: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly at: Date;
}

const EMPTY_HASH = createHash('sha256').update('').digest('hex');
const SIGNED = 'host;x-amz-content-sha256;x-amz-date';
const keys = new Map<string, Buffer>();

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function keyOf(secret: string, scope: readonly [day: string, region: string, service: string]): Buffer {
  const name = [secret, ...scope].join(' ');
  const known = keys.get(name);
  if (known !== undefined) return known;
  const key = [...scope, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secret}`);
  keys.set(name, key as Buffer);
  return key as Buffer;
}

/** The headers that sign a request, written from AWS' description alone: this code shares nothing with the SDK. */
export function signByHand(request: Unsigned): Record<string, string> {
  const { method, path, query = '', host, region, accessKeyId, secretAccessKey } = request;
  const time = request.at.toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const day = time.slice(0, 8);
  const canonical = `${method}\n${path}\n${query}\nhost:${host}\nx-amz-content-sha256:${EMPTY_HASH}\nx-amz-date:${time}\n\n${SIGNED}\n${EMPTY_HASH}`;
  const scope = `${day}/${region}/s3/aws4_request`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const key = keyOf(secretAccessKey, [day, region, 's3']);
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash}`).toString('hex');
  return {
    host,
    'x-amz-content-sha256': EMPTY_HASH,
    'x-amz-date': time,
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${SIGNED}, Signature=${signature}`,
  };
}

/** Whether the holder of this secret signed a request, as a server sees it. */
export function isSignedWith(
  secret: string,
  { method = '', url = '', headers }: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
  body: string,
): boolean {
  const [, day = '', region = '', service = '', names = '', signature] =
    /Credential=[^/]+\/(\d+)\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)$/.exec(
      headers.authorization ?? '',
    ) ?? [];
  const [path = '', query = ''] = url.split('?');
  const lines = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const hash = headers['x-amz-content-sha256'] ?? createHash('sha256').update(body).digest('hex');
  const canonical = [method, path, query.split('&').toSorted().join('&'), lines.join(''), names, hash].join(
    '\n',
  );
  const scope = `${day}/${region}/${service}/aws4_request`;
  const canonicalHash = createHash('sha256').update(canonical).digest('hex');
  const text = `AWS4-HMAC-SHA256\n${String(headers['x-amz-date'])}\n${scope}\n${canonicalHash}`;
  return hmac(keyOf(secret, [day, region, service]), text).toString('hex') === signature;
}
