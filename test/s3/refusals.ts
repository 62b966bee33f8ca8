import { vi } from 'vitest';
import { PutBucketVersioningCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { secret } from '../../src/lib/secret.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import type { S3Connection } from '../../src/s3/connection.ts';
import { probe } from '../../src/probe/bucket.ts';
import { freshId, probeInForce } from '../../src/probe/in-force.ts';
import { noteVersions } from '../../src/probe/own-versions.ts';
import { createWriteRefusals } from '../../src/probe/write-refusal.ts';
import { readConfig } from '../../src/settings/read-config.ts';
import { recordRequests } from '../support/s3.ts';
import type { Case, Cell } from './case.ts';
import { tally, wordOf } from './case.ts';
import { ACCOUNT } from './servers.ts';
import type { World } from './world.ts';
import { never, pathOf } from './world.ts';

export const REFUSALS: readonly Case[] = [
  { name: 'bucket gone', run: bucketGone },
  { name: 'bucket gone, probed', run: bucketGoneProbed },
  {
    name: 'key id unknown',
    run: (world) => asSomebody(world, { accessKeyId: 'AKIAUNKNOWN000000000' }, 'denied'),
  },
  {
    name: 'secret wrong',
    run: (world) => asSomebody(world, { secretAccessKey: secret('wrong-secret') }, 'denied'),
  },
  { name: 'region wrong', run: (world) => asSomebody(world, { region: 'eu-south-2' }, 'wrong_region') },
  ...[1, 5, 20, -1, -5, -20].map((minutes) => ({
    name: `clock ${Math.abs(minutes)} min ${minutes > 0 ? 'ahead' : 'behind'}`,
    run: (world: World) => clockOff(world, minutes),
  })),
  { name: 'versioned bucket', run: versioned },
  { name: 'versioning on, suspended and on, probed', run: versioningSwitched },
  { name: 'storage class named in a PUT', run: storageClass },
];

async function bucketGone(world: World): Promise<Cell> {
  const store = world.open();
  const target = { bucket: 'no-such-bucket', key: 'xcom/d/r/t/x' };
  const seen = await world.status('HEAD', pathOf(target.bucket, target.key));
  const answers = [
    await store.head(target, never),
    await store.get(target, never),
    await store.list({ bucket: target.bucket, prefix: '', after: null }, never),
  ];
  const put = await store.put({ ...target, body: Buffer.from('x') }, never);
  // A server that creates the bucket for a PUT then has the object: Airflow's push works as well.
  const after = wordOf(await store.head(target, never));
  const isGone = (answer: { kind: string; reason?: string }) => answer.reason === 'no_such_bucket';
  return {
    seen: `HEAD ${seen}${put.kind === 'done' ? '; a PUT makes the bucket' : ''}`,
    said: `${tally(answers.map(wordOf))}; PUT ${wordOf(put)}${put.kind === 'done' ? `, then ${after}` : ''}`,
    right: answers.every(isGone) && (put.kind === 'done' ? after === 'present' : isGone(put)),
  };
}

/**
 * The periodic probe writes nothing. The bucket does not exist afterwards either, even on a server where a PUT would
 * create it.
 */
async function bucketGoneProbed(world: World): Promise<Cell> {
  const bucket = 'mistyped-bucket';
  const seen = await world.status('HEAD', `/${bucket}`);
  const store = world.open();
  const config = readConfig({ argv: [`--xcom.path=s3://${bucket}/xcom`], env: {}, readFile: () => '' });
  const probed = await probeInForce(config, {
    stores: { of: () => store, connectionOf: () => world.connection() },
    refusals: createWriteRefusals(),
    id: 'probe',
    mayErase: true,
    signal: never,
  });
  const after = await world.status('HEAD', `/${bucket}`);
  const [put] = probed?.steps ?? [];
  return {
    seen: `HEAD ${seen}, then ${after}`,
    said: put?.ok === false ? `PUT not sent: ${put.reason} (${put.detail})` : 'a PUT was sent',
    right: seen === 404 && after === 404 && put?.ok === false && put.reason === 'no_such_bucket',
  };
}

/** A server that accepts these credentials answers them as it answers anybody else. */
async function asSomebody(
  world: World,
  changes: Partial<S3Connection>,
  expected: 'denied' | 'wrong_region',
): Promise<Cell> {
  const bucket = await world.newBucket();
  const there = 'xcom/d/r/t/there';
  await world.writer.write({ bucket, keys: [there] }, '"value"');
  const signer = {
    accessKeyId: changes.accessKeyId ?? ACCOUNT.accessKeyId,
    secretAccessKey: changes.secretAccessKey?.reveal() ?? ACCOUNT.secretAccessKey,
    region: changes.region ?? ACCOUNT.region,
  };
  const seen = [
    await world.status('HEAD', pathOf(bucket, there), signer),
    await world.status('HEAD', pathOf(bucket, `${there}-not`), signer),
  ];
  const store = world.open(changes);
  const heads = [
    await store.head({ bucket, key: there }, never),
    await store.head({ bucket, key: `${there}-not` }, never),
  ];
  const isTaken = seen[0] === 200;
  return {
    seen: isTaken ? `not checked: HEAD ${seen.join(', ')}` : `HEAD ${seen.join(', ')} (there, not there)`,
    said: heads.map(wordOf).join('; '),
    right: isTaken
      ? heads.map(wordOf).join() === 'present,missing'
      : heads.every((head) => head.kind === 'unknown' && head.reason === expected),
  };
}

/**
 * Sets this process's clock, which the SDK uses too. A 404 must cost one request, before and after the clock is right
 * again.
 */
async function clockOff(world: World, minutes: number): Promise<Cell> {
  const bucket = await world.newBucket();
  const there = 'xcom/d/r/t/there';
  await world.writer.write({ bucket, keys: [there] }, '"value"');
  const real = Date.now.bind(Date);
  const seen = await world.status('HEAD', pathOf(bucket, there), { at: new Date(real() + minutes * 60_000) });
  const observer = recordRequests();
  const store = world.open({}, observer);
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => real() + minutes * 60_000);
  try {
    const first = wordOf(await store.head({ bucket, key: there }, never));
    const firstCost = observer.requests.head;
    const said: string[] = [];
    for (let at = 0; at < 10; at += 1)
      said.push(wordOf(await store.head({ bucket, key: `${there}-${at}` }, never)));
    const cost = observer.requests.head - firstCost;
    return {
      seen: `HEAD ${seen}`,
      said: `${first} (${firstCost} HEAD); ${tally(said)} (${cost} HEAD)`,
      right:
        first === 'present' &&
        tally(said) === '10 missing' &&
        firstCost === (seen === 200 ? 1 : 2) &&
        cost === 10,
    };
  } finally {
    clock.mockRestore();
  }
}

