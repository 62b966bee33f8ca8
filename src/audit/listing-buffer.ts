import type { ListedObject } from '../s3/listing.ts';
import type { Duck } from './duck.ts';

const ROWS_A_BATCH = 20_000;

/** Keeps objects and the progress of each lane, in one transaction for many pages. */
export function createBuffer(duck: Duck): {
  add(bucket: string, objects: readonly ListedObject[], progress: readonly [string, string]): Promise<void>;
  flush(): Promise<void>;
  kept(): number;
} {
  let locations: string[] = [];
  let objects: ListedObject[] = [];
  let progress = new Map<string, string>();
  let writing: Promise<void> = Promise.resolve();
  let kept = 0;

  function flush(): Promise<void> {
    const batch = {
      table: 'objects',
      types: ['text', 'number', 'number', 'text'] as const,
      columns: [
        locations,
        objects.map(({ bytes }) => bytes),
        objects.map(({ lastModified }) => lastModified),
        objects.map(({ storageClass }) => storageClass),
      ],
      progress: [...progress],
    };
    locations = [];
    objects = [];
    progress = new Map();
    writing = writing.then(() => duck.append(batch));
    return writing;
  }
  return {
    async add(bucket, more, [step, state]) {
      for (const object of more) {
        locations.push(`${bucket}/${object.key}`);
        objects.push(object);
      }
      progress.set(step, state);
      kept += more.length;
      if (objects.length >= ROWS_A_BATCH) await flush();
    },
    flush,
    kept: () => kept,
  };
}
