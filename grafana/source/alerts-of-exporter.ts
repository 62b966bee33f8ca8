import type { Alert } from './alert.ts';
import { REPLICA, countByShard } from './promql.ts';
import type { Duration } from './promql.ts';
import { SITE, runbook } from './site.ts';

const ITSELF = runbook('the-exporter-itself');
const up = `up{job=~"${SITE.job}"}`;
const lastSuccess = (job: string) =>
  `airflow_xcom_exporter_job_last_success_timestamp_seconds{name="${job}"}`;
const lastSample = lastSuccess('sample');
const ordinal = 'airflow_xcom_exporter_shard_ordinal';

/** One series for each problem and each shard that knows its state, whichever replica does. */
function shardsThatKnow(problems: string, ordinals: string): string {
  return countByShard(`0 * ${problems}\n    + ignoring (problem, severity) group_left () ${ordinals}`);
}

/** An exporter that starts again and again has only this moment of each process: what it did before counts as well. */
const MEMORY: Duration = '6h';
/** So long an exporter may be away between two starts. Longer, and a pod that was replaced would seem to stand still. */
const GAP: Duration = '5m';
/** Seconds for which a state that has no news is not written again: QUIET_MS of src/daemon/state-keeper.ts. */
const LONGEST_WITHOUT_NEWS = 300;
const leading = `last_over_time(airflow_xcom_exporter_leader[${GAP}]) == 1`;

function ticks(window: Duration): string {
  return `(increase(airflow_xcom_exporter_job_skips_total[${window}]) + increase(airflow_xcom_exporter_job_runs_total[${window}]))`;
}

/** The share of the ticks at which the run before had not ended. */
function skipped(window: Duration): string {
  return `increase(airflow_xcom_exporter_job_skips_total[${window}]) / ${ticks(window)}`;
}

