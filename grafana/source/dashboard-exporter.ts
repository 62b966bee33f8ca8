import { chosen } from './dashboards.ts';
import type { Page } from './dashboards.ts';
import { ofAll, ofEachAirflow } from './known-figures.ts';
import {
  AIRFLOW_COLUMNS,
  EXPORTER_NAME,
  NONE_KNOWN,
  stat,
  stateTimeline,
  table,
  timeseries,
} from './panels.ts';
import { SITE } from './site.ts';

const ITSELF = 'the-exporter-itself';
const rate = (metric: string) => `rate(${chosen(metric)}[$__rate_interval])`;
/** For a metric that other programs have as well. */
const ofExporters = (metric: string) => chosen(metric, `job=~"${SITE.job}"`);
const reloaded = chosen('airflow_xcom_exporter_config_last_reload_successful');
const increase = (metric: string) => `increase(${chosen(metric)}[$__rate_interval])`;

export const EXPORTER: Page = {
  uid: 'airflow-xcom-exporter',
  title: 'Airflow XCom / Exporter',
  description:
    'The exporter itself: whether its figures are fresh and whole, what it costs the database, and how the process is.',
  rows: [
    {
      title: 'Is it there?',
      height: 6,
      panels: [
        [
          8,
          stateTimeline({
            title: 'Scraped',
            description: 'Whether Prometheus gets an answer from each exporter.',
            runbook: ITSELF,
            unit: 'none',
            queries: [{ expr: ofExporters('up'), legend: EXPORTER_NAME }],
            texts: { 0: ['down', 'red'], 1: ['up', 'green'] },
          }),
        ],
        [
          8,
          stateTimeline({
            title: 'Leader',
            description:
              'Which exporter samples. With `ha` set to `lock` exactly one does and the others stand by; with shards each does.',
            runbook: ITSELF,
            unit: 'none',
            queries: [
              {
                expr: chosen('airflow_xcom_exporter_leader'),
                legend: EXPORTER_NAME,
              },
            ],
            texts: { 0: ['stands by', 'blue'], 1: ['samples', 'green'] },
          }),
        ],
        [
          8,
          stateTimeline({
            title: 'Targets',
            description:
              'Whether the database and S3 served the exporter when they were last asked. One that answers and refuses is not up either: the reasons of the failures below tell which.',
            runbook: ITSELF,
            unit: 'none',
            queries: [
              {
                expr: chosen('airflow_xcom_exporter_up'),
                legend: `{{target}}, ${EXPORTER_NAME}`,
              },
            ],
            texts: { 0: ['refuses, fails or no answer', 'red'], 1: ['served', 'green'] },
          }),
        ],
      ],
    },
    {
      title: 'Are its figures fresh and whole?',
      height: 8,
      panels: [
        [
          6,
          timeseries({
            title: 'Time since the last success',
            description:
              'Of each job. Data of a sample that is older than three ticks of its schedule, plus its duration, is not shown any more; 5 minutes later AirflowXComExporterStale fires. The state file is written when something was counted, else every five minutes.',
            runbook: ITSELF,
            unit: 's',
            min: 0,
            queries: [
              {
                expr: `time() - ${chosen('airflow_xcom_exporter_job_last_success_timestamp_seconds')}`,
                legend: `{{name}}, ${EXPORTER_NAME}`,
              },
            ],
          }),
        ],
        [
          6,
          timeseries({
            title: 'Lag',
            description:
              'Age of the oldest row that was seen and is not decided yet: its object has not been looked up, or its size not measured.',
            runbook: 'exporter_behind',
            unit: 's',
            min: 0,
            queries: [
              {
                expr: chosen('airflow_xcom_exporter_sample_lag_seconds'),
                legend: EXPORTER_NAME,
              },
            ],
          }),
        ],
        [
          6,
          timeseries({
            title: 'Coverage',
            description: 'Of what the window holds, the share that is measured and looked up. 100 % is good.',
            runbook: 'exporter_behind',
            unit: 'percentunit',
            min: 0,
            max: 1,
            queries: [
              {
                expr: chosen('airflow_xcom_exporter_sample_coverage_ratio'),
                legend: EXPORTER_NAME,
              },
            ],
          }),
        ],
        [
          6,
          timeseries({
            title: 'Written and seen',
            description:
              'Rows each second that Postgres says were written, and that the exporter counted. The gap was overwritten or deleted within one interval, or rolled back. No line of Postgres: it is a standby, or its tables are partitioned.',
            runbook: 'references',
            unit: 'wps',
            min: 0,
            queries: [
              {
                expr: ofAll(`sum(${ofEachAirflow(rate('airflow_xcom_database_writes_total'))})`),
                legend: 'written, says Postgres',
              },
              { expr: ofAll(`sum(${rate('airflow_xcom_rows_total')})`), legend: 'seen by the exporter' },
            ],
          }),
        ],
      ],
    },
    {
      title: 'What does it cost the database, and how long does it take?',
      height: 8,
      panels: [
        [
          8,
          timeseries({
            title: 'Duration of a run',
            description:
              'How long the last run of each job took. A sample is one reading of the database and the look-ups in S3.',
            runbook: ITSELF,
            unit: 's',
            min: 0,
            queries: [
              {
                expr: chosen('airflow_xcom_exporter_job_duration_seconds'),
                legend: `{{name}}, ${EXPORTER_NAME}`,
              },
            ],
          }),
        ],
        [
          8,
          timeseries({
            title: 'Answer of the database',
            description:
              'How long the database takes to answer the smallest question, at the 95th percentile of the probe: its load, not ours.',
            runbook: ITSELF,
            unit: 's',
            min: 0,
            queries: [
              {
                expr: `histogram_quantile(0.95, rate(${chosen('airflow_xcom_probe_duration_seconds_bucket', 'operation="database"')}[$__rate_interval]))`,
                legend: EXPORTER_NAME,
              },
            ],
          }),
        ],
        [
          8,
          timeseries({
            title: 'Share of time in the job',
            description:
              'Runs each second times the duration of the last one: how much of the time, for sample and probe, one connection to the database is in use. Near 100 % runs are skipped.',
            runbook: ITSELF,
            unit: 'percentunit',
            min: 0,
            queries: [
              {
                expr: `${rate('airflow_xcom_exporter_job_runs_total')} * ${chosen('airflow_xcom_exporter_job_duration_seconds')}`,
                legend: `{{name}}, ${EXPORTER_NAME}`,
              },
            ],
          }),
        ],
      ],
    },
    {
      height: 8,
      panels: [
        [
          8,
          timeseries({
            title: 'Failed runs',
            description:
              'By job and reason. The reason of a sample is the database’s, that of a probe S3’s, that of state why its file was not written.',
            runbook: ITSELF,
            unit: 'short',
            min: 0,
            queries: [
              {
                expr: `sum by (name, reason) (${increase('airflow_xcom_exporter_job_failures_total')}) > 0`,
                legend: '{{name}}: {{reason}}',
              },
            ],
            noValue: NONE_KNOWN,
          }),
        ],
        [
          8,
          timeseries({
            title: 'Skipped runs',
            description: 'Ticks at which the run before was still under way.',
            runbook: ITSELF,
            unit: 'short',
            min: 0,
            queries: [
              {
                expr: ofAll(`sum by (name) (${increase('airflow_xcom_exporter_job_skips_total')})`),
                legend: '{{name}}',
              },
            ],
          }),
        ],
        [
          8,
          timeseries({
            title: 'Series past the ceiling',
            description:
              'Increments that went to a series labelled _other, because labels.max-dags or the ceiling of queues is reached: their dag is not told.',
            runbook: 'exporter_behind',
            unit: 'short',
            min: 0,
            queries: [
              {
                expr: ofAll(`sum by (metric) (${increase('airflow_xcom_exporter_series_overflow_total')})`),
                legend: '{{metric}}',
              },
            ],
          }),
        ],
      ],
    },
    {
      title: 'The process',
      height: 7,
      panels: [
        [
          6,
          timeseries({
            title: 'Processor',
            description: 'The share of one core that the process uses.',
            runbook: ITSELF,
            unit: 'percentunit',
            min: 0,
            queries: [
              {
                expr: `rate(${ofExporters('process_cpu_seconds_total')}[$__rate_interval])`,
                legend: EXPORTER_NAME,
              },
            ],
          }),
        ],
        [
          6,
          timeseries({
            title: 'Memory',
            description: 'Resident memory of the process.',
            runbook: ITSELF,
            unit: 'bytes',
            min: 0,
            queries: [
              {
                expr: ofExporters('process_resident_memory_bytes'),
                legend: EXPORTER_NAME,
              },
            ],
          }),
        ],
        [
          6,
          timeseries({
            title: 'Lag of the event loop',
            description: 'At the 99th percentile. Above a second the process is short of a processor.',
            runbook: ITSELF,
            unit: 's',
            min: 0,
            queries: [
              {
                expr: ofExporters('nodejs_eventloop_lag_p99_seconds'),
                legend: EXPORTER_NAME,
              },
            ],
          }),
        ],
        [
          6,
          timeseries({
            title: 'Series and scrape',
            description: 'How many series a scrape brings. labels.max-dags bounds them.',
            runbook: 'exporter_behind',
            unit: 'short',
            min: 0,
            queries: [{ expr: ofExporters('scrape_samples_scraped'), legend: EXPORTER_NAME }],
          }),
        ],
      ],
    },
    {
      title: 'Its settings',
      height: 5,
      panels: [
        [
          8,
          table({
            title: 'Version',
            description: 'Which release runs where.',
            runbook: ITSELF,
            unit: 'none',
            queries: [{ expr: chosen('airflow_xcom_exporter_build_info') }],
            columns: { version: 'version', instance: 'exporter', ...AIRFLOW_COLUMNS },
          }),
        ],
        [
          4,
          stat({
            title: 'Window',
            description: 'The setting `window`: what the figures of the window cover.',
            runbook: ITSELF,
            unit: 's',
            queries: [{ expr: `max(${chosen('airflow_xcom_window_seconds')})` }],
          }),
        ],
        [
          4,
          stat({
            title: 'Settings read',
            description:
              'Whether the last reload took, of every exporter. After a failed one the old settings stay in force.',
            runbook: ITSELF,
            unit: 'none',
            queries: [{ expr: `min(${reloaded}) == 0\nor\n${ofAll(`min(${reloaded})`)}` }],
            texts: { 0: ['Failed', 'red'], 1: ['Yes', 'green'] },
            steps: [[null, 'text']],
          }),
        ],
        [
          8,
          stat({
            title: 'Age of the settings',
            description:
              'Time since the settings were last read with success; of several exporters, where it is longest.',
            runbook: ITSELF,
            unit: 's',
            decimals: 0,
            queries: [
              {
                expr: ofAll(
                  `time() - min(${chosen('airflow_xcom_exporter_config_last_reload_success_timestamp_seconds')})`,
                ),
              },
            ],
          }),
        ],
      ],
    },
  ],
};
