import { CANARY_ROW } from './canary-row.ts';
import { BROKEN_REASONS } from '../../src/window/flags.ts';
import { chosen } from './dashboards.ts';
import type { Page } from './dashboards.ts';
import { ALL_HEALTHY, LEADERS, ofAll, ofKnown, ofKnownBy, sumOfKnown } from './known-figures.ts';
import {
  AIRFLOW_COLUMNS,
  barGauge,
  NO_EVENTS_OR_RULES,
  NONE_KNOWN,
  stat,
  STORAGE_COLORS,
  stateTimeline,
  table,
  text,
  timeseries,
  UNKNOWN,
} from './panels.ts';
import { meanings, remedies } from './problem-texts.ts';
import { BUDGET, ERRORS } from './recording-rules.ts';

const bySeverity = (severity: string) => chosen('airflow_xcom_problem', `severity="${severity}"`);
const oversize = sumOfKnown(chosen('airflow_xcom_window_oversize_in_db_rows'));
const inS3 = sumOfKnown(chosen('airflow_xcom_window_rows', 'storage="s3"'), {
  labels: ['storage'],
  ofEach: 1,
});
const broken = sumOfKnown(chosen('airflow_xcom_window_broken_references'), {
  labels: ['reason'],
  ofEach: BROKEN_REASONS.length,
});
const testWrites = chosen('airflow_xcom_probe_success', 'operation=~"put|get|delete"');
const backend = chosen('airflow_xcom_backend_info');
const lastSample = chosen('airflow_xcom_exporter_job_last_success_timestamp_seconds', 'name="sample"');
/** One that stands by has none that counts. One that has had no good cycle is as old as its process. */
const lastGoodCycles = `(
    max without (name) (${lastSample})
    or ${chosen('process_start_time_seconds')}
  )
  and ${LEADERS}`;
/** An age in seconds says nothing: how often an exporter samples is a setting. */
const shareOfLife = `(time() - (
  ${lastGoodCycles}
)) / ${chosen('airflow_xcom_exporter_sample_stale_after_seconds')}`;

