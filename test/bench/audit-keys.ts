import { createHash } from 'node:crypto';

/** How many dags a large team has, and how many runs each dag has. */
const DAGS = 200;
const RUNS = 50;

/** The key of object `i`: dags and runs as Airflow names them, 111 bytes. */
function keyOf(i: number): string {
  const dag = String(i % DAGS).padStart(3, '0');
  const run = String(Math.floor(i / DAGS) % RUNS).padStart(2, '0');
  const digits = createHash('md5').update(String(i)).digest('hex');
  const uuid = `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-a${digits.slice(17, 20)}-${digits.slice(20)}`;
  return `base/pipeline_${dag}/scheduled__2026-01-${run}T00:00:00+00:00/transform/${uuid}`;
}

/** The SQL of the same key, for a column `i`. */
export const KEY_SQL = `'base/pipeline_' || lpad((i % ${DAGS})::text, 3, '0') || '/scheduled__2026-01-' ||
  lpad((i / ${DAGS} % ${RUNS})::text, 2, '0') || 'T00:00:00+00:00/transform/' || substr(md5(i::text), 1, 8) || '-' ||
  substr(md5(i::text), 9, 4) || '-4' || substr(md5(i::text), 14, 3) || '-a' || substr(md5(i::text), 18, 3) || '-' ||
  substr(md5(i::text), 21, 12)`;

export const RUN_SQL = {
  dags: DAGS,
  runs: RUNS,
  dag: `'pipeline_' || lpad(d::text, 3, '0')`,
  run: `'scheduled__2026-01-' || lpad(r::text, 2, '0') || 'T00:00:00+00:00'`,
};

/**
 * The keys of objects 0 to `count` - 1 in S3's order. Each run is sorted by itself: sorting all keys at once takes a
 * minute.
 */
export function sortedKeys(count: number): string[] {
  const keys: string[] = [];
  for (let dag = 0; dag < DAGS; dag += 1)
    for (let run = 0; run < RUNS; run += 1) {
      const some: string[] = [];
      for (let i = dag + run * DAGS; i < count; i += DAGS * RUNS) some.push(keyOf(i));
      keys.push(...some.sort());
    }
  return keys;
}
