/** What the canary tells, by name without the prefix. */
export const CANARY_CATALOGUE = {
  canary_success: {
    type: 'gauge',
    help: 'Whether the operation succeeded on the workers of the queue in the latest report of the canary: 1 yes, 0 no, absent not heard.',
    labels: ['queue', 'operation'],
    group: 'canary',
    stability: 'experimental',
  },
  canary_duration_seconds: {
    type: 'gauge',
    help: 'How long the operation took on the workers of the queue in the latest report of the canary, without the imports of a new process.',
    labels: ['queue', 'operation'],
    group: 'canary',
    stability: 'experimental',
  },
  canary_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'When the operation last succeeded on the workers of the queue, in seconds since the epoch.',
    labels: ['queue', 'operation'],
    group: 'canary',
    stability: 'experimental',
  },
  canary_info: {
    type: 'gauge',
    help: 'What the workers of the queue resolve, as the canary reports it. Always 1.',
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
  },
  canary_reports_refused_total: {
    type: 'counter',
    help: 'Reports of the canary that were not believed, as of the last cycle: too long, malformed, or of another pool than their task.',
    labels: ['reason'],
    group: 'canary',
    stability: 'experimental',
  },
} as const;
