import { AUDIT_ROW } from './audit-row.ts';
import { chosen } from './dashboards.ts';
import type { Page } from './dashboards.ts';
import { ofAll, ofEachAirflow, ofKnownBy, sumOfKnown } from './known-figures.ts';
import { heatmap, NONE_KNOWN, STORAGE_COLORS, table, timeseries } from './panels.ts';

const rate = (metric: string, matchers = '') => `rate(${chosen(metric, matchers)}[$__rate_interval])`;
const increase = (metric: string, matchers = '') => `increase(${chosen(metric, matchers)}[$__rate_interval])`;
const overRange = (metric: string, matchers = '') => `increase(${chosen(metric, matchers)}[$__range])`;

const quantiles = (storage: string) =>
  [0.5, 0.95].map((q) => ({
    expr: ofAll(
      `histogram_quantile(${q}, sum by (le) (${rate('airflow_xcom_value_bytes_bucket', `storage="${storage}"`)}))`,
    ),
    legend: `${storage}, ${q * 100} % are smaller`,
  }));

export const STORAGE: Page = {
  uid: 'airflow-xcom-storage',
  title: 'Airflow XCom / Storage',
  description:
    'How many XCom values there are, how large, where they are, and of which dags. db is the metadata database, s3 object storage, other another backend or a local disk.',
  rows: [
    {
      title: 'New values',
      height: 8,
      panels: [
        [
          8,
          timeseries({
            title: 'Rows',
            description:
              'New XCom rows each second, by where their value is. A value that is written again counts again.',
            runbook: 'references',
            unit: 'wps',
            min: 0,
            stacked: true,
            colors: STORAGE_COLORS,
            queries: [
              { expr: ofAll(`sum by (storage) (${rate('airflow_xcom_rows_total')})`), legend: '{{storage}}' },
            ],
          }),
        ],
        [
          8,
          timeseries({
            title: 'Share of bytes',
            description:
              'Of the bytes of new values, the share in each place. Small values belong into the database, so a little db is right. No line: no new values.',
            runbook: 'backend_inactive',
            unit: 'percentunit',
            min: 0,
            max: 1,
            stacked: true,
            colors: STORAGE_COLORS,
            queries: [
              {
                expr: ofAll(
                  `sum by (storage) (${rate('airflow_xcom_bytes_total')}) / on () group_left () (sum(${rate('airflow_xcom_bytes_total')}) > 0)`,
                ),
                legend: '{{storage}}',
              },
            ],
          }),
        ],
        [
          8,
          timeseries({
            title: 'Rows by dag',
            description:
              'The ten dags with the most new rows. _other is every dag past the ceiling of labels.max-dags.',
            runbook: 'references',
            unit: 'wps',
            min: 0,
            queries: [
              {
                expr: ofAll(`topk(10, sum by (dag_id) (${rate('airflow_xcom_rows_total')}))`),
                legend: '{{dag_id}}',
              },
            ],
          }),
        ],
      ],
    },
    {
      title: 'Sizes',
      height: 8,
      panels: [
        [
          8,
          timeseries({
            title: 'Size of values against the threshold',
            description:
              'Half and 95 % of the new values are smaller than the lines. Dashed: the size from which Airflow is to use S3, and from which the exporter calls a value large. Lines of db above the dashes are the silent fallback.',
            runbook: 'threshold_mismatch',
            unit: 'bytes',
            logarithmic: true,
            dashed: 'threshold|large',
            queries: [
              ...quantiles('db'),
              ...quantiles('s3'),
              {
                expr: `${ofEachAirflow(chosen('airflow_xcom_threshold_bytes'))} >= 0`,
                legend: 'threshold of Airflow',
              },
              {
                expr: ofEachAirflow(chosen('airflow_xcom_oversize_bytes')),
                legend: 'large for the exporter',
              },
            ],
          }),
        ],
        [
          8,
          heatmap({
            title: 'Sizes in the database',
            description:
              'How many new values of each size stay in the database. Nothing belongs above the threshold.',
            runbook: 'large-values-in-the-database',
            unit: 'bytes',
            queries: [
              {
                expr: ofAll(`sum by (le) (${increase('airflow_xcom_value_bytes_bucket', 'storage="db"')})`),
                legend: '{{le}}',
              },
            ],
          }),
        ],
        [
          8,
          heatmap({
            title: 'Sizes in S3',
            description:
              'How many objects of each size are new, after compression: an object may be smaller than the threshold.',
            runbook: 'references',
            unit: 'bytes',
            queries: [
              {
                expr: ofAll(`sum by (le) (${increase('airflow_xcom_value_bytes_bucket', 'storage="s3"')})`),
                legend: '{{le}}',
              },
            ],
          }),
        ],
      ],
    },
    {
      title: 'Silent fallback: large values in the database',
      height: 8,
      panels: [
        [
          8,
          timeseries({
            title: 'Large values by dag',
            description: 'The ten dags with the most new large values in the metadata database.',
            runbook: 'large-values-in-the-database',
            unit: 'short',
            min: 0,
            queries: [
              {
                expr: `topk(10, sum by (dag_id) (${increase('airflow_xcom_oversize_in_db_total')}) > 0)`,
                legend: '{{dag_id}}',
              },
            ],
            noValue: NONE_KNOWN,
          }),
        ],
        [
          8,
          timeseries({
            title: 'Bytes of large values by dag',
            description:
              'What these values add to the metadata database each second, for the ten dags that add the most.',
            runbook: 'large-values-in-the-database',
            unit: 'Bps',
            min: 0,
            queries: [
              {
                expr: `topk(10, sum by (dag_id) (${rate('airflow_xcom_oversize_in_db_bytes_total')}) > 0)`,
                legend: '{{dag_id}}',
              },
            ],
            noValue: NONE_KNOWN,
          }),
        ],
        [
          8,
          table({
            title: 'Large values by dag and queue',
            description: 'How many there were in the chosen time. The queue tells whose workers wrote them.',
            runbook: 'worker_bypass',
            unit: 'short',
            queries: [
              {
                expr: `sort_desc(sum by (dag_id, queue) (${overRange('airflow_xcom_oversize_in_db_total')}) > 0)`,
              },
            ],
            columns: { dag_id: 'dag', queue: 'queue', Value: 'values' },
            noValue: NONE_KNOWN,
          }),
        ],
      ],
    },
    {
      title: 'References into S3',
      height: 8,
      panels: [
        [
          8,
          table({
            title: 'Broken references by dag',
            description: 'References that were found broken in the chosen time, once for each reason.',
            runbook: 'objects_missing',
            unit: 'short',
            queries: [
              {
                expr: `sort_desc(sum by (dag_id, reason) (${overRange('airflow_xcom_references_broken_total')}) > 0)`,
              },
            ],
            columns: { dag_id: 'dag', reason: 'reason', Value: 'references' },
            noValue: NONE_KNOWN,
          }),
        ],
        [
          8,
          timeseries({
            title: 'Looked up, and without an answer',
            description:
              'References looked up in S3 each second, and those about which S3 gave no answer, by reason: these are neither sound nor broken. budget: s3.requests-per-cycle was used up. not_asked: S3 refused others of the same path.',
            runbook: 'exporter_behind',
            unit: 'ops',
            min: 0,
            queries: [
              { expr: ofAll(`sum(${rate('airflow_xcom_references_checked_total')})`), legend: 'looked up' },
              {
                expr: `sum by (reason) (${rate('airflow_xcom_references_unchecked_total')}) > 0`,
                legend: 'no answer: {{reason}}',
              },
            ],
          }),
        ],
        [
          8,
          timeseries({
            title: 'Lost writes of tasks',
            description:
              'Rows whose object was missing or empty when it was first looked at: it was never written, not deleted later. Nothing here is good.',
            runbook: 'objects_missing',
            unit: 'short',
            min: 0,
            queries: [
              {
                expr: `sum by (reason) (${increase('airflow_xcom_write_failures_total', 'source="task"')}) > 0`,
                legend: '{{reason}}',
              },
            ],
            noValue: NONE_KNOWN,
          }),
        ],
      ],
    },
    {
      title: 'The window now',
      height: 8,
      panels: [
        [
          6,
          timeseries({
            title: 'Rows in the window',
            description: 'XCom rows that the window of the exporter (setting `window`) holds now.',
            runbook: 'references',
            unit: 'short',
            min: 0,
            stacked: true,
            colors: STORAGE_COLORS,
            queries: [
              {
                expr: ofKnownBy('storage', 'sum', chosen('airflow_xcom_window_rows')),
                legend: '{{storage}}',
              },
            ],
          }),
        ],
        [
          6,
          timeseries({
            title: 'Bytes in the window',
            description: 'Bytes of the values in the window; dashed those of large values in the database.',
            runbook: 'large-values-in-the-database',
            unit: 'bytes',
            min: 0,
            dashed: 'large',
            colors: STORAGE_COLORS,
            queries: [
              {
                expr: ofKnownBy('storage', 'sum', chosen('airflow_xcom_window_bytes')),
                legend: '{{storage}}',
              },
              {
                expr: sumOfKnown(chosen('airflow_xcom_window_oversize_in_db_bytes')),
                legend: 'large values in db',
              },
            ],
          }),
        ],
        [
          6,
          timeseries({
            title: 'Objects without a row',
            description:
              'Objects written in the window, under its ended runs, that no row refers to, after a grace period. Retries and `airflow db clean` leave them. They cost money and harm nothing. Delete by the audit, not by this figure.',
            runbook: 'orphans_growing',
            unit: 'short',
            min: 0,
            queries: [{ expr: sumOfKnown(chosen('airflow_xcom_window_orphan_objects')), legend: 'objects' }],
          }),
        ],
        [
          6,
          timeseries({
            title: 'Bytes without a row',
            description: 'The size of the objects that no row refers to.',
            runbook: 'orphans_growing',
            unit: 'bytes',
            min: 0,
            queries: [{ expr: sumOfKnown(chosen('airflow_xcom_window_orphan_bytes')), legend: 'bytes' }],
          }),
        ],
      ],
    },
    AUDIT_ROW,
  ],
};