async function versioned(world: World): Promise<Cell> {
  const bucket = await world.newBucket();
  try {
    await world.aws.send(
      new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    );
  } catch (error) {
    return { seen: `no versioning: ${(error as Error).name}`, said: 'not asked', right: true };
  }
  const store = world.open();
  const key = 'xcom/d/r/t/x';
  await world.writer.write({ bucket, keys: [key] }, '"value"');
  const before = wordOf(await store.head({ bucket, key }, never));
  await store.delete({ bucket, key }, never);
  const after = wordOf(await store.head({ bucket, key }, never));
  const named = new Set<string | null>();
  const noting: ObjectStore = {
    ...store,
    delete: async (target, signal) => {
      const answer = await store.delete(target, signal);
      if (answer.kind === 'done') named.add(answer.version);
      return answer;
    },
  };
  for (let probes = 0; probes < 3; probes += 1) {
    const own = noteVersions(noting);
    await probe(own.store, { bucket, prefix: 'xcom', write: true, now: Date.now(), id: 'probe' }, never);
    await own.erase(never);
  }
  const prefix = 'xcom/.airflow-xcom-exporter/';
  const left = await world.aws.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix }));
  const litter = [...(left.Versions ?? []), ...(left.DeleteMarkers ?? [])];
  // A version that no answer names cannot be deleted.
  const unnamed = litter.filter(({ VersionId }) => !named.has(VersionId ?? null)).length;
  return {
    seen: `three probes leave ${litter.length} versions and markers${unnamed === 0 ? '' : `, ${unnamed} of which no answer named`}`,
    said: `${before}, deleted: ${after}`,
    right: before === 'present' && after === 'missing' && litter.length === unnamed,
  };
}

/** Runs the exporter's probe, which writes one key again and again, and another key when that one is lost. */
async function versioningSwitched(world: World): Promise<Cell> {
  const bucket = await world.newBucket();
  const store = world.open();
  const config = readConfig({ argv: [`--xcom.path=s3://${bucket}/xcom`], env: {}, readFile: () => '' });
  const left: string[] = [];
  const said: string[] = [];
  let id = 'probe';
  for (const status of ['Enabled', 'Suspended', 'Enabled'] as const) {
    try {
      const VersioningConfiguration = { Status: status };
      await world.aws.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
    } catch (error) {
      return { seen: `no versioning: ${(error as Error).name}`, said: 'not asked', right: true };
    }
    for (let probes = 0; probes < 3; probes += 1) {
      const probed = await probeInForce(config, {
        stores: { of: () => store, connectionOf: () => world.connection() },
        refusals: createWriteRefusals(),
        id,
        mayErase: true,
        signal: never,
      });
      if (probed?.isKeySpent === true) id = freshId('probe');
      const works = probed?.steps.filter(({ ok }) => ok === true).length ?? 0;
      said.push(`× ${works} of 5${probed?.isKeySpent === true ? ' by a new key' : ''}`);
    }
    const listed = await world.aws.send(new ListObjectVersionsCommand({ Bucket: bucket }));
    left.push(`${(listed.Versions ?? []).length + (listed.DeleteMarkers ?? []).length}`);
  }
  return {
    seen: `versions and markers left: ${left.join(', then ')}`,
    said: tally(said),
    right: said.every((word) => word.startsWith('× 5 of 5')),
  };
}

async function storageClass(world: World): Promise<Cell> {
  const bucket = await world.newBucket();
  const store = world.open();
  const words: string[] = [];
  const said: string[] = [];
  let right = true;
  for (const named of ['STANDARD_IA', 'GLACIER']) {
    const key = `xcom/d/r/t/${named}`;
    const [wrote] = await world.writer.write({ bucket, keys: [key] }, '"value"', { StorageClass: named });
    const headers = await world.headers(pathOf(bucket, key));
    const [read] = await world.writer.read({ bucket, keys: [key] });
    const kept = headers.get('x-amz-storage-class') ?? 'none named';
    words.push(
      wrote?.ok === true
        ? `${named}: HEAD says ${kept}, ${read?.text === '"value"' ? 'readable' : `not readable (${read?.text ?? ''})`}`
        : `${named} refused`,
    );
    const target = { bucket, key };
    const head = await store.head(target, never);
    // The storage class is only a suspicion; one try to read is the proof.
    const isSuspect = head.kind === 'present' && head.archive !== null;
    const word = isSuspect ? `${head.archive}, ${(await store.peek(target, never)).kind}` : wordOf(head);
    said.push(`${named}: ${word}`);
    const isReadable = isSuspect ? word.endsWith('readable') : head.kind === 'present';
    right &&= isReadable === (read?.text === '"value"');
  }
  return { seen: words.join('; '), said: said.join('; '), right };
}
