import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { S3Connection } from '../../src/s3/connection.ts';
import { compareKeys } from '../../src/s3/key-order.ts';
import type { ListedObject } from '../../src/s3/listing.ts';
import type { Audited, RunOptions, TestStore } from './audit.ts';
import { DAY_MS, runAudit } from './audit.ts';
import { uuid4 } from './plant.ts';
import type { Stage } from './seed.ts';

/** The objects of a store in memory, by `bucket/key`: when each was put, epoch ms. */
export type SmallStore = Map<string, number>;

/** A store that lists and finds these objects, each of 1,000 bytes. */
export function storeOf(objects: SmallStore): TestStore {
  return {
    list: ({ bucket, prefix, startAfter }) => {
      const listed = [...objects].flatMap(([location, lastModified]): ListedObject[] => {
        const key = location.slice(bucket.length + 1);
        const isAfter = compareKeys(key, startAfter ?? '') > 0;
        const isListed = location.startsWith(`${bucket}/${prefix}`) && isAfter;
        return isListed ? [{ key, bytes: 1_000, lastModified, storageClass: 'STANDARD' }] : [];
      });
      return Promise.resolve({
        kind: 'listed',
        objects: listed.sort((a, b) => compareKeys(a.key, b.key)),
        next: null,
      });
    },
    head: ({ bucket, key }) => {
      const lastModified = objects.get(`${bucket}/${key}`);
      return Promise.resolve(
        lastModified === undefined
          ? { kind: 'missing' }
          : { kind: 'present', bytes: 1_000, archive: null, lastModified },
      );
    },
    peek: ({ bucket, key }) =>
      Promise.resolve({ kind: objects.has(`${bucket}/${key}`) ? 'readable' : 'missing' }),
  };
}

/** A connection to nowhere, for stores in memory. */
export function connectionAt(endpoint: string): S3Connection {
  return { endpoint, region: 'eu-central-1', variants: {} } as S3Connection;
}

/** Audits the database and a store of these objects, with the path `s3://bucket/xcom`. */
export function auditSmall(
  { url }: Stage,
  objects: SmallStore,
  changes: Partial<RunOptions> = {},
): Promise<Audited> {
  return runAudit({
    url,
    store: storeOf(objects),
    connection: connectionAt('http://one'),
    configured: [{ bucket: 'bucket', prefix: 'xcom', connection: '' }],
    ...changes,
  });
}

/** Adds a row of a month ago that names an object below `start`, `bucket/prefix`. Gives the object's location. */
export async function addRow(
  stage: Stage,
  start: string,
  { runId = 'run' }: { readonly runId?: string } = {},
): Promise<string> {
  const agoSeconds = (30 * DAY_MS) / 1_000;
  const name = uuid4();
  const run = await stage.addRun({ dagId: `dag-${name}`, runId, state: 'success', agoSeconds });
  const location = `${start}/${run.dagId}/${runId}/task/${name}`;
  await stage.push({ run, taskId: 'task', stored: JSON.stringify(`s3://${location}`), agoSeconds });
  return location;
}

/** Adds so many rows of one run, each with an object of its own below `bucket/xcom` that is gone. */
export async function addGone(stage: Stage, rows: number): Promise<void> {
  const run = await stage.addRun({ dagId: 'gone', runId: 'run', state: 'success', agoSeconds: 3_000_000 });
  await stage.addTask({ run, taskId: 'task' });
  await stage.writer.query('ALTER TABLE xcom DROP CONSTRAINT IF EXISTS xcom_task_instance_fkey');
  await stage.writer.query(
    `INSERT INTO xcom (dag_run_id, dag_id, run_id, task_id, map_index, key, value, timestamp)
     SELECT $1, 'gone', 'run', 'task', n, 'k', to_jsonb('s3://bucket/xcom/gone/run/task/' || substr(md5(n::text), 1, 8)
       || '-0000-4000-8000-' || substr(md5(n::text), 9, 12)), now() - interval '30 days'
     FROM generate_series(1, $2::int) n`,
    [run.id, rows],
  );
}

/** Writes an inventory of these objects, made a day ago, into the folder. Gives the path of its manifest. */
export function writeInventory(
  folder: string,
  {
    bucket,
    objects,
    storageClass = 'STANDARD',
  }: {
    readonly bucket: string;
    readonly objects: SmallStore;
    /** Null: the inventory has no such column. */
    readonly storageClass?: string | null;
  },
): string {
  const lines = [...objects].map(([location, lastModified]) => {
    const at = new Date(lastModified).toISOString();
    return [
      bucket,
      location.slice(bucket.length + 1),
      1_000,
      at,
      ...(storageClass === null ? [] : [storageClass]),
    ]
      .map((one) => `"${one}"`)
      .join(',');
  });
  const csv = lines.join('\n');
  writeFileSync(join(folder, 'a.csv'), csv);
  const manifest = join(folder, 'manifest.json');
  writeFileSync(
    manifest,
    JSON.stringify({
      sourceBucket: bucket,
      destinationBucket: 'arn:aws:s3:::inventories',
      version: '2016-11-30',
      creationTimestamp: String(Date.now() - DAY_MS),
      fileFormat: 'CSV',
      fileSchema: `Bucket, Key, Size, LastModifiedDate${storageClass === null ? '' : ', StorageClass'}`,
      files: [
        {
          key: 'a.csv',
          size: Buffer.byteLength(csv),
          MD5checksum: createHash('md5').update(csv).digest('hex'),
        },
      ],
    }),
  );
  return manifest;
}
