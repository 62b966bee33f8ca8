import { PROBLEM_CODES, PROBLEMS } from '../diagnosis/problem-catalogue.ts';
import type { BackendInfo } from '../diagnosis/report.ts';
import { STORAGES } from '../diagnosis/report.ts';
import { BROKEN_REASONS } from '../window/flags.ts';
import type { Definition, Labels } from './definition.ts';
import { eachCycle, eachFound, ofWindow, ofWindowBy } from './definition.ts';

const VALUE_BYTES_BUCKETS = [100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

/** Metrics of a cycle: many series, which change only with a cycle. */
export const CYCLE_METRICS = {
  rows_total: {
    type: 'counter',
    help: 'XCom rows seen, each version of a row once, as of the last cycle. Label storage: db if the value is in the row, s3 if it is a reference to an object, other for any other reference.',
    labels: ['dag_id', 'storage'],
    group: 'rows',
  },
  database_writes_total: {
    type: 'counter',
    help: 'Rows that Postgres says were inserted or updated in the tables of XComs, as of the last cycle. Rows beyond rows_total were overwritten or deleted before they were seen, or rolled back.',
    labels: ['table'],
    group: 'rows',
    stability: 'experimental',
    read: eachFound(({ writes }) => Object.entries(writes).map(([table, count]) => [{ table }, count])),
  },
  bytes_total: {
    type: 'counter',
    help: 'Bytes of the XCom values seen, as of the last cycle: serialised size in db, object size in s3.',
    labels: ['storage'],
    group: 'rows',
  },
  value_bytes: {
    type: 'histogram',
    help: 'Size of one XCom value in bytes, as of the last cycle.',
    labels: ['storage'],
    buckets: VALUE_BYTES_BUCKETS,
    group: 'rows',
    stability: 'experimental',
  },
  oversize_in_db_total: {
    type: 'counter',
    help: 'XCom rows whose value is in the database although it has at least oversize_bytes bytes, as of the last cycle.',
    labels: ['dag_id', 'queue'],
    group: 'rows',
  },
  oversize_in_db_bytes_total: {
    type: 'counter',
    help: 'Bytes of the oversize XCom values that are in the database, as of the last cycle.',
    labels: ['dag_id'],
    group: 'rows',
  },
  references_checked_total: {
    type: 'counter',
    help: 'XCom references looked up in S3, as of the last cycle.',
    labels: [],
    group: 'rows',
  },
  references_broken_total: {
    type: 'counter',
    help: 'XCom references that cannot be read back, as of the last cycle. Label reason: missing, empty, unreadable (in an archive), path_mismatch (the configuration does not lead there), leaked (the path of another row).',
    labels: ['dag_id', 'reason'],
    group: 'rows',
  },
  references_unchecked_total: {
    type: 'counter',
    help: 'XCom references about which S3 gave no answer that counts, as of the last cycle. They count neither as sound nor as broken. A reference stays in this count when a later cycle gets the answer. Label reason: denied, throttled, timeout, unreachable, unconfirmed (that it is gone is not certain), not_asked (S3 refused others of the same path), budget (no request was left). Two are of bad news that does not count: unknown_connection (another one stands in), unknown_reader (the role may not read whose row it is).',
    labels: ['reason'],
    group: 'rows',
  },
  write_failures_total: {
    type: 'counter',
    help: 'Failed writes to object storage, as of the last cycle. Label source: probe if a test write failed, task if the first look, within ten minutes of the row, finds its object missing or empty.',
    labels: ['source', 'reason'],
    group: 'rows',
  },

  window_seconds: {
    type: 'gauge',
    help: 'Length of the window that the window_* gauges cover, in seconds: a setting.',
    labels: [],
    group: 'window',
  },
  window_rows: {
    type: 'gauge',
    help: 'XCom rows in the window, as of the last cycle.',
    labels: ['storage'],
    group: 'window',
    read: ofWindowBy('storage', STORAGES, { figures: ({ rows }) => rows }),
  },
  window_bytes: {
    type: 'gauge',
    help: 'Bytes of the XCom values in the window, as of the last cycle.',
    labels: ['storage'],
    group: 'window',
    read: ofWindowBy('storage', STORAGES, { figures: ({ bytes }) => bytes }),
  },
  window_oversize_in_db_rows: {
    type: 'gauge',
    help: 'Oversize XCom values in the database in the window, as of the last cycle.',
    labels: [],
    group: 'window',
    read: ofWindow(({ oversizeRows }) => oversizeRows),
  },
  window_oversize_in_db_bytes: {
    type: 'gauge',
    help: 'Bytes of the oversize XCom values in the database in the window, as of the last cycle.',
    labels: [],
    group: 'window',
    read: ofWindow(({ oversizeBytes }) => oversizeBytes),
  },
  window_broken_references: {
    type: 'gauge',
    help: 'XCom references in the window that cannot be read back, as of the last cycle.',
    labels: ['reason'],
    group: 'window',
    read: ofWindowBy('reason', BROKEN_REASONS, { figures: ({ broken }) => broken }),
  },
  window_orphan_objects: {
    type: 'gauge',
    help: 'Objects written in the window, under its ended runs, that no XCom row refers to, after a grace period, as of the last cycle. Older objects are not counted.',
    labels: [],
    group: 'window',
    stability: 'experimental',
    read: ofWindow(({ orphanObjects }) => orphanObjects),
  },
  window_orphan_bytes: {
    type: 'gauge',
    help: 'Bytes of the objects that window_orphan_objects counts, as of the last cycle.',
    labels: [],
    group: 'window',
    stability: 'experimental',
    read: ofWindow(({ orphanBytes }) => orphanBytes),
  },

  problem: {
    type: 'gauge',
    help: '1 if the problem is there as of the last cycle, 0 if it is not, absent if that is not known.',
    labels: ['problem', 'severity'],
    group: 'verdict',
    read: eachCycle(({ states }) =>
      PROBLEM_CODES.map((code) => {
        const labels = { problem: code, severity: PROBLEMS[code].severity };
        return [labels, states[code] === 'unknown' ? null : Number(states[code] === 'raised')];
      }),
    ),
  },
  backend_info: {
    type: 'gauge',
    help: 'The Airflow, schema and object storage that are watched, as of the last cycle. Always 1.',
    labels: ['airflow', 'schema', 'bucket', 'prefix', 'connection', 'compression'],
    group: 'verdict',
    read: eachFound(({ backend }) => (backend === null ? [] : [[labelsOf(backend), 1]])),
  },
  setting_known: {
    type: 'gauge',
    help: "1 if this setting of Airflow's is known, as of the last cycle: told, or the same on every queue of the canary. 0 if not. Series that rest on an unknown setting are absent.",
    labels: ['setting'],
    group: 'verdict',
    read: eachCycle(({ told }) =>
      Object.entries(told).map(([name, isTold]) => [{ setting: name.replace('xcom.', '') }, Number(isTold)]),
    ),
  },
  threshold_bytes: {
    type: 'gauge',
    help: 'The object storage threshold as Airflow means it, in bytes, as of the last cycle. Negative: nothing goes to S3. Absent: it is not known.',
    labels: [],
    group: 'verdict',
    read: eachCycle(({ thresholdBytes }) => [[{}, thresholdBytes]]),
  },
  oversize_bytes: {
    type: 'gauge',
    help: 'The size in bytes from which a value in the database counts as oversize, as of the last cycle.',
    labels: [],
    group: 'verdict',
    read: eachCycle(({ oversizeBytes }) => [[{}, oversizeBytes]]),
  },
} as const satisfies Record<string, Definition>;

/** Gives the labels. An unknown value becomes '', because Prometheus treats an empty label as absent. */
function labelsOf(backend: BackendInfo): Labels {
  return Object.fromEntries(
    Object.entries(backend).map(([label, value]: [string, string | null]) => [label, value ?? '']),
  );
}
