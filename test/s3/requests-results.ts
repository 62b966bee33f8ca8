import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Counted, Requests } from './requests.ts';
import { priceOf, sumOf } from './requests.ts';
import { SERVERS } from './servers.ts';

/** The most that the planner may cost, as a multiple of the best mix made by hand. */
export const BAR = 1.1;

const folder = new URL('./requests/', import.meta.url);

export function keepRequests(server: string, requests: Requests): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(`${server}.json`, folder), `${JSON.stringify(requests, null, 2)}\n`);
}

export function ratioOf({ ours, sdk }: Requests): number {
  return priceOf(ours) / priceOf(sumOf(sdk));
}

/** Writes REQUESTS.md from the kept results of every server. */
export function writeRequests(): void {
  const kept = SERVERS.flatMap(({ name, title }) => {
    const requests = requestsOf(name);
    return requests === null ? [] : [{ title, ...requests }];
  });
  const [first] = kept;
  if (first === undefined) return;
  const rows = kept.map((each) => {
    const { title, references, ours, sdk, s5cmd } = each;
    const words = (counted: Counted) =>
      `${counted.list} + ${counted.head} | ${((counted.list + counted.head) / references).toFixed(3)} | ${priceOf(counted).toFixed(0)}`;
    const ratio = ratioOf(each);
    return `| ${title} | ${words(ours)} | ${words(sumOf(sdk))} | ${s5cmd === null ? 'not run | | ' : words(sumOf(s5cmd))} | ${ratio <= BAR ? ratio.toFixed(2) : `**${ratio.toFixed(2)}**`} |`;
  });
  const groups = first.sdk.map(({ group }) => group);
  const chosen = kept.map(({ title, sdk }) => {
    const ways = groups.map((group) => sdk.find((each) => each.group === group)?.way ?? '');
    return `| ${[title, ...ways].join(' | ')} |`;
  });
  writeFileSync(
    new URL('./REQUESTS.md', import.meta.url),
    `# Requests for each reference on real S3 servers

Written by \`npm run test:s3\`: ${first.references} references, ${first.missing} of them without an object, in a bucket with dags of six sorts.
Each way goes through a door that counts, and has told all of them right on that server. The columns: LIST + HEAD, requests for each reference,
and their price in HEADs, for S3 Standard takes ${PAGE_IN_HEADS} times as much for a LIST.

The best mix is that of the bare SDK: for each sort the cheapest of a HEAD each and of three ways to list, in whole pages. A HEAD follows for
each key that they lack, and one look at the bucket at the end: a HEAD answers 404 for a bucket that is gone as well. s5cmd has its best mix
of \`head\` and \`ls\`. The bar: the exporter pays ${BAR.toFixed(2)} times the best mix at most.

| server | exporter | a reference | price | best mix, bare SDK | a reference | price | s5cmd | a reference | price | exporter / best mix |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
${rows.join('\n')}

## The best mix by hand

| server | ${groups.join(' | ')} |
|---${'|---'.repeat(groups.length)}|
${chosen.join('\n')}
`,
  );
}

const PAGE_IN_HEADS = priceOf({ list: 1, head: 0 });

function requestsOf(server: string): Requests | null {
  try {
    return JSON.parse(readFileSync(new URL(`${server}.json`, folder), 'utf8')) as Requests;
  } catch {
    return null;
  }
}
