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

/** An answer of which the SDK has not read the body yet. */
interface HttpAnswer {
  readonly statusCode: number;
  body?: unknown;
}

/** A local time without a zone would be read in the zone of this machine. */
const TIME_WITH_ZONE = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/;

/**
 * Takes the page out of the command's answer before the SDK reads it, and leaves the SDK an answer without a body. The
 * SDK takes some four times the CPU for a thousand keys, most of it in one turn of the event loop.
 *
 * @returns the page, to be asked for when the command has been sent; null when its answer is not a whole page, e.g. a
 *   portal or a proxy answered in place of S3. The SDK gets such an answer as it came, because it knows S3's errors.
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

/** Each piece of the body is read in a turn of its own. */
async function takeFrom(answer: HttpAnswer): Promise<Listed | null> {
  const { body } = answer;
  if (answer.statusCode !== 200 || !(body instanceof Readable)) return null;
  const pieces: Uint8Array[] = [];
  const decoder = new TextDecoder();
  const reader = createReader();
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    reader.read(decoder.decode(piece, { stream: true }));
  }
  const listed = reader.end();
  answer.body = Readable.from(listed === null ? pieces : []);
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
  let isEmpty = true;
  let isBroken = false;

  const parser = new Parser(
    {
      onopentagname: (name) => {
        open.push(name);
        text = '';
        isEmpty = true;
      },
      ontext: (more) => {
        text += more;
        isEmpty = false;
      },
      onclosetag: (name, isImplied) => {
        // The parser closes what was left open; it says the same of `<Prefix/>`, which has no content.
        if (isImplied && !isEmpty) isBroken = true;
        isEmpty = false;
        open.pop();
        const [root, parent] = open;
        if (root !== 'ListBucketResult') return;
        if (open.length === 2 && parent === 'Contents') fields.set(name, text);
        else if (open.length === 1 && name !== 'Contents') page.set(name, text);
        else if (open.length === 1) {
          const object = objectOf(fields);
          if (object === null) isBroken = true;
          else objects.push(object);
          fields.clear();
        }
      },
    },
    { xmlMode: true },
  );

  return {
    read: (xml) => {
      parser.write(xml);
    },
    end: () => {
      parser.end();
      const truncated = page.get('IsTruncated');
      const next = page.get('NextContinuationToken') ?? null;
      if (isBroken || (truncated !== 'false' && (truncated !== 'true' || next === null))) return null;
      return { kind: 'listed', objects, next: truncated === 'true' ? next : null };
    },
  };
}

function objectOf(fields: ReadonlyMap<string, string>): ListedObject | null {
  const key = fields.get('Key') ?? '';
  const size = fields.get('Size') ?? '';
  const modified = fields.get('LastModified') ?? '';
  const lastModified = TIME_WITH_ZONE.test(modified) ? Date.parse(modified) : Number.NaN;
  if (key === '' || !/^\d+$/.test(size) || Number.isNaN(lastModified)) return null;
  return { key, bytes: Number(size), lastModified, storageClass: fields.get('StorageClass') ?? 'STANDARD' };
}
