import { spawn } from 'node:child_process';
import { once } from 'node:events';
import autocannon from 'autocannon';

/** Shows what the machine can do when nothing is computed: the process only sends the same bytes. */
const BARE = `
  const [url, encoding] = process.argv.slice(1);
  const get = (await import('node:http')).get;
  const body = await new Promise((resolve) => get(url, { headers: { 'accept-encoding': encoding } }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part)).on('end', () => resolve(Buffer.concat(parts)));
  }));
  const server = (await import('node:http')).createServer((request, response) => response.end(body));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));`;

export type Encoding = 'identity' | 'gzip';

export async function besideBare<Result>(
  metrics: string,
  encoding: Encoding,
  run: (url: string) => Promise<Result>,
): Promise<Result> {
  const bare = spawn(process.execPath, ['--input-type=module', '-e', BARE, metrics, encoding]);
  try {
    const [line] = (await once(bare.stdout, 'data')) as [Buffer];
    return await run(`http://127.0.0.1:${Number(line.toString())}/`);
  } finally {
    bare.kill();
  }
}

export interface Asked {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly scrapes: number;
  readonly failed: number;
}

export async function ask(
  url: string,
  encoding: Encoding,
  how: { readonly connections: number; readonly duration: number; readonly overallRate?: number },
): Promise<Asked> {
  const { latency, non2xx, errors, timeouts, requests } = await autocannon({
    url,
    ...how,
    headers: { 'accept-encoding': encoding },
  });
  const { p50, p99, max } = latency;
  return { p50, p99, max, scrapes: requests.total, failed: non2xx + errors + timeouts };
}
