/** One of several exporters that share the dags of one Airflow, as in `0/3`: numbered from 0, as kube-state-metrics does. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

export function nameOf({ index, count }: Shard): string {
  return `${index}/${count}`;
}

/** More than that are nobody's; the lock of a shard is numbered by it. */
const MOST = 1_000;

/**
 * The name of a pod may stand before the index: in a StatefulSet it ends with a dash and the pod's ordinal.
 *
 * @throws {RangeError} when the text is no shard.
 */
export function parseShard(text: string): Shard {
  const [, index, count] = /^(?:[a-z0-9][a-z0-9.-]*-)?(\d{1,4})\/(\d{1,4})$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  if (!(shard.index < shard.count && shard.count <= MOST))
    throw new RangeError(
      `${JSON.stringify(text)} is no shard: give which one, from 0, and how many there are, as 0/3`,
    );
  return shard;
}

/**
 * True when the dag is this shard's. Every dag belongs to exactly one, so that the counters of all shards add up to those of
 * one exporter. FNV-1a over UTF-8, which spreads names that differ in their last character.
 */
export function isIn({ index, count }: Shard, dagId: string): boolean {
  if (count === 1) return true;
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(dagId)) hash = Math.imul(hash ^ byte, 0x01000193);
  // The low bits of the sum alone depend on the low bits of the bytes alone.
  hash ^= hash >>> 16;
  return (hash >>> 0) % count === index;
}

/** Among the advisory locks of one database: shards lead side by side. The whole has number 0. */
export function lockNumber({ index, count }: Shard): number {
  return count === 1 ? 0 : index * (MOST + 1) + count;
}