/** What would make the other alerts blind. */
export const EXPORTER_ALERTS: readonly Alert[] = [
  {
    name: 'AirflowXComExporterStale',
    expr: `(
  time() - (
    last_over_time(${lastSample}[${MEMORY}])
    or
    (min_over_time(process_start_time_seconds[${MEMORY}]) and ${leading})
    unless ignoring (name) last_over_time(${lastSample}[${MEMORY}])
  )
  > ignoring (name) last_over_time(airflow_xcom_exporter_sample_stale_after_seconds[${GAP}])
)
and ignoring (name) ${leading}`,
    for: '5m',
    severity: 'critical',
    summary: 'The XCom exporter runs but cannot sample the metadata database.',
    description:
      '{{ $labels.instance }} has had no good cycle for {{ $value | humanizeDuration }}, so its other alerts are blind. The reason is in airflow_xcom_exporter_job_failures_total and on http://{{ $labels.instance }}/',
    runbookUrl: ITSELF,
    comment:
      'Compared with the time after which the exporter itself takes its figures away: it follows sample.schedule. Each shard for itself, and never one that stands by. One that never succeeded has no time of success: then the first start of its process within 6 hours counts, so that one that ends again and again is not always young. The latest time of success counts, not the greatest: a clock that was ahead would hide a day.',
  },
  {
    name: 'AirflowXComExporterNoLeader',
    expr: `${countByShard(ordinal)}
unless
${countByShard(`${ordinal} and airflow_xcom_exporter_leader == 1`)}`,
    for: '5m',
    severity: 'critical',
    summary: 'No XCom exporter of a shard that answers samples.',
    description:
      '{{ $value }} exporters of shard {{ $labels.shard }} answer, and none of them holds the lock in the metadata database. Nothing watches the XComs of its dags, unless an exporter does that Prometheus cannot scrape.',
    hasNoPage: true,
    runbookUrl: ITSELF,
    comment: 'Each shard for itself. Without the setting `shard` there is one, shard 0.',
  },
  {
    name: 'AirflowXComExporterShardMissing',
    expr: `max without (${REPLICA}) (airflow_xcom_exporter_shards)
- count without (shard) (${countByShard(ordinal)})
> 0`,
    for: '5m',
    severity: 'critical',
    summary: 'No XCom exporter of a shard can be scraped, and others can.',
    description:
      'No exporter answers for {{ $value }} of the shards that share the dags. Nothing watches the XComs of their dags.',
    hasNoPage: true,
    runbookUrl: ITSELF,
    comment:
      'A shard that was never started is no target of Prometheus, so only the other shards know that it should be there.',
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
    name: 'AirflowXComExporterRestarting',
    expr: `changes(process_start_time_seconds[1h]) > 3
and
last_over_time(airflow_xcom_exporter_leader[${GAP}])`,
    for: '0m',
    keepFiringFor: '15m',
    severity: 'warning',
    summary: 'The XCom exporter starts again and again.',
    description:
      'http://{{ $labels.instance }}/ has started {{ $value }} times within an hour. After each start the other alerts wait from the beginning, so they may never come. The last lines of its log say why it ended.',
    runbookUrl: ITSELF,
    comment:
      'More than a rollout and its repair need. Memory is the usual cause: the process is killed without a word. Kubernetes keeps such a process away for 5 minutes at last, and then it is seen for one scrape in six: so the alert waits for nothing, and outlasts the time between two scrapes that find it.',
  },
  {
    name: 'AirflowXComExporterOverrun',
    expr: `(${skipped('15m')} > 0.5)
or
(
  ${skipped('6h')} > 0.5
  and increase(airflow_xcom_exporter_job_skips_total[2h]) > 0
  unless ${ticks('15m')} > 3
)`,
    for: '15m',
    severity: 'warning',
    summary: 'Jobs of the XCom exporter take longer than the time between two runs.',
    description:
      'http://{{ $labels.instance }}/ skipped {{ $value | humanizePercentage }} of the latest runs of {{ $labels.name }}, because the run before had not ended.',
    runbookUrl: ITSELF,
    comment:
      'Over 15 minutes, and over 6 hours where a schedule has few ticks within 15 minutes: there one tick alone, or none, would decide.',
  },
  {
    name: 'AirflowXComProblemUnknown',
    expr: `count without (problem, severity) (
  ${shardsThatKnow('max_over_time(airflow_xcom_problem{problem!~"backend_inactive|orphans_growing"}[6h])', `last_over_time(${ordinal}[6h])`)}
  unless
  ${shardsThatKnow('airflow_xcom_problem', ordinal)}
)
and
${countByShard(`${ordinal} and airflow_xcom_oversize_bytes`)}`,
    for: '1h',
    severity: 'warning',
    summary: 'For an hour the XCom exporter has not known if some problems are there.',
    description:
      'The exporter of shard {{ $labels.shard }} knew the state of {{ $value }} problems within the last 6 hours and does not know it now. Their alerts are blind. The status page names them. Their series of airflow_xcom_problem are absent.',
    runbookUrl: runbook('problems-that-are-not-known'),
    comment:
      'Known before, so that what the settings rule out (a probe that must not write, no bucket) is never waited for. Each shard for itself: its number becomes the value of the series, and count_values makes a label of the value. Without a good cycle there is no oversize_bytes either, and AirflowXComExporterStale fires. orphans_growing is left out: it is about cost, and by design it is not known while a run lasts longer than an hour. So is backend_inactive: by design it is not known while no worker writes a large value, as on a quiet weekend. An alert would then call a healthy exporter blind.',
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
    expr: `(
  max without (name) (last_over_time(${lastSample}[${MEMORY}]))
  - (
    max without (name) (last_over_time(${lastSuccess('state')}[${MEMORY}]))
    or min_over_time(process_start_time_seconds[${MEMORY}])
  )
  > ${LONGEST_WITHOUT_NEWS} + last_over_time(airflow_xcom_exporter_sample_stale_after_seconds[${GAP}])
)
and ${leading}
and max without (name) (airflow_xcom_exporter_job_runs_total{name="state"})`,
    for: '5m',
    severity: 'warning',
    summary: 'The XCom exporter cannot write its state file.',
    description:
      'http://{{ $labels.instance }}/ has not written it for {{ $value | humanizeDuration }}, and samples all the same. After a restart the exporter would count again what it counted since the last write.',
    runbookUrl: ITSELF,
    comment:
      'Until the latest good cycle, not until now: without one, AirflowXComExporterStale fires. One that stands by writes nothing, and without a state file there is no job of that name.',
  },
];
