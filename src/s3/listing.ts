import { Readable } from 'node:stream';
import type { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { Parser } from 'htmlparser2';
import type { Unknown } from './failure.ts';

export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
  /** Epoch milliseconds, on the storage's clock. */
  readonly lastModified: number;
  /** In S3's words, e.g. `GLACIER`; `STANDARD` when the server names none. */
  readonly storageClass: string;
}

export interface Listed {
  readonly kind: 'listed';
  readonly objects: readonly ListedObject[];
  /** Continuation token for the next page, to be passed as `after`; null on the last page. */
  readonly next: string | null;
}

export type ListAnswer = Listed | Unknown;

/** An answer whose body the SDK has not read yet. */
interface HttpAnswer {
  readonly statusCode: number;
  body?: unknown;
}

/** More than any page: it has at most 1,000 keys of 1,024 bytes, and each byte may be written in six characters. */
const MOST_BYTES = 16 * 2 ** 20;
/** The deepest element of a page is the fourth. The parser's time grows with the square of the depth. */
const DEEPEST = 8;
/** The fields that a page is made of. */
const PAGE_FIELDS = new Set(['IsTruncated', 'NextContinuationToken', 'EncodingType']);
const OBJECT_FIELDS = new Set(['Key', 'Size', 'LastModified', 'StorageClass']);

/** A local time without a zone would be read in the zone of this machine. */
const TIME_WITH_ZONE = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/;

/**
 * Takes the page out of the command's answer before the SDK reads it, and leaves the SDK an answer without a body. The
 * SDK takes several times the CPU for a thousand keys, most of it in one turn of the event loop.
 *
 * @returns a function that gives the page once the command was sent. It gives null when the answer is not a whole page,
 *   e.g. when a portal or a proxy answered in place of S3. Such an answer goes to the SDK unchanged, unless it is too
 *   long: the SDK knows S3's errors.
 */
export function takeListing(command: ListObjectsV2Command): () => Listed | null {
  let listed: Listed | null = null;
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      listed = await takeFrom(result.response as HttpAnswer);
      return result;
    },
    // The closest to the wire: no other middleware has read the body.
    { step: 'deserialize', priority: 'low', name: 'takeListing' },
  );
  return () => listed;
}

/** Reads the body piece by piece, as it arrives. */
async function takeFrom(answer: HttpAnswer): Promise<Listed | null> {
  const { body } = answer;
  if (answer.statusCode >= 300 || !(body instanceof Readable)) return null;
  answer.body = Readable.from([]);
  const pieces: Uint8Array[] = [];
  let size = 0;
  const decoder = new TextDecoder();
  const reader = createReader();
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    size += piece.length;
    // Leaving the loop ends the connection.
    if (size > MOST_BYTES) return null;
    reader.read(decoder.decode(piece, { stream: true }));
  }
  const listed = reader.end();
  if (listed === null) answer.body = Readable.from(pieces);
  return listed;
}

/** Reads `<ListBucketResult>`, piece by piece. */
function createReader(): { read(xml: string): void; end(): Listed | null } {
  const page = new Map<string, string>();
  const fields = new Map<string, string>();
  const objects: ListedObject[] = [];
  /** The names of the open elements, the root first. */
  const open: string[] = [];
  let text = '';
  /** Whether the present element has no element within. */
  let isLeaf = true;
  /** Whether the root was closed. */
  let isOver = false;
  let isBroken = false;

  /** A field that comes twice or holds elements, and an error among the fields, make it no page. */
  function keep(
    into: Map<string, string>,
    fieldsOf: ReadonlySet<string>,
    name: string,
    value: string | null,
  ): void {
    if (name === 'Error') isBroken = true;
    if (!fieldsOf.has(name)) return;
    if (value === null || into.has(name)) isBroken = true;
    else into.set(name, value);
  }

  const parser = new Parser(
    {
      onopentagname: (name) => {
        open.push(name);
        if (isOver || open.length > DEEPEST) isBroken = true;
        text = '';
        isLeaf = true;
      },
      ontext: (more) => {
        text += more;
      },
      onclosetag: (name, isImplied) => {
        // The parser itself closes what was left open, and reports it as implied. It reports `<Prefix/>` so too.
        if (isImplied && !(isLeaf && text === '')) isBroken = true;
        const value = isLeaf ? text : null;
        isLeaf = false;
        open.pop();
        isOver = open.length === 0;
        const [root, parent] = open;
        if (root !== 'ListBucketResult') return;
        if (open.length === 1 && name === 'Contents') {
          const object = objectOf(fields);
          if (object === null) isBroken = true;
          else objects.push(object);
          fields.clear();
        } else if (open.length === 1) keep(page, PAGE_FIELDS, name, value);
        else if (open.length === 2 && parent === 'Contents') keep(fields, OBJECT_FIELDS, name, value);
      },
    },
    { xmlMode: true },
  );

  return {
    read: (xml) => {
      if (!isBroken) parser.write(xml);
    },
    end: () => {
      if (!isBroken) parser.end();
      const isTruncated = page.get('IsTruncated')?.toLowerCase();
      const next = isTruncated === 'true' ? (page.get('NextContinuationToken') ?? '') : null;
      // Without a token the listing would begin again.
      if (isBroken || next === '' || (next === null && isTruncated !== 'false')) return null;
      // We ask for no encoding, so keys in one are not the keys of the bucket.
      if ((page.get('EncodingType') ?? '') !== '') return null;
      return { kind: 'listed', objects, next };
    },
  };
}

function objectOf(fields: ReadonlyMap<string, string>): ListedObject | null {
  const key = fields.get('Key') ?? '';
  const size = fields.get('Size') ?? '';
  const modified = fields.get('LastModified') ?? '';
  const lastModified = TIME_WITH_ZONE.test(modified) ? Date.parse(modified) : Number.NaN;
  const bytes = /^\d+$/.test(size) ? Number(size) : Number.NaN;
  if (key === '' || !Number.isSafeInteger(bytes) || Number.isNaN(lastModified)) return null;
  return { key, bytes, lastModified, storageClass: fields.get('StorageClass') || 'STANDARD' };
}