export const OVERVIEW: Page = {
  uid: 'airflow-xcom-overview',
  title: 'Airflow XCom / Overview',
  description:
    'Airflow is told to keep large XCom values in S3. This page says whether it does: the answer in the top row, when and where in the rows below.',
  rows: [
    {
      height: 4,
      panels: [
        [
          4,
          stat({
            title: 'Is it working?',
            description:
              'The worst that the exporters say now. Healthy: large values go to S3 and can be read back, say the status pages of all shards. Unknown: one does not know, does not answer, or is not chosen above. One that was taken away on purpose counts for 6 hours; until then leave it out above.',
            runbook: 'runbook',
            unit: 'none',
            queries: [
              {
                expr: `max(2 * ${bySeverity('critical')} == 2 or ${bySeverity('warning')} == 1)\nor\n${ALL_HEALTHY}`,
              },
            ],
            noValue: UNKNOWN,
            texts: {
              0: ['Healthy', 'green'],
              1: ['Warning', 'orange'],
              2: ['Critical', 'red'],
            },
            steps: [[null, 'text']],
          }),
        ],
        [
          4,
          stat({
            title: 'Large values in S3',
            description:
              'Of the values in the window that are large enough for S3, the share that is there. 100 % is good; the rest lies in the metadata database. Unknown: one exporter does not know, or does not answer.',
            runbook: 'oversize_in_db',
            unit: 'percentunit',
            decimals: 1,
            queries: [
              {
                expr: `${inS3} / (${inS3} + ${oversize} > 0)\nor\n(${inS3} + ${oversize} == 0) - 1`,
              },
            ],
            noValue: UNKNOWN,
            texts: { '-1': ['No large values', 'text'] },
            steps: [
              [null, 'red'],
              [0.9, 'orange'],
              [0.99, 'green'],
            ],
          }),
        ],
        [
          4,
          stat({
            title: 'Large values in database',
            description:
              'Values in the window that stayed in the metadata database although they are large: the silent fallback, for nothing in Airflow fails when that happens. 0 is good. Unknown: one exporter does not know, or does not answer.',
            runbook: 'large-values-in-the-database',
            unit: 'short',
            queries: [{ expr: oversize }],
            noValue: UNKNOWN,
            steps: [
              [null, 'green'],
              [1, 'orange'],
            ],
          }),
        ],
        [
          4,
          stat({
            title: 'Broken references',
            description:
              'Rows in the window whose object in S3 is gone, empty or out of reach: the next task is handed a path in place of the value. 0 is good. Unknown: one of the reasons is not known, or one exporter does not answer.',
            runbook: 'objects_missing',
            unit: 'short',
            queries: [{ expr: broken }],
            noValue: UNKNOWN,
            steps: [
              [null, 'green'],
              [1, 'red'],
            ],
          }),
        ],
        [
          4,
          stat({
            title: 'Test write to S3',
            description:
              'Whether the last probe could put a small object into the bucket, get it back and delete it. Unknown: it was not tried, or one exporter does not answer. Other operations and the database: the dashboard S3 and probe.',
            runbook: 'write_denied',
            unit: 'none',
            queries: [
              {
                expr: `min(${testWrites}) == 0\nor\n${ofKnown(`min(${testWrites})`, testWrites, { labels: ['operation'], ofEach: 3 })}`,
              },
            ],
            noValue: UNKNOWN,
            texts: { 0: ['Fails', 'red'], 1: ['Works', 'green'] },
            steps: [[null, 'text']],
          }),
        ],
        [
          4,
          stat({
            title: 'Age of these figures',
            description:
              'Time since the last good cycle of the exporter that samples, or since its start, as a share of the age at which it takes its figures away. A cycle in time keeps it below 40 %. With several shards it is that of the worst. From 100 % on do not trust the others. Unknown: one exporter does not answer.',
            runbook: 'the-exporter-itself',
            unit: 'percentunit',
            decimals: 0,
            queries: [{ expr: ofKnown(`max(${shareOfLife})`, shareOfLife) }],
            noValue: UNKNOWN,
            steps: [
              [null, 'green'],
              [0.7, 'orange'],
              [1, 'red'],
            ],
          }),
        ],
      ],
    },
    {
      height: 7,
      panels: [
        [
          12,
          stateTimeline({
            title: 'Problems',
            description:
              'When each problem was there; one that never was, or of which nothing is known, has no line. Red is critical, orange a warning, blue a remark.',
            runbook: 'runbook',
            unit: 'none',
            queries: [
              {
                expr: `max by (problem) (2 * ${bySeverity('critical')} == 2 or ${bySeverity('warning')} == 1 or 3 * ${bySeverity('info')} == 3)`,
                legend: '{{problem}}',
              },
            ],
            noValue: 'No problem is known of this time',
            texts: { 1: ['warning', 'orange'], 2: ['critical', 'red'], 3: ['remark', 'blue'] },
          }),
        ],
        [
          12,
          timeseries({
            title: 'Where the bytes go',
            description:
              'Bytes of new XCom values each second. With S3 in use, nearly all of them are s3; db is the metadata database, other another backend or a local disk.',
            runbook: 'backend_inactive',
            unit: 'Bps',
            min: 0,
            stacked: true,
            colors: STORAGE_COLORS,
            queries: [
              {
                expr: ofAll(
                  `sum by (storage) (rate(${chosen('airflow_xcom_bytes_total')}[$__rate_interval]))`,
                ),
                legend: '{{storage}}',
              },
            ],
          }),
        ],
      ],
    },
    {
      height: 6,
      panels: [
        [
          8,
          timeseries({
            title: 'Large values in database, by queue',
            description:
              'The silent fallback: new large values in the metadata database. All from one queue: its workers lack the setting. From every queue: the setting is lost.',
            runbook: 'worker_bypass',
            unit: 'short',
            min: 0,
            queries: [
              {
                expr: `sum by (queue) (increase(${chosen('airflow_xcom_oversize_in_db_total')}[$__rate_interval])) > 0`,
                legend: '{{queue}}',
              },
            ],
            noValue: NONE_KNOWN,
          }),
        ],
        [
          8,
          timeseries({
            title: 'Broken references by reason',
            description:
              'missing: the object is gone. empty: 0 bytes. unreadable: in an archive. path_mismatch: Airflow looks elsewhere. leaked: the row holds another row’s path.',
            runbook: 'objects_missing',
            unit: 'short',
            min: 0,
            queries: [
              {
                expr: ofKnownBy('reason', 'sum', chosen('airflow_xcom_window_broken_references')),
                legend: '{{reason}}',
              },
            ],
          }),
        ],
        [
          8,
          barGauge({
            title: 'Error budgets left',
            description:
              'Of the errors that each objective allows in the chosen time, the share that is not used up. Below 0 the objective is missed; -100 % is that or worse. Needs the recording rules; objectives.yml sets the objectives.',
            runbook: 'runbook',
            unit: 'percentunit',
            decimals: 0,
            min: 0,
            max: 1,
            queries: [
              {
                expr: `clamp_min(1 - sum by (slo) (sum_over_time(${chosen(ERRORS)}[$__range])) / (sum by (slo) (sum_over_time(${chosen(BUDGET)}[$__range])) > 0), -1)`,
                legend: '{{slo}}',
              },
            ],
            noValue: NO_EVENTS_OR_RULES,
            steps: [
              [null, 'red'],
              [0.01, 'orange'],
              [0.5, 'green'],
            ],
          }),
        ],
      ],
    },
    {
      height: 5,
      panels: [
        [
          12,
          table({
            title: 'What is wrong now',
            description:
              'Each problem that is there now, and what it means. What to do: the row "What to do" below. Which dags, tasks and workers: the status page of the exporter.',
            runbook: 'runbook',
            unit: 'none',
            queries: [{ expr: `${chosen('airflow_xcom_problem')} == 1` }],
            columns: { severity: 'severity', problem: 'problem', instance: 'exporter', ...AIRFLOW_COLUMNS },
            widths: { severity: 90, exporter: 170 },
            texts: meanings(),
            noValue: 'No problem is known',
          }),
        ],
        [
          12,
          table({
            title: 'What is watched',
            description:
              'Airflow’s release by the shape of its tables, the place in S3 as configured, and the size in bytes from which a value is to go to S3 (negative: never).',
            runbook: 'threshold_disabled',
            unit: 'none',
            queries: [
              {
                expr: `${backend} * ignoring (airflow, schema, bucket, prefix, connection, compression) group_left () ${chosen('airflow_xcom_threshold_bytes')}\nor\n${backend} * NaN`,
              },
            ],
            columns: {
              airflow: 'Airflow',
              bucket: 'bucket',
              prefix: 'prefix',
              connection: 'connection',
              Value: 'threshold, bytes',
              instance: 'exporter',
              ...AIRFLOW_COLUMNS,
            },
            texts: { NaN: ['not known', 'text'] },
            noValue: UNKNOWN,
          }),
        ],
      ],
    },
    CANARY_ROW,
    {
      title: 'What to do',
      collapsed: true,
      height: 22,
      panels: [
        [
          24,
          {
            ...text({
              title: 'Problems and what to do about them',
              description: 'Every problem that the exporter can name, most telling first.',
              markdown: remedies(),
            }),
            id: 100,
          },
        ],
      ],
    },
  ],
};
