import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { S3Client } from '@aws-sdk/client-s3';
import {
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { HEAD_COST, PAGE_COST } from '../../src/objects/planner.ts';
import { lookUp } from '../../src/objects/look-up.ts';
import type { WorldGroup } from '../bench/s3-world.ts';
import { buildWorld, toldBy, wantedOf, windowOf } from '../bench/s3-world.ts';
import type { HttpFaultProxy } from '../support/http-fault-proxy.ts';
import { startHttpFaultProxy } from '../support/http-fault-proxy.ts';
import { recordRequests, storesOf } from '../support/s3.ts';
import { ACCOUNT } from './servers.ts';
import type { World } from './world.ts';
import { never } from './world.ts';

/** Counts of the requests that came through the door. */
export interface Counted {
  readonly list: number;
  readonly head: number;
}

/** The requests that one way to look at a group of references took. */
export interface WayOfGroup extends Counted {
  readonly group: string;
  readonly way: string;
}

export interface Requests {
  readonly references: number;
  readonly missing: number;
  readonly ours: Counted;
  /** For each group, the cheapest way of the bare SDK that gave only right answers. */
  readonly sdk: readonly WayOfGroup[];
  /** The same with s5cmd, whose `ls` can only begin at the beginning; null when s5cmd is not there. */
  readonly s5cmd: readonly WayOfGroup[] | null;
}

/** The price in HEADs, by the prices of S3 Standard, which the planner uses. */
export function priceOf({ list, head }: Counted): number {
  return head + (list * PAGE_COST) / HEAD_COST;
}

export function sumOf(ways: readonly Counted[]): Counted {
  return {
    list: ways.reduce((sum, { list }) => sum + list, 0),
    head: ways.reduce((sum, { head }) => sum + head, 0),
  };
}

const DAGS: Readonly<Record<string, number>> = {
  mapped: 1,
  leaky: 1,
  hourly: 4,
  daily: 20,
  quarterly: 2,
};
const TOGETHER = 16;
const MISSING_EVERY = 100;

/** The world of `npm run bench:s3`, with only as many dags of each sort as every server can take in a minute. */
function smallWorld(): readonly WorldGroup[] {
  const groups = buildWorld();
  const small = groups.map((group) => {
    const dags = [...new Set(group.runs.map(({ dag }) => dag))].slice(0, DAGS[group.name]);
    return { ...group, runs: group.runs.filter(({ dag }) => dags.includes(dag)) };
  });
  return [...small, ...groups.filter(({ name }) => name === 'mapped').map(inBothCases)];
}

/** Task names in upper and lower case: some servers list them in an order of their own. */
const TASKS = ['Load', 'extract', 'LOAD_2', 'load'];

function inBothCases(group: WorldGroup): WorldGroup {
  const runs = group.runs.slice(-1).map((each) => ({
    ...each,
    keys: each.keys
      .map((one, at) => ({
        ...one,
        key: one.key.replace('/task_0/', `/${TASKS[at % TASKS.length] ?? ''}/`),
      }))
      .sort((a, b) => (a.key < b.key ? -1 : 1)),
  }));
  return { ...group, name: 'in both cases', runs };
}

export async function requestsOn(world: World, s5cmd: string | null): Promise<Requests> {
  const groups = smallWorld();
  const wanted = groups.flatMap(wantedOf);
  const missing = new Set(wanted.filter((_, at) => at % MISSING_EVERY === 50));
  const bucket = await world.newBucket();
  const all = groups.flatMap(({ runs }) => runs.flatMap(({ keys }) => keys.map(({ key }) => key)));
  await together(
    all.filter((key) => !missing.has(key)),
    async (key) => {
      await world.aws.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'value' }));
    },
  );
  const { hostname: host, port } = new URL(world.endpoint);
  const door = await startHttpFaultProxy({ upstream: { host, port: Number(port) } });
  const aws = world.through(door.url);
  try {
    const asked = { door, bucket, missing };
    return {
      references: wanted.length,
      missing: missing.size,
      ours: await counted(door, () => lookAsPlanned(world, groups, asked)),
      sdk: [
        ...(await bestOf(groups, sdkWays(aws, asked), asked)),
        await bucketSeen(door, 'HeadBucket', async () => {
          await aws.send(new HeadBucketCommand({ Bucket: bucket }));
        }),
      ],
      s5cmd:
        s5cmd === null
          ? null
          : [
              ...(await bestOf(groups, s5cmdWays(s5cmd, asked), asked)),
              await bucketSeen(door, 'head', async () => {
                await obey(s5cmd, door, [`head "s3://${bucket}"`]);
              }),
            ],
    };
  } finally {
    aws.destroy();
    await door.stop();
  }
}

