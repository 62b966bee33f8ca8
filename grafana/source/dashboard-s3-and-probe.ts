import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { chosen } from './dashboards.ts';
import type { Page } from './dashboards.ts';
import { ofAll, ofKnownBy } from './known-figures.ts';
import { DATASOURCE, heatmap, NONE_KNOWN, stat, stateTimeline, timeseries } from './panels.ts';

const rate = (metric: string, matchers = '') => `rate(${chosen(metric, matchers)}[$__rate_interval])`;
const increase = (metric: string, matchers = '') => `increase(${chosen(metric, matchers)}[$__rate_interval])`;
const PROBED = chosen('airflow_xcom_probe_success');
const DURATION = 'airflow_xcom_probe_duration_seconds_bucket';

/** USD for one request to S3 Standard in us-east-1; DELETE is free. */
const PRICES = { 'put|list': 0.000_005, 'get|head': 0.000_000_4 };
const MONTH_SECONDS = 2_592_000;

const cost = Object.entries(PRICES)
  .map(
    ([operations, usd]) =>
      `sum(${rate('airflow_xcom_exporter_s3_requests_total', `operation=~"${operations}"`)}) * ${usd * 1e7}e-07`,
  )
  .join(' + ');

const quantile = (q: number) =>
  timeseries({
    title: `Latency, ${q * 100} %`,
    description: `So long or shorter take ${q * 100} % of the operations of the probe, failed ones included. From 1 second on the alert AirflowXComProbeSlow looks at the slowest tenth.`,
    runbook: 'bucket_unreachable',
    unit: 's',
    min: 0,
    queries: [
      {
        expr: ofAll(`histogram_quantile(${q}, sum by (le, operation) (${rate(DURATION)}))`),
        legend: '{{operation}}',
      },
    ],
  });

export const S3_AND_PROBE: Page = {
  uid: 'airflow-xcom-s3-and-probe',
  title: 'Airflow XCom / S3 and probe',
  description:
    'The probe writes, reads, lists and deletes a small object where Airflow puts its XComs, and asks the database a question. What it found, and what the exporter asks of S3.',
  variables: [
    new dashboard.QueryVariableBuilder('operation')
      .label('Operation')
      .datasource(DATASOURCE)
      .query(
        `label_values(airflow_xcom_probe_duration_seconds_count{job=~"$job",instance=~"$instance"}, operation)`,
      )
      .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
      .sort(dashboard.VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      .allValue('.+')
      .current({ selected: true, text: ['All'], value: ['$__all'] })
      .build(),
  ],
  rows: [
    {
      title: 'Does it work?',
      height: 8,
      panels: [
        [
          12,
          stateTimeline({
            title: 'Operations',
            description:
              'Whether each operation worked in the last probe of every exporter that samples. A gap: one did not try it, because one before it failed or the probe must not write, or one does not answer.',
            runbook: 'write_denied',
            unit: 'none',
            queries: [
              {
                expr: `min by (operation) (${PROBED}) == 0\nor\n${ofKnownBy('operation', 'min', PROBED)}`,
                legend: '{{operation}}',
              },
            ],
            texts: { 0: ['fails', 'red'], 1: ['works', 'green'] },
          }),
        ],
        [
          6,
          timeseries({
            title: 'Failures by reason',
            description:
              'Operations of the probe that failed. denied: credentials or policy. unreachable, timeout: the network or the endpoint. throttled, server_error: S3 itself.',
            runbook: 'bucket_unreachable',
            unit: 'short',
            min: 0,
            queries: [
              {
                expr: `sum by (operation, reason) (${increase('airflow_xcom_probe_failures_total')}) > 0`,
                legend: '{{operation}}: {{reason}}',
              },
            ],
            noValue: NONE_KNOWN,
          }),
        ],
        [
          6,
          timeseries({
            title: 'Failed writes',
            description:
              'By source. probe: a test write failed. task: a task wrote a row whose object was missing or empty at the first look.',
            runbook: 'write_denied',
            unit: 'short',
            min: 0,
            queries: [
              {
                expr: `sum by (source, reason) (${increase('airflow_xcom_write_failures_total')}) > 0`,
                legend: '{{source}}: {{reason}}',
              },
            ],
            noValue: NONE_KNOWN,
          }),
        ],
      ],
    },
    {
      title: 'How fast is it?',
      height: 8,
      panels: [
        [
          12,
          heatmap({
            title: 'Latency of $operation',
            description:
              'How many operations of the probe took how long. Choose one operation above: together they hide each other.',
            runbook: 'bucket_unreachable',
            unit: 's',
            queries: [
              {
                expr: ofAll(`sum by (le) (${increase(DURATION, 'operation=~"$operation"')})`),
                legend: '{{le}}',
              },
            ],
          }),
        ],
        [6, quantile(0.5)],
        [6, quantile(0.95)],
      ],
    },
    {
      height: 5,
      panels: [
        [
          24,
          stat({
            title: 'Last success',
            description:
              'How long ago each operation worked last; of several shards, where it is longest. Compare with probe.schedule. None known: one exporter does not answer, or the operation has not worked there since it was started.',
            runbook: 'bucket_unreachable',
            unit: 's',
            decimals: 0,
            queries: [
              {
                expr: `time() - ${ofKnownBy('operation', 'min', chosen('airflow_xcom_probe_last_success_timestamp_seconds'))}\nor\ngroup by (operation) (${PROBED}) * NaN`,
                legend: '{{operation}}',
              },
            ],
            noValue: NONE_KNOWN,
            steps: [[null, 'blue']],
          }),
        ],
      ],
    },
    {
      title: 'What the exporter asks of S3',
      height: 8,
      panels: [
        [
          8,
          timeseries({
            title: 'Requests',
            description:
              'Requests that the exporter sends to S3, its probe included. The setting s3.requests-per-cycle is the ceiling of each cycle.',
            runbook: 'exporter_behind',
            unit: 'reqps',
            min: 0,
            queries: [
              {
                expr: ofAll(`sum by (operation) (${rate('airflow_xcom_exporter_s3_requests_total')})`),
                legend: '{{operation}}',
              },
            ],
          }),
        ],
        [
          8,
          timeseries({
            title: 'Failed requests',
            description: 'By operation and reason. A request that is tried again counts again.',
            runbook: 'bucket_unreachable',
            unit: 'reqps',
            min: 0,
            queries: [
              {
                expr: `sum by (operation, reason) (${rate('airflow_xcom_exporter_s3_request_errors_total')}) > 0`,
                legend: '{{operation}}: {{reason}}',
              },
            ],
            noValue: NONE_KNOWN,
          }),
        ],
        [
          8,
          timeseries({
            title: 'Estimated cost of 30 days',
            description:
              'At the present rate of requests and the list prices of S3 Standard in us-east-1: 0.005 USD for 1,000 PUT or LIST, 0.0004 USD for 1,000 GET or HEAD. Other storage has other prices, often none.',
            runbook: 'exporter_behind',
            unit: 'currencyUSD',
            decimals: 2,
            min: 0,
            queries: [{ expr: ofAll(`(${cost}) * ${MONTH_SECONDS}`), legend: 'USD for 30 days' }],
          }),
        ],
      ],
    },
  ],
};
