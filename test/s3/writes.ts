import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { startHttpFaultProxy } from '../../src/demo/fault-proxy.ts';
import { probe } from '../../src/probe/bucket.ts';
import type { ObjectStore } from '../../src/s3/client.ts';
import type { Case, Cell } from './case.ts';
import { tally, wordOf } from './case.ts';
import type { World } from './world.ts';
import { never } from './world.ts';
import { RELEASES, startWriter } from './writer.ts';

export const WRITES: readonly Case[] = [
  { name: 'writes on a condition', run: onCondition },
  { name: 'checksums of a PUT', run: checksumsSent },
  { name: 'objects with checksums', run: checksumsKept },
];

/** The server's words for a refusal; null when it did what was asked. */
async function refusalOf(asked: Promise<unknown>): Promise<string | null> {
  try {
    await asked;
    return null;
  } catch (error) {
    const { name, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
    return `${name} (${$metadata?.httpStatusCode ?? 'no answer'})`;
  }
}

/**
 * Airflow and the exporter set no condition: both overwrite. An object that another writer put with a condition is
 * read like any other.
 */
async function onCondition(world: World): Promise<Cell> {
  const bucket = await world.newBucket();
  const store = world.open();
  const put = (key: string, body: string) =>
    refusalOf(
      world.aws.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, IfNoneMatch: '*' })),
    );
  const key = 'xcom/d/r/t/by-sdk';
  const first = await put(key, '"first"');
  const second = await put(key, '"the second"');
  const byS3fs = 'xcom/d/r/t/by-s3fs';
  const created = await world.writer.create({ bucket, keys: [byS3fs] }, '"first"');
  const again = await world.writer.create({ bucket, keys: [byS3fs] }, '"the second"');

  const said: string[] = [];
  let isTrue = true;
  for (const each of [key, byS3fs]) {
    const [read] = await world.writer.read({ bucket, keys: [each] });
    const head = await store.head({ bucket, key: each }, never);
    const isThere = read?.ok === true;
    said.push(head.kind === 'present' ? `${head.bytes} bytes` : wordOf(head));
    isTrue &&= isThere
      ? head.kind === 'present' && head.bytes === read.text?.length
      : head.kind === 'missing';
  }
  // The object is left as by a probe that died: the next probe finds its key taken.
  const target = { bucket, prefix: 'xcom', write: true, now: Date.now(), id: 'probe' };
  await store.put(
    { bucket, key: 'xcom/.airflow-xcom-exporter/probe-probe', body: Buffer.from('of old') },
    never,
  );
  const { steps } = await probe(store, target, never);
  const left = await store.list({ bucket, prefix: 'xcom/.airflow', after: null }, never);
  const works = steps.filter(({ ok }) => ok === true).length;
  return {
    seen: `If-None-Match: first ${first ?? 'written'}, then ${second ?? '**written over**'}; s3fs: ${wordsOf(created)}, then ${wordsOf(again)}`,
    said: `${said.join(', ')}; where its key is taken the probe does ${works} of 5 and leaves ${left.kind === 'listed' ? left.objects.length : wordOf(left)}`,
    right: isTrue && works === 5 && left.kind === 'listed' && left.objects.length === 0,
  };
}

function wordsOf([attempt]: readonly { ok: boolean; text: string | null }[]): string {
  return attempt?.ok === true ? 'written' : (attempt?.text ?? 'nothing').replace(/: .*/s, '');
}

const CHECKSUM_HEADERS =
  /^(?:content-md5|content-encoding|x-amz-(?:checksum-.+|sdk-checksum-algorithm|trailer))$/;

/** The probe shows what a worker's PUT will meet only if both send the same headers. */
async function checksumsSent(world: World): Promise<Cell> {
  const bucket = await world.newBucket();
  const { hostname: host, port } = new URL(world.endpoint);
  const door = await startHttpFaultProxy({ upstream: { host, port: Number(port) } });
  const heard: string[] = [];
  door.setFault({
    match: ({ kind }) => kind === 'put',
    answer: ({ request, forward }) => {
      const names = Object.keys(request.headers).filter((name) => CHECKSUM_HEADERS.test(name));
      heard.push(names.length === 0 ? 'none' : names.sort().join(' + '));
      forward();
    },
  });
  try {
    const results: boolean[] = [];
    for (const release of RELEASES) {
      const writer = await startWriter(door.url, release);
      const wrote = await writer.write({ bucket, keys: [`xcom/d/r/t/${release.release}`] }, '"value"');
      results.push(...wrote.map(({ ok }) => ok));
      await writer.stop();
    }
    const store = world.open({ endpoint: door.url });
    const put = await store.put({ bucket, key: 'xcom/d/r/t/ours', body: Buffer.from('"value"') }, never);
    const wrong = await refusalOf(
      world.aws.send(
        new PutObjectCommand({
          Bucket: bucket,
          Key: 'xcom/d/r/t/wrong',
          Body: '"value"',
          ChecksumCRC32: 'AAAAAA==',
        }),
      ),
    );
    const [former, latest, ours] = heard;
    return {
      seen: `s3fs ${RELEASES.map(({ release }, at) => `${release} sends ${heard[at] ?? 'nothing'}, ${results[at] === true ? 'taken' : 'refused'}`).join('; ')}; a wrong CRC32 is ${wrong === null ? 'not looked at' : `refused: ${wrong}`}`,
      said: `sends ${ours ?? 'nothing'}, ${put.kind === 'done' ? 'taken' : wordOf(put)}`,
      right:
        former !== undefined &&
        ours === latest &&
        heard.length === 3 &&
        (put.kind === 'done') === (results[1] === true),
    };
  } finally {
    await door.stop();
  }
}

