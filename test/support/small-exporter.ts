import { NO_HISTORY } from '../../src/status/history.ts';
import type { Status } from '../../src/status/status.ts';
import { WHOLE } from './whole.ts';

/** The metrics options of a small exporter that runs alone. */
export const METRICS_OPTIONS = {
  version: '1.2.3',
  maxDags: 10,
  windowSeconds: 60,
  probeWrite: true,
  keepsState: false,
  shard: WHOLE,
};

/** The exporter's status before its first cycle. */
export const STATUS: Status = {
  version: '1.2.3',
  startedAt: 0,
  reloadedAt: null,
  reloading: false,
  now: 10_000,
  leader: true,
  report: null,
  cleared: [],
  stale: false,
  everRead: false,
  probe: null,
  listing: null,
  clockSkewSeconds: null,
  hasStorage: true,
  jobs: [],
  requests: null,
  history: NO_HISTORY,
  settings: [],
  warnings: [],
  airflowBaseUrl: null,
  act: null,
};
