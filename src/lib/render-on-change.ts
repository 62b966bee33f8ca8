import { setImmediate as nextTick } from 'node:timers/promises';
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw, deflateRawSync } from 'node:zlib';

const deflateInBackground = promisify(deflateRaw);

export interface Rendered {
  readonly text: Buffer;
  readonly gzip: GzipHead;
}

/** Renders once for each change, however many readers there are: 10,000 series take some 30 ms. */
export function renderOnChange(write: () => Promise<Buffer>): {
  touch(): void;
  rendered(): Promise<Rendered>;
} {
  let scheduled = false;
  let last: Rendered | null = null;
  let current = schedule();

  function schedule(): Promise<Rendered> {
    scheduled = true;
    const rendering = render();
    // A reader gets the error. Without a reader, the error must not end the process.
    rendering.catch(() => undefined);
    return rendering;
  }

  async function render(): Promise<Rendered> {
    // Waiting for the end of the tick turns several publishes in a row into one rendering.
    await nextTick();
    scheduled = false;
    const text = await write();
    // A cycle that finds nothing new gives the same text again.
    if (last?.text.equals(text) !== true) last = { text, gzip: await gzipHead(text) };
    return last;
  }

  return {
    touch() {
      if (!scheduled) current = schedule();
    },
    rendered: () => current,
  };
}

/** The front part of a gzip stream, compressed once and continued many times. */
export interface GzipHead {
  readonly bytes: Buffer;
  readonly crc: number;
  readonly length: number;
}

// RFC 1952: magic, deflate, no flags, no time, no extra flags, unknown system.
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);

async function gzipHead(text: Buffer): Promise<GzipHead> {
  // A sync flush ends the part at a byte boundary without the mark of the last block.
  const body = await deflateInBackground(text, { finishFlush: constants.Z_SYNC_FLUSH });
  return { bytes: Buffer.concat([HEADER, body]), crc: crc32(text), length: text.length };
}

/**
 * Joins the head and `tail` into one gzip member. Two members in sequence would be valid too (RFC 1952, 2.2),
 * but curl stops after the first with "Failed reading the chunked-encoded stream".
 */
export function gzipJoin(head: GzipHead, tail: Buffer): Buffer {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(tail, head.crc), 0);
  trailer.writeUInt32LE((head.length + tail.length) % 2 ** 32, 4);
  return Buffer.concat([head.bytes, deflateRawSync(tail), trailer]);
}
