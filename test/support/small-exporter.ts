import { WHOLE } from '../../src/settings/shard.ts';

/** What an exporter that is small and alone tells its metrics. */
export const METRICS_OPTIONS = {
  version: '1.2.3',
  maxDags: 10,
  windowSeconds: 60,
  probeWrite: true,
  keepsState: false,
  shard: WHOLE,
};
