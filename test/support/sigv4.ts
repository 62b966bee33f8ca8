import { createHash, createHmac } from 'node:crypto';

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

function keyOf({ secretAccessKey, region }: Unsigned, day: string): Buffer {
  const name = `${secretAccessKey} ${region} ${day}`;
  const known = keys.get(name);
  if (known !== undefined) return known;
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
  keys.set(name, key as Buffer);
  return key as Buffer;
}

/** The headers that sign a request, written from AWS' description alone: this code shares nothing with the SDK. */
export function signByHand(request: Unsigned): Record<string, string> {
  const { method, path, query = '', host, region, accessKeyId } = request;
  const time = request.at.toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const day = time.slice(0, 8);
  const canonical = `${method}\n${path}\n${query}\nhost:${host}\nx-amz-content-sha256:${EMPTY_HASH}\nx-amz-date:${time}\n\n${SIGNED}\n${EMPTY_HASH}`;
  const scope = `${day}/${region}/s3/aws4_request`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const signature = hmac(keyOf(request, day), `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash}`).toString('hex');
  return {
    host,
    'x-amz-content-sha256': EMPTY_HASH,
    'x-amz-date': time,
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${SIGNED}, Signature=${signature}`,
  };
}
