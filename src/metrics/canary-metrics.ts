import type { PoolVerdict } from '../canary/verdict.ts';
import type { Definition, Series } from './definition.ts';
import { eachFound } from './definition.ts';

/** Metrics of the canary. Its queues are not known in advance, and there are at most fifty. */
export const CANARY_METRICS = {
  canary_success: {
    type: 'gauge',
    help: '1 if the operation succeeded on the workers of the queue in the latest report of the canary, 0 if it failed, absent if nothing was heard.',
    labels: ['queue', 'operation'],
    group: 'canary',
    stability: 'experimental',
    read: ofPools(({ name: queue, operations }) =>
      operations.map(({ operation, ok }) => [{ queue, operation }, Number(ok)]),
    ),
  },
  canary_duration_seconds: {
    type: 'gauge',
    help: 'How long the operation took on the workers of the queue in the latest report of the canary, most imports of a new process left out.',
    labels: ['queue', 'operation'],
    group: 'canary',
    stability: 'experimental',
    read: ofPools(({ name: queue, operations }) =>
      operations.map(({ operation, seconds }) => [{ queue, operation }, seconds]),
    ),
  },
  canary_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'When the operation last succeeded on the workers of the queue, in seconds since the epoch.',
    labels: ['queue', 'operation'],
    group: 'canary',
    stability: 'experimental',
    read: ofPools(({ name: queue, succeededAt }) =>
      Object.entries(succeededAt).map(([operation, at]) => [{ queue, operation }, at / 1000]),
    ),
  },
  canary_push_stored: {
    type: 'gauge',
    help: '1 if the canary’s latest push on the queue went into object storage, 0 if the settings of its workers keep the value in the database. Absent if the push failed, or if that is not known.',
    labels: ['queue'],
    group: 'canary',
    stability: 'experimental',
    read: ofPools(({ name: queue, payload }) =>
      payload === 'stored' || payload === 'kept' ? [[{ queue }, Number(payload === 'stored')]] : [],
    ),
  },
  canary_info: {
    type: 'gauge',
    help: 'The XCom settings that the workers of the queue use, as the canary reports them. Always 1.',
    labels: [
      'queue',
      'backend',
      'path',
      'threshold',
      'compression',
      'airflow',
      'common_io',
      's3fs',
      'python',
    ],
    group: 'canary',
    stability: 'experimental',
    read: ofPools(infoOf),
  },
  canary_reports_refused_total: {
    type: 'counter',
    help: 'Reports of the canary that were not believed, as of the last cycle: too long, malformed, or of another pool than their task.',
    labels: ['reason'],
    group: 'canary',
    stability: 'experimental',
  },
} as const satisfies Record<string, Definition>;

function ofPools(series: (pool: PoolVerdict) => readonly Series[]) {
  return eachFound(({ canary }) => (canary.verdict?.pools ?? []).flatMap(series));
}

function infoOf({ name: queue, settings }: PoolVerdict): readonly Series[] {
  if (settings === null) return [];
  const { backend, path, threshold, compression, versions } = settings;
  const { airflow, common_io, s3fs, python } = versions;
  const resolved = { queue, backend, path, compression, threshold: threshold ?? '' };
  const installed = {
    airflow: airflow ?? '',
    common_io: common_io ?? '',
    s3fs: s3fs ?? '',
    python: python ?? '',
  };
  return [[{ ...resolved, ...installed }, 1]];
}
