import { quotedIf } from '../lib/quoted-if.ts';

/**
 * One of several exporters that share the dags of one Airflow, as in `0/3`. Shards are numbered from 0, as in
 * kube-state-metrics.
 */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

export function nameOf({ index, count }: Shard): string {
  return `${index}/${count}`;
}

/** Nobody has more shards. The number of a shard's lock is computed from this limit. */
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
      `${quotedIf(/^(?:[a-z0-9 .-]{0,60}\/)?[\d.-]{0,8}$/, text)} is no shard: give which one, from 0, and how many there are, as 0/3`,
    );
  return shard;
}

/**
 * Whether the dag belongs to this shard. Every dag belongs to exactly one shard, so the counters of all shards add up
 * to those of one exporter. The hash is FNV-1a over UTF-8, which spreads names that differ in their last character.
 */
export function isIn({ index, count }: Shard, dagId: string): boolean {
  if (count === 1) return true;
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(dagId)) hash = Math.imul(hash ^ byte, 0x01000193);
  // The low bits of the hash depend only on the low bits of the bytes, so the high bits are mixed in.
  hash ^= hash >>> 16;
  return (hash >>> 0) % count === index;
}

/**
 * The number of the lock among the advisory locks of one database, as shards lead side by side. Without shards it is 0.
 */
export function lockNumber({ index, count }: Shard): number {
  return count === 1 ? 0 : index * (MOST + 1) + count;
}
