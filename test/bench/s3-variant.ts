/** One way to look references up, measured in a process of its own: `node s3-variant.js '{"variant":…}'`. */
import { Agent, request } from 'node:http';
import { HeadObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { pino } from 'pino';
import { NO_PROXIES } from '../../src/s3/agents.ts';
import { openObjectStore } from '../../src/s3/client.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import { secret } from '../../src/lib/secret.ts';
import { lookUp } from '../../src/objects/look-up.ts';
import { signByHand } from '../support/sigv4.ts';
import { buildWorld, toldBy, wantedOf, windowOf } from './s3-world.ts';
import type { WorldGroup } from './s3-world.ts';

export type Variant =
  | 'sdk-head'
  | 'ours-head'
  | 'hand-head'
  | 'sdk-list'
  | 'ours-list'
  | 'ours-dag'
  | 'ours-range'
  | 'ours-plan';

export interface Task {
  readonly variant: Variant;
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Each part is one measurement: the names of the groups that are looked up together. */
  readonly parts: readonly (readonly string[])[];
  /** How many of their references the variants of HEAD look up at most. */
  readonly most: number;
}

export interface Measured {
  readonly references: number;
  readonly requests: number;
  readonly lists: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

type Way = (groups: readonly WorldGroup[], most: number) => Promise<number>;

const CONCURRENCY = 16;
const bucket = 'xcom';
const never = new AbortController().signal;
const task = JSON.parse(process.argv[2] ?? '') as Task;
const sent = { head: 0, list: 0 };
const failures: string[] = [];

async function together<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

/** Picks references evenly from all groups, so that a part stands for the whole. */
function some(groups: readonly WorldGroup[], most: number): string[] {
  const all = groups.flatMap(wantedOf);
  const every = Math.max(1, all.length / most);
  return Array.from(
    { length: Math.floor(all.length / every) },
    (_, index) => all[Math.floor(index * every)] ?? '',
  );
}

function openSdk(): S3Client {
  const { endpoint, region, accessKeyId, secretAccessKey } = task;
  return new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 2,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({
      httpAgent: new Agent({ keepAlive: true, maxSockets: CONCURRENCY }),
    }),
  });
}

function openOurs(): ObjectStore {
  const { endpoint, region, accessKeyId } = task;
  return openObjectStore(
    {
      region,
      endpoint,
      accessKeyId,
      secretAccessKey: secret(task.secretAccessKey),
      sessionToken: null,
      profile: null,
      role: null,
      forcePathStyle: true,
      authorities: null,
      proxies: NO_PROXIES,
      identityProxies: NO_PROXIES,
      sendsChecksums: true,
      asker: 'workers',
      variants: {},
      agent: null,
      profileKeys: null,
    },
    {
      observer: {
        request: (operation) => {
          if (operation === 'head' || operation === 'list') sent[operation] += 1;
        },
        failure: (operation, reason) => failures.push(`${operation} ${reason}`),
      },
      log: pino({ level: 'silent' }),
      // A machine that is too busy must not cause timeouts: this benchmark does not measure them.
      requestTimeoutMs: 120_000,
    },
  );
}

function sdkHead(): Way {
  const client = openSdk();
  return async (groups, most) => {
    const keys = some(groups, most);
    await together(keys, async (key) => {
      await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      sent.head += 1;
    });
    return keys.length;
  };
}

