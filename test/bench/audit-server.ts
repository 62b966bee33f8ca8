/**
 * Answers a LIST as S3 does, with keys that are made up: with a server that holds two million files, the benchmark
 * would measure that server. It runs in a process of its own, so that its CPU counts for neither side:
 * `node audit-server.js PORT OBJECTS DELAY_MS`.
 */
import { createServer } from 'node:http';
import { sortedKeys } from './audit-keys.ts';

const [port = 0, objects = 0, delayMs = 0] = process.argv.slice(2).map(Number);
const MOST = 1_000;

const keys = sortedKeys(objects);

/** The index of the first key that is not before a text; with `isBehind`, of the first key behind it. */
function bound(text: string, isBehind: boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const key = keys[middle] ?? '';
    if (key < text || (isBehind && key === text)) low = middle + 1;
    else high = middle;
  }
  return low;
}

const MODIFIED = new Date(Date.now() - 30 * 86_400_000).toISOString();

function page(query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const token = query.get('continuation-token');
  const after = query.get('start-after') ?? '';
  const from =
    token === null ? Math.max(bound(prefix, false), after === '' ? 0 : bound(after, true)) : Number(token);
  const contents: string[] = [];
  let at = from;
  for (; at < keys.length && contents.length < MOST && keys[at]?.startsWith(prefix) === true; at += 1)
    contents.push(
      `<Contents><Key>${keys[at] ?? ''}</Key><LastModified>${MODIFIED}</LastModified><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>1000</Size><StorageClass>STANDARD</StorageClass></Contents>`,
    );
  const isTruncated = at < keys.length && keys[at]?.startsWith(prefix) === true;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>xcom</Name><Prefix>${prefix}</Prefix><KeyCount>${contents.length}</KeyCount><MaxKeys>${MOST}</MaxKeys><IsTruncated>${String(isTruncated)}</IsTruncated>${isTruncated ? `<NextContinuationToken>${at}</NextContinuationToken>` : ''}${contents.join('')}</ListBucketResult>`;
}

createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  const answer = () => {
    if (request.method !== 'GET' || url.searchParams.get('list-type') !== '2') {
      response.writeHead(url.pathname === '/healthy' ? 200 : 404).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'application/xml' }).end(page(url.searchParams));
  };
  if (delayMs > 0) setTimeout(answer, delayMs);
  else answer();
}).listen(port, '127.0.0.1');
