import type { Alert } from './alert.ts';
import { REPLICA } from './promql.ts';
import { SITE, runbook } from './site.ts';

const ITSELF = runbook('the-exporter-itself');
const up = `up{job=~"${SITE.job}"}`;
const lastSample = 'airflow_xcom_exporter_job_last_success_timestamp_seconds{name="sample"}';

/** What would make the other alerts blind. */
export const EXPORTER_ALERTS: readonly Alert[] = [
  {
    name: 'AirflowXComExporterStale',
    expr: `(
  time() - (
    (${lastSample})
    or
    (process_start_time_seconds and on (job, instance) airflow_xcom_exporter_build_info)
    unless on (instance) (${lastSample})
  ) > 300
)
and on (instance) airflow_xcom_exporter_leader == 1`,
    for: '5m',
    severity: 'critical',
    summary: 'The XCom exporter runs but cannot sample the metadata database.',
    description:
      '{{ $labels.instance }} has had no good cycle for {{ $value | humanizeDuration }}, so its other alerts are blind. The reason is in airflow_xcom_exporter_job_failures_total and on http://{{ $labels.instance }}/',
    runbookUrl: ITSELF,
    comment:
      'Each shard for itself, and never one that stands by. One that never succeeded has no time of success: then the start of its process counts.',
  },
  {
    name: 'AirflowXComExporterNoLeader',
    expr: `count without (${REPLICA}) (airflow_xcom_exporter_leader)
and max without (${REPLICA}) (airflow_xcom_exporter_leader) == 0`,
    for: '5m',
    severity: 'critical',
    summary: 'Every XCom exporter stands by and none samples.',
    description:
      '{{ $value }} exporters run, and none of them holds the lock in the metadata database. Nothing watches the XComs.',
    hasNoPage: true,
    runbookUrl: ITSELF,
  },
  {
    name: 'AirflowXComExporterDown',
    expr: `(
  count without (${REPLICA}) (${up})
  and max without (${REPLICA}) (${up}) == 0
)
or
(absent(airflow_xcom_exporter_build_info) unless on () ${up})`,
    for: '5m',
    severity: 'critical',
    summary: 'The XCom exporter cannot be scraped.',
    description:
      'None of {{ $value }} targets answers, or there is no target at all. Nothing watches the XComs.',
    hasNoPage: true,
    runbookUrl: ITSELF,
  },
  {
    name: 'AirflowXComExporterReplicaDown',
    expr: `${up} == 0
and ignoring (${REPLICA}) (max without (${REPLICA}) (${up}) == 1)`,
    for: '15m',
    severity: 'warning',
    summary: 'One of several XCom exporters cannot be scraped.',
    description:
      '{{ $labels.instance }} has given no answer for 15 minutes (up is {{ $value }}). Others of its job answer. Either the standby is gone, or nobody watches a shard.',
    hasNoPage: true,
    runbookUrl: ITSELF,
  },
  {
    name: 'AirflowXComExporterOverrun',
    expr: `increase(airflow_xcom_exporter_job_skips_total[15m])
/ (increase(airflow_xcom_exporter_job_skips_total[15m]) + increase(airflow_xcom_exporter_job_runs_total[15m]))
> 0.5`,
    for: '15m',
    severity: 'warning',
    summary: 'Jobs of the XCom exporter take longer than the time between two runs.',
    description:
      'http://{{ $labels.instance }}/ skipped {{ $value | humanizePercentage }} of the runs of {{ $labels.name }} within 15 minutes, because the run before had not ended.',
    runbookUrl: ITSELF,
  },
  {
    name: 'AirflowXComProblemUnknown',
    expr: `count without (problem, severity) (
  max without (${REPLICA}) (max_over_time(airflow_xcom_problem[6h]))
  unless
  max without (${REPLICA}) (airflow_xcom_problem)
)
and
max without (${REPLICA}) (airflow_xcom_oversize_bytes)`,
    for: '1h',
    severity: 'warning',
    summary: 'For an hour the XCom exporter has not known if some problems are there.',
    description:
      'The exporter knew the state of {{ $value }} problems within the last 6 hours and does not know it now. Their alerts are blind. The status page names them. Their series of airflow_xcom_problem are absent.',
    runbookUrl: runbook('problems-that-are-not-known'),
    comment:
      'Known before, so that what the settings rule out (a probe that must not write, no bucket) is never waited for. Without a good cycle there is no oversize_bytes either, and AirflowXComExporterStale fires.',
  },
  {
    name: 'AirflowXComExporterReloadFailed',
    expr: 'airflow_xcom_exporter_config_last_reload_successful == 0',
    for: '5m',
    severity: 'warning',
    summary: 'The XCom exporter could not read its configuration again.',
    description:
      'http://{{ $labels.instance }}/ goes on with its old settings (last reload successful: {{ $value }}). `airflow-xcom-exporter config` lists what is wrong.',
    runbookUrl: ITSELF,
  },
  {
    name: 'AirflowXComExporterStateNotWritten',
    expr: `sum without (reason) (
  increase(airflow_xcom_exporter_job_failures_total{name="state"}[10m])
) > 0`,
    for: '15m',
    severity: 'warning',
    summary: 'The XCom exporter cannot write its state file.',
    description:
      'http://{{ $labels.instance }}/ failed to write it {{ $value | humanize }} times within 10 minutes. After a restart the exporter would count again what it counted since the last write.',
    runbookUrl: ITSELF,
  },
];