function handHead(): Way {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const { host, hostname, port } = new URL(task.endpoint);
  const head = (key: string) =>
    new Promise<void>((resolve, reject) => {
      const path = `/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
      const headers = signByHand({ ...task, method: 'HEAD', path, host, at: new Date() });
      request({ agent, hostname, port, path, method: 'HEAD', headers, setHost: false }, (response) => {
        if (response.statusCode !== 200)
          reject(new Error(`HEAD was answered with ${response.statusCode ?? 0}`));
        response.resume().once('end', resolve);
      })
        .once('error', reject)
        .end();
      sent.head += 1;
    });
  return async (groups, most) => {
    const keys = some(groups, most);
    await together(keys, head);
    return keys.length;
  };
}

function oursHead(): Way {
  const store = openOurs();
  return async (groups, most) => {
    const keys = some(groups, most);
    await together(keys, async (key) => {
      const { kind } = await store.head({ bucket, key }, never);
      if (kind !== 'present') throw new Error(`HEAD: ${kind}`);
    });
    return keys.length;
  };
}

/** Lists the keys with a prefix. Ours starts behind `startAfter` and ends with the page that reaches `until`. */
type Pages = (range: { prefix: string; startAfter: string; until: string }) => Promise<string[]>;

function sdkPages(): Pages {
  const client = openSdk();
  return async ({ prefix }) => {
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      );
      sent.list += 1;
      for (const { Key: key } of page.Contents ?? []) if (key !== undefined) keys.push(key);
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return keys;
  };
}

function oursPages(): Pages {
  const store = openOurs();
  return async ({ prefix, startAfter, until }) => {
    const keys: string[] = [];
    let after: string | null = null;
    do {
      const page = await store.list({ bucket, prefix, after, startAfter }, never);
      if (page.kind !== 'listed') throw new Error(`LIST: ${page.reason}`);
      for (const { key } of page.objects) keys.push(key);
      after = page.next;
    } while (after !== null && (keys.at(-1) ?? '') < until);
    return keys;
  };
}

const END = '\u{10FFFF}';

/**
 * Looks references up by LIST. `along` says what is listed at a time: a run, all of a dag in the bucket, or the part
 * of a dag that is in the window.
 */
function listing(pages: Pages, along: 'run' | 'dag' | 'range'): Way {
  return async (groups) => {
    const wanted = new Set(groups.flatMap(wantedOf));
    let found = 0;
    const ranges = groups.flatMap((group) => {
      const runs = windowOf(group);
      if (along === 'run') return runs.map(({ prefix }) => ({ prefix, startAfter: prefix, until: END }));
      return [...new Set(runs.map(({ dag }) => dag))].map((dag) => {
        const ofDag = runs.filter((run) => run.dag === dag);
        const prefix = `xcom/${dag}/`;
        const last = ofDag.at(-1)?.keys.at(-1)?.key ?? END;
        return along === 'dag'
          ? { prefix, startAfter: prefix, until: END }
          : { prefix, startAfter: ofDag[0]?.prefix ?? prefix, until: last };
      });
    });
    await together(ranges, async (range) => {
      for (const key of await pages(range)) if (wanted.has(key)) found += 1;
    });
    if (found !== wanted.size) throw new Error(`LIST found ${found} of ${wanted.size}`);
    return found;
  };
}

function oursPlan(): Way {
  const store = openOurs();
  const stores = { of: () => store, sent: () => sent.head + sent.list };
  return async (groups) => {
    const told = groups.flatMap(toldBy);
    const answer = await lookUp(
      told,
      { stores, ceiling: 1_000_000, until: Infinity, now: Date.now() },
      never,
    );
    const there = answer.found.filter(({ finding }) => finding.kind === 'present').length;
    if (there !== groups.flatMap(wantedOf).length) {
      const missing = answer.found.length - there;
      const { unanswered, left } = answer;
      throw new Error(
        `The plan found ${there}, ${missing} missing, ${unanswered.length} unanswered, ${left.length} left: ${failures.join()}`,
      );
    }
    return there;
  };
}

const ways: Record<Variant, () => Way> = {
  'sdk-head': sdkHead,
  'ours-head': oursHead,
  'hand-head': handHead,
  'sdk-list': () => listing(sdkPages(), 'run'),
  'ours-list': () => listing(oursPages(), 'run'),
  'ours-dag': () => listing(oursPages(), 'dag'),
  'ours-range': () => listing(oursPages(), 'range'),
  'ours-plan': oursPlan,
};

const world = buildWorld();
const way = ways[task.variant]();
const measured: Measured[] = [];
for (const part of task.parts) {
  const groups = world.filter(({ name }) => part.includes(name));
  // Warm up: in a process that runs for weeks, this code has been compiled long ago.
  await way(groups, Math.min(task.most, 1_000));
  Object.assign(sent, { head: 0, list: 0 });
  const before = { cpu: process.cpuUsage(), at: performance.now() };
  const references = await way(groups, task.most);
  const { user, system } = process.cpuUsage(before.cpu);
  measured.push({
    references,
    requests: sent.head + sent.list,
    lists: sent.list,
    seconds: (performance.now() - before.at) / 1_000,
    cpuSeconds: (user + system) / 1e6,
  });
}
console.log(JSON.stringify(measured));
process.exit(0);