interface Asked {
  readonly door: HttpFaultProxy;
  readonly bucket: string;
  readonly missing: ReadonlySet<string>;
}

async function counted(door: HttpFaultProxy, work: () => Promise<void>): Promise<Counted> {
  const before = { ...door.requests };
  await work();
  return { list: door.requests.list - before.list, head: door.requests.head - before.head };
}

/**
 * A HEAD answers 404 if the bucket is gone as well: a mix is safe only with one look at the bucket after the last
 * HEAD.
 */
async function bucketSeen(door: HttpFaultProxy, way: string, look: () => Promise<void>): Promise<WayOfGroup> {
  return { group: 'the bucket', way, ...(await counted(door, look)) };
}

/** Looks up all references in one call, as a cycle does. */
async function lookAsPlanned(
  world: World,
  groups: readonly WorldGroup[],
  { door, bucket, missing }: Asked,
): Promise<void> {
  const observer = recordRequests();
  const store = world.open({ endpoint: door.url }, observer);
  const told = groups.flatMap(toldBy).map((run) => ({ ...run, location: { ...run.location, bucket } }));
  const { found } = await lookUp(
    told,
    { stores: storesOf(store, observer), ceiling: 1_000_000, until: Infinity, now: Date.now() },
    never,
  );
  const present = found.filter(({ finding }) => finding.kind === 'present').map(({ item }) => item);
  check(groups, { missing, present });
  if (found.length !== groups.flatMap(wantedOf).length) throw new Error('The planner left some out');
}

/** A way finds the objects of a group that exist: all others are reported missing. */
interface Way {
  readonly name: string;
  readonly find: (group: WorldGroup) => Promise<readonly string[]>;
}

async function bestOf(
  groups: readonly WorldGroup[],
  ways: readonly Way[],
  { door, missing }: Asked,
): Promise<readonly WayOfGroup[]> {
  const best: WayOfGroup[] = [];
  for (const group of groups) {
    const tried: WayOfGroup[] = [];
    for (const { name, find } of ways) {
      const cost = await counted(door, async () => {
        check([group], { missing, present: await find(group) });
      });
      tried.push({ group: group.name, way: name, ...cost });
    }
    const [cheapest] = tried.sort((a, b) => priceOf(a) - priceOf(b));
    if (cheapest !== undefined) best.push(cheapest);
  }
  return best;
}

/** @throws {Error} when a way's result differs from what exists: such a way is not safe. */
function check(
  groups: readonly WorldGroup[],
  { missing, present }: { missing: ReadonlySet<string>; present: readonly string[] },
): void {
  const found = new Set(present);
  const wrong = groups.flatMap(wantedOf).filter((key) => found.has(key) === missing.has(key));
  if (wrong.length > 0) throw new Error(`${wrong.length} are said wrong, ${wrong[0] ?? ''} for one`);
}

/**
 * Ways that list, and send a HEAD for each key that the listing lacks: only AWS can be believed by listings alone.
 */