/** The least size in bytes of a part in a multipart upload, except the last part. */
const PART = 5 * 2 ** 20;

/** Whatever checksums an object has, its size is right and it can be read. */
async function checksumsKept(world: World): Promise<Cell> {
  const bucket = await world.newBucket();
  const store = world.open();
  const kinds = [
    ...(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA256'] as const).map((algorithm) => ({
      name: algorithm,
      bytes: 7,
      write: (key: string) =>
        world.aws.send(
          new PutObjectCommand({ Bucket: bucket, Key: key, Body: '"value"', ChecksumAlgorithm: algorithm }),
        ),
    })),
    ...(
      [
        ['CRC32', 'COMPOSITE'],
        ['CRC64NVME', 'FULL_OBJECT'],
      ] as const
    ).map(([algorithm, type]) => ({
      name: `${algorithm} ${type} of two parts`,
      bytes: PART + 7,
      write: (key: string) => inParts(world, { Bucket: bucket, Key: key }, { algorithm, type }),
    })),
  ];
  const refused: string[] = [];
  const said: string[] = [];
  for (const { name, bytes, write } of kinds) {
    const key = `xcom/d/r/t/${name.replaceAll(' ', '-')}`;
    const refusal = await refusalOf(write(key));
    if (refusal === null) said.push(await readings(store, { bucket, key }, bytes));
    else refused.push(`${name}: ${refusal}`);
  }
  return {
    seen: `${said.length} of ${kinds.length} kinds are written${refused.length === 0 ? '' : `; refused: ${refused.join(', ')}`}`,
    said: tally(said),
    right: said.length > 0 && said.every((each) => each === AS_LARGE),
  };
}

const AS_LARGE = 'by HEAD, GET and LIST as large as written';

async function readings(
  store: ObjectStore,
  { bucket, key }: { bucket: string; key: string },
  bytes: number,
): Promise<string> {
  const head = await store.head({ bucket, key }, never);
  const got = await store.get({ bucket, key }, never);
  const listed = await store.list({ bucket, prefix: key, after: null }, never);
  const sizes = [
    head.kind === 'present' ? head.bytes : wordOf(head),
    got.kind === 'got' ? got.body.length : wordOf(got),
    listed.kind === 'listed' ? (listed.objects[0]?.bytes ?? 'not listed') : wordOf(listed),
  ];
  return sizes.every((size) => size === bytes) ? AS_LARGE : `${key}: ${sizes.join(', ')}, ${bytes} written`;
}

async function inParts(
  { aws }: World,
  address: { readonly Bucket: string; readonly Key: string },
  { algorithm, type }: { algorithm: 'CRC32' | 'CRC64NVME'; type: 'COMPOSITE' | 'FULL_OBJECT' },
): Promise<void> {
  const { UploadId } = await aws.send(
    new CreateMultipartUploadCommand({ ...address, ChecksumAlgorithm: algorithm, ChecksumType: type }),
  );
  const Parts = [];
  for (const [at, Body] of [new Uint8Array(PART), new TextEncoder().encode('"value"')].entries()) {
    const PartNumber = at + 1;
    const part = await aws.send(
      new UploadPartCommand({ ...address, UploadId, PartNumber, Body, ChecksumAlgorithm: algorithm }),
    );
    const { ETag, ChecksumCRC32, ChecksumCRC64NVME } = part;
    Parts.push({ PartNumber, ETag, ChecksumCRC32, ChecksumCRC64NVME });
  }
  await aws.send(
    new CompleteMultipartUploadCommand({
      ...address,
      UploadId,
      MultipartUpload: { Parts },
      ChecksumType: type,
    }),
  );
}
