import { randomUUID } from 'node:crypto';
import { lookUp } from '../../src/objects/look-up.ts';
import type { LookedUp } from '../../src/objects/look-up.ts';
import { probe } from '../../src/probe/bucket.ts';
import type { Tried } from '../../src/probe/bucket.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import { recordRequests, storesOf } from '../support/s3.ts';
import type { AnswerDoor } from './answer-door.ts';
import { startAnswerDoor } from './answer-door.ts';
import type { Case, Cell } from './case.ts';
import { tally, wordOf } from './case.ts';
import type { World } from './world.ts';
import { never } from './world.ts';

/** The exporter's limit for a call; each of its two attempts may take half of it. */
const TIMEOUT_MS = 7_000;

export const ANSWERS: readonly Case[] = [
  { name: 'answers 2 s late', run: (world) => late(world, 2_000) },
  { name: 'answers 9 s late', run: (world) => late(world, 9_000) },
  { name: 'answers cut in the middle', run: cut },
];

const RUN = 'scheduled__2026-01-01T00:00:00+00:00';

interface Planted {
  readonly bucket: string;
  readonly keys: readonly string[];
  readonly there: ReadonlySet<string>;
}

/** Writes forty references of one task, half of them without an object. */
async function plant(world: World): Promise<Planted> {
  const bucket = await world.newBucket();
  const keys = Array.from({ length: 40 }, () => `xcom/Dag/${RUN}/Load/${randomUUID()}`);
  const there = keys.slice(0, 20);
  const wrote = await world.writer.fill({ bucket, keys: there }, '"value"');
  const failed = wrote.find(({ ok }) => !ok);
  if (failed !== undefined) throw new Error(`s3fs cannot write: ${failed.text ?? ''}`);
  return { bucket, keys, there: new Set(there) };
}

/** The answers of a look-up through the door, the number of its requests, and whether every answer is true. */
async function lookThrough(
  world: World,
  door: AnswerDoor,
  { bucket, keys, there }: Planted,
): Promise<{ words: string; isTrue: boolean }> {
  const observer = recordRequests();
  const store = openThrough(world, door, observer);
  const looked: LookedUp<string> = await lookUp(
    [
      {
        location: { connection: '', bucket, prefix: 'xcom', folder: `xcom/Dag/${RUN}/` },
        runId: RUN,
        waiting: keys.map((key) => ({ item: key, key, at: 0, asked: false })),
        settled: 0,
        others: 0,
      },
    ],
    {
      stores: storesOf(store, observer),
      ceiling: 10_000,
      until: performance.now() + 120_000,
      now: Date.now(),
    },
    never,
  );
  const { list, head } = observer.requests;
  const words = tally([
    ...looked.found
      .map(({ finding }) => finding.kind)
      .sort()
      .reverse(),
    ...looked.unanswered.map(({ unknown }) => wordOf(unknown)),
    ...looked.left.map(() => 'left'),
  ]);
  const isTrue = looked.found.every(
    ({ item, finding }) => finding.kind === (there.has(item) ? 'present' : 'missing'),
  );
  return { words: `${words} (${list} LIST, ${head} HEAD)`, isTrue };
}

function openThrough(world: World, door: AnswerDoor, observer = recordRequests()): ObjectStore {
  return world.open({ endpoint: door.url }, observer, TIMEOUT_MS);
}

async function probeThrough(world: World, door: AnswerDoor, bucket: string): Promise<Tried> {
  const target = { bucket, prefix: 'xcom', write: true, now: Date.now(), id: 'probe' };
  return probe(openThrough(world, door), target, never);
}

function stepsOf({ steps }: Tried): string {
  return steps
    .map((step) => {
      if (step.ok === null) return `${step.operation} not tried`;
      return step.ok ? `${step.operation} ok` : `${step.operation} ${step.reason} (${step.detail})`;
    })
    .join(', ');
}

/** Objects of probes that the server still has. */
async function litter(world: World, bucket: string): Promise<number> {
  const listed = await world.open().list({ bucket, prefix: 'xcom/.airflow', after: null }, never);
  if (listed.kind === 'unknown') throw new Error(listed.detail);
  return listed.objects.length;
}

/**
 * Answers in time change nothing. If they are too late nothing is known, least of all that an object is missing or
 * not written.
 */
async function late(world: World, delayMs: number): Promise<Cell> {
  const planted = await plant(world);
  const { bucket } = planted;
  const door = await startAnswerDoor(new URL(world.endpoint));
  try {
    door.setFault({ request: /./, answer: { delayMs } });
    const [byList, byHead, probed] = await Promise.all([
      lookThrough(world, door, planted),
      lookThrough(world, door, { ...planted, keys: planted.keys.slice(15, 25) }),
      probeThrough(world, door, bucket),
    ]);
    const written = await litter(world, bucket);
    door.setFault(null);
    await probeThrough(world, door, bucket);
    const left = await litter(world, bucket);
    const said = `${byList.words}; ${byHead.words}; probe: ${stepsOf(probed)}`;
    const inTime =
      /^20 present, 20 missing \([12] LIST, 20 HEAD\); 5 present, 5 missing \([01] LIST, 10 HEAD\); probe: put ok, head ok, get ok, list ok, delete ok$/;
    const tooLate =
      /^40 unknown, timeout \(.*\) \(2 LIST, 0 HEAD\); 10 unknown, timeout \(.*\) \(0 LIST, 20 HEAD\); probe: put timeout \(.*\), head timeout \(.*\), get not tried, list not tried, delete not tried$/;
    return {
      seen: `each answer ${delayMs / 1_000} s late, 7 s being allowed; a late probe leaves ${written}, the next one ${left}`,
      said,
      right:
        byList.isTrue &&
        byHead.isTrue &&
        (delayMs < TIMEOUT_MS / 2 ? inTime : tooLate).test(said) &&
        left === 0,
    };
  } finally {
    await door.stop();
  }
}

/** The server does what the request asks for, but only a part of its answer arrives. */
async function cut(world: World): Promise<Cell> {
  const planted = await plant(world);
  const { bucket } = planted;
  const door = await startAnswerDoor(new URL(world.endpoint));
  try {
    door.setFault({ request: /^HEAD /, answer: { bytes: 20 } });
    const head = await lookThrough(world, door, planted);
    door.setFault({ request: /^GET .*list-type=2/, answer: { bytes: 2_000 } });
    const list = await lookThrough(world, door, planted);
    door.setFault({ request: /^PUT /, answer: { bytes: 20 } });
    const put = await probeThrough(world, door, bucket);
    const left = await litter(world, bucket);
    return {
      seen: `HEAD cut in its head, LIST in its body, PUT in its answer; the probe leaves ${left}`,
      said: `HEAD: ${head.words}; LIST: ${list.words}; probe: ${stepsOf(put)}`,
      right:
        head.isTrue &&
        /^20 present, 20 unknown, unreachable /.test(head.words) &&
        /^40 unknown, unreachable /.test(list.words) &&
        /^put unreachable .*, head ok, get not tried, list ok, delete not tried$/.test(stepsOf(put)) &&
        left === 0,
    };
  } finally {
    await door.stop();
  }
}