function sdkWays(aws: S3Client, { bucket }: Asked): readonly Way[] {
  const isThere = async (key: string) => {
    try {
      await aws.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      return true;
    } catch (error) {
      if ((error as Error).name !== 'NotFound') throw error;
      return false;
    }
  };
  const heads = async (keys: readonly string[]) => {
    const there: string[] = [];
    await together(keys, async (key) => {
      if (await isThere(key)) there.push(key);
    });
    return there;
  };
  const pages = async (range: { prefix: string; startAfter?: string; until?: string }) => {
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const page = await aws.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: range.prefix,
          ...(range.startAfter === undefined ? {} : { StartAfter: range.startAfter }),
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      );
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key);
      token = page.NextContinuationToken;
    } while (token !== undefined && (range.until === undefined || (keys.at(-1) ?? '') < range.until));
    return keys;
  };
  const listing = async (group: WorldGroup, ranges: readonly Parameters<typeof pages>[0][]) => {
    const listed: string[] = [];
    await together(ranges, async (range) => {
      listed.push(...(await pages(range)));
    });
    return completed(group, listed, heads);
  };
  return [
    { name: 'a HEAD each', find: (group) => heads(wantedOf(group)) },
    {
      name: 'LIST of each run',
      find: (group) =>
        listing(
          group,
          windowOf(group).map(({ prefix }) => ({ prefix })),
        ),
    },
    {
      name: 'LIST of each dag',
      find: (group) =>
        listing(
          group,
          dagsOf(group).map(({ prefix }) => ({ prefix })),
        ),
    },
    {
      name: 'LIST of the window of each dag',
      find: (group) => listing(group, dagsOf(group)),
    },
  ];
}

function dagsOf(group: WorldGroup): { prefix: string; startAfter: string; until: string }[] {
  const runs = windowOf(group);
  return [...new Set(runs.map(({ dag }) => dag))].map((dag) => {
    const ofDag = runs.filter((run) => run.dag === dag);
    return {
      prefix: `xcom/${dag}/`,
      startAfter: ofDag[0]?.prefix ?? '',
      until: ofDag.at(-1)?.keys.at(-1)?.key ?? '',
    };
  });
}

async function completed(
  group: WorldGroup,
  listed: readonly string[],
  heads: (keys: readonly string[]) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const seen = new Set(listed);
  return [...listed, ...(await heads(wantedOf(group).filter((key) => !seen.has(key))))];
}

const run = promisify(execFile);

/** The output of s5cmd. For a missing key it fails and goes on. */
async function obey(program: string, door: HttpFaultProxy, commands: readonly string[]): Promise<string> {
  if (commands.length === 0) return '';
  const folder = await mkdtemp(join(tmpdir(), 'xcom-s5cmd-'));
  try {
    const file = join(folder, 'commands');
    await writeFile(file, commands.join('\n'));
    const { accessKeyId, secretAccessKey, region } = ACCOUNT;
    const env = {
      ...process.env,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: region,
    };
    const options = ['--endpoint-url', door.url, '--numworkers', String(TOGETHER), 'run', file];
    const { stdout } = await run(program, options, { env, maxBuffer: 2 ** 26 }).catch(
      (error: unknown) => error as { stdout: string },
    );
    return stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function s5cmdWays(program: string, { door, bucket }: Asked): readonly Way[] {
  const among = (group: WorldGroup, text: string) =>
    wantedOf(group).filter((key) => text.includes(`s3://${bucket}/${key}`));
  const heads = async (group: WorldGroup, keys: readonly string[]) =>
    among(
      group,
      await obey(
        program,
        door,
        keys.map((key) => `head "s3://${bucket}/${key}"`),
      ),
    );
  const listing = async (group: WorldGroup, prefixes: readonly string[]) => {
    const commands = prefixes.map((prefix) => `ls --show-fullpath "s3://${bucket}/${prefix}*"`);
    const listed = among(group, await obey(program, door, commands));
    return completed(group, listed, (keys) => heads(group, keys));
  };
  return [
    { name: 'head each', find: (group) => heads(group, wantedOf(group)) },
    {
      name: 'ls of each run',
      find: (group) =>
        listing(
          group,
          windowOf(group).map(({ prefix }) => prefix),
        ),
    },
    {
      name: 'ls of each dag',
      find: (group) =>
        listing(
          group,
          dagsOf(group).map(({ prefix }) => prefix),
        ),
    },
  ];
}

async function together<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: TOGETHER }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
