import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** An object as AWS describes it after a lifecycle rule or an upload has put it into a storage class. */
export interface Archived {
  readonly storageClass: string;
  /** True while a restore is under way, false when it has ended; absent when nobody asked for one. */
  readonly restoring?: boolean;
  /** The archive tier of an object in INTELLIGENT_TIERING. */
  readonly tier?: string;
  /** How many days ago the object was written, as a listing tells; absent: the listing's own time stays. */
  readonly agoDays?: number;
  /** Whether GET returns the object all the same, as from a storage class of Ceph that only has the name. */
  readonly isGivenOut?: boolean;
}

/** A door in front of an S3 server without storage classes: it answers for some objects as AWS documents. */
export interface ArchiveDoor {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** The archived objects, by key. */
  readonly archived: Map<string, Archived>;
  stop(): Promise<void>;
}

/**
 * Sources: the S3 API reference, HeadObject and GetObject (`x-amz-storage-class`, `x-amz-restore`, `x-amz-archive-status`,
 * InvalidObjectState) and ListObjectsV2 (`StorageClass`).
 */
export async function startArchiveDoor(upstream: {
  readonly host: string;
  readonly port: number;
}): Promise<ArchiveDoor> {
  const archived = new Map<string, Archived>();
  const server = createServer((request, response) => {
    pass(request, response, { upstream, archived });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: '127.0.0.1',
    port,
    url: `http://127.0.0.1:${port}`,
    archived,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function pass(
  request: IncomingMessage,
  response: ServerResponse,
  {
    upstream,
    archived,
  }: {
    readonly upstream: { readonly host: string; readonly port: number };
    readonly archived: ReadonlyMap<string, Archived>;
  },
): void {
  const { method, url: path = '/', headers } = request;
  const key = decodeURIComponent((path.split('?')[0] ?? '').split('/').slice(2).join('/'));
  const object = archived.get(key);
  const onward = httpRequest(
    { ...upstream, agent: false, method, path, headers, setHost: false },
    (answer) => {
      void buffer(answer).then((body) => {
        const isThere = answer.statusCode === 200 || answer.statusCode === 206;
        if (method === 'GET' && object !== undefined && isThere && isKept(object)) refuse(response, object);
        else if (method === 'GET' && path.includes('list-type=2')) {
          const page = Buffer.from(relist(body.toString(), archived));
          response.writeHead(answer.statusCode ?? 502, { ...answer.headers, 'content-length': page.length });
          response.end(page);
        } else {
          const added = method === 'HEAD' && object !== undefined ? headersOf(object) : {};
          response.writeHead(answer.statusCode ?? 502, { ...answer.headers, ...added });
          response.end(body);
        }
      });
    },
  );
  onward.on('error', () => {
    response.destroy();
  });
  request.pipe(onward);
}

/** Whether GET refuses the object until it is restored. */
function isKept({ storageClass, restoring, tier, isGivenOut = false }: Archived): boolean {
  if (isGivenOut) return false;
  return tier !== undefined || (['GLACIER', 'DEEP_ARCHIVE'].includes(storageClass) && restoring !== false);
}

function headersOf({ storageClass, restoring, tier }: Archived): OutgoingHttpHeaders {
  const expiry = ', expiry-date="Fri, 21 Dec 2100 00:00:00 GMT"';
  return {
    'x-amz-storage-class': storageClass,
    ...(restoring === undefined
      ? {}
      : { 'x-amz-restore': `ongoing-request="${String(restoring)}"${restoring ? '' : expiry}` }),
    ...(tier === undefined ? {} : { 'x-amz-archive-status': tier }),
  };
}

function refuse(response: ServerResponse, { storageClass, tier }: Archived): void {
  const what = tier === undefined ? 'storage class' : 'access tier';
  const more = tier === undefined ? '' : `<AccessTier>${tier}</AccessTier>`;
  response.writeHead(403, { 'content-type': 'application/xml' });
  response.end(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>InvalidObjectState</Code><Message>The operation is not valid for the object's ${what}</Message><StorageClass>${storageClass}</StorageClass>${more}</Error>`,
  );
}

function relist(page: string, archived: ReadonlyMap<string, Archived>): string {
  return page.replace(/<Contents>.*?<\/Contents>/gs, (entry) => {
    const key = (/<Key>(.*?)<\/Key>/.exec(entry)?.[1] ?? '').replaceAll('&amp;', '&');
    const object = archived.get(decodeURIComponent(key.replaceAll('+', ' '))) ?? archived.get(key);
    if (object === undefined) return entry;
    const { storageClass, agoDays } = object;
    const said = entry
      .replace(/<StorageClass>.*?<\/StorageClass>/, '')
      .replace('</Contents>', `<StorageClass>${storageClass}</StorageClass></Contents>`);
    if (agoDays === undefined) return said;
    const at = new Date(Date.now() - agoDays * 86_400_000).toISOString();
    return said.replace(/<LastModified>.*?<\/LastModified>/, `<LastModified>${at}</LastModified>`);
  });
}
