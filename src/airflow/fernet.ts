import { createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../lib/secret.ts';
import { secret } from '../lib/secret.ts';

const VERSION = 0x80;
const HEAD_BYTES = 1 + 8 + 16;
const BLOCK_BYTES = 16;
const SIGNATURE_BYTES = 32;

/**
 * Parses a list of keys for rotation, as in Airflow's `[core] fernet_key`: any of the keys may have made a token.
 *
 * @throws {RangeError} when one is not a key; the message does not repeat it.
 */
export function parseFernetKeys(text: string): readonly Secret[] {
  if (text.trim() === '') return [];
  return text.split(',').map((one) => {
    const key = one.trim();
    // Python refuses base64 without its padding.
    if (!key.endsWith('=') || decoded(key)?.length !== 32)
      throw new RangeError(
        'is no Fernet key: it is 32 bytes as URL-safe base64 with its = at the end, several separated by commas',
      );
    return secret(key);
  });
}

/**
 * The text in a Fernet token, or null when none of the keys made the token. As in Airflow, the token's age does not
 * matter. Source: https://github.com/fernet/spec/blob/master/Spec.md
 */
export function decryptFernet(token: string, keys: readonly Secret[]): string | null {
  const bytes = decoded(token.trim());
  if (bytes === null || bytes.length < HEAD_BYTES + BLOCK_BYTES + SIGNATURE_BYTES || bytes[0] !== VERSION)
    return null;
  const signed = bytes.subarray(0, -SIGNATURE_BYTES);
  const signature = bytes.subarray(-SIGNATURE_BYTES);
  for (const one of keys) {
    const key = Buffer.from(one.reveal(), 'base64url');
    const own = createHmac('sha256', key.subarray(0, 16)).update(signed).digest();
    if (timingSafeEqual(own, signature)) return opened(signed, key.subarray(16));
  }
  return null;
}

function opened(signed: Buffer, key: Buffer): string | null {
  const decipher = createDecipheriv('aes-128-cbc', key, signed.subarray(9, HEAD_BYTES));
  try {
    return Buffer.concat([decipher.update(signed.subarray(HEAD_BYTES)), decipher.final()]).toString('utf8');
  } catch {
    // The length or the padding is not valid for AES.
    return null;
  }
}

/** Decodes base64 in either alphabet, as Python does. Null when there is another character, which Node would skip. */
function decoded(text: string): Buffer | null {
  return /^[\w+/-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64url') : null;
}
