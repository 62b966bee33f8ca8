import type { Shard } from '../../src/settings/shard.ts';

/** All dags: this exporter shares them with no other. */
export const WHOLE: Shard = { index: 0, count: 1 };
