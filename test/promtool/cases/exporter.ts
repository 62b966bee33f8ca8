import { EVIDENCE, LEADER, of } from './case.ts';
import type { Case, Words } from './case.ts';

const ITSELF = 'docs/runbook.md#the-exporter-itself';

export const EXPORTER_WORDS: Readonly<Record<string, Words>> = {
  AirflowXComExporterStale: {
    summary: 'The XCom exporter runs but cannot sample the metadata database.',
    runbook: ITSELF,
  },
  AirflowXComExporterNoLeader: {
    summary: 'No XCom exporter of a shard that answers samples.',
    runbook: ITSELF,
  },
  AirflowXComExporterShardMissing: {
    summary: 'No XCom exporter of a shard can be scraped, and others can.',
    runbook: ITSELF,
  },
  AirflowXComExporterDown: { summary: 'The XCom exporter cannot be scraped.', runbook: ITSELF },
  AirflowXComExporterReplicaDown: {
    summary: 'One of several XCom exporters cannot be scraped.',
    runbook: ITSELF,
  },
  AirflowXComExporterRestarting: {
    summary: 'The XCom exporter starts again and again.',
    runbook: ITSELF,
  },
  AirflowXComExporterOverrun: {
    summary: 'Jobs of the XCom exporter take longer than the time between two runs.',
    runbook: ITSELF,
  },
  AirflowXComProblemUnknown: {
    summary: 'For an hour the XCom exporter has not known if some problems are there.',
    runbook: 'docs/runbook.md#problems-that-are-not-known',
  },
  AirflowXComExporterReloadFailed: {
    summary: 'The XCom exporter could not read its configuration again.',
    runbook: ITSELF,
  },
  AirflowXComExporterStateNotWritten: {
    summary: 'The XCom exporter cannot write its state file.',
    runbook: ITSELF,
  },
};

const first = 'exporter:10048';
const second = 'exporter-1:10048';
const job = 'airflow-xcom-exporter';

const lastSample = (instance?: string) =>
  of('airflow_xcom_exporter_job_last_success_timestamp_seconds', 'name="sample"', instance);
const build = (instance?: string) => of('airflow_xcom_exporter_build_info', 'version="1.0.0"', instance);
const leader = (instance?: string) => of('airflow_xcom_exporter_leader', '', instance);
const ordinal = (instance?: string) => of('airflow_xcom_exporter_shard_ordinal', '', instance);
const shards = (instance?: string) => of('airflow_xcom_exporter_shards', '', instance);
/** As the exporter has it with its default schedule. */
const limit = (instance?: string) => of('airflow_xcom_exporter_sample_stale_after_seconds', '', instance);
const start = (instance?: string) => of('process_start_time_seconds', '', instance);
const up = (instance?: string) => of('up', '', instance);
/** Seconds since the epoch, which is minute 0, at each minute. */
const now = '0+60';

/** A leader and its standby, without shards. */
const pair = {
  [ordinal()]: '0x60',
  [shards()]: '1x60',
  [ordinal(second)]: '0x60',
  [shards(second)]: '1x60',
};

const stale = (words: string, instance = first) => ({
  labels: { job, instance, severity: 'critical' },
  description: `${instance} has had no good cycle for ${words}, so its other alerts are blind. The reason is in airflow_xcom_exporter_job_failures_total and on http://${instance}/`,
});
const down = (count: number, labels: Record<string, string> = { job }) => ({
  labels: { ...labels, severity: 'critical' },
  description: `None of ${count} targets answers, or there is no target at all. Nothing watches the XComs.`,
});

const noLeader = (count: number, shard = '0') => ({
  labels: { job, shard, severity: 'critical' },
  description: `${count} exporters of shard ${shard} answer, and none of them holds the lock in the metadata database. Nothing watches the XComs of its dags, unless an exporter does that Prometheus cannot scrape.`,
});
const shardsMissing = (count: number) => ({
  labels: { job, severity: 'critical' },
  description: `No exporter answers for ${count} of the shards that share the dags. Nothing watches the XComs of their dags.`,
});

const problem = (code: string, instance?: string) =>
  of('airflow_xcom_problem', `problem="${code}", severity="critical"`, instance);
const unknown = (count: number, shard = '0') => ({
  labels: { job, shard, severity: 'warning' },
  description: `The exporter of shard ${shard} knew the state of ${count} problems within the last 6 hours and does not know it now. Their alerts are blind. The status page names them. Their series of airflow_xcom_problem are absent.${EVIDENCE}`,
});

const restarting = (times: number) => ({
  labels: { job, instance: first, severity: 'warning' },
  description: `http://${first}/ has started ${times} times within an hour. After each start the other alerts wait from the beginning, so they may never come. The last lines of its log say why it ended.`,
});

/** A figure of a process that one scrape finds every seven minutes, for two hours. */
const found = (figure: (minute: number) => number) =>
  Array.from({ length: 17 }, (_, index) => `${figure(7 * index)} stale _x5`).join(' ');

const runs = (name: string, kind: 'runs' | 'skips') =>
  of(`airflow_xcom_exporter_job_${kind}_total`, `name="${name}"`);
const overrun = (share: string) => ({
  labels: { job, instance: first, name: 'sample', severity: 'warning' },
  description: `http://${first}/ skipped ${share} of the latest runs of sample, because the run before had not ended.`,
});

const reload = of('airflow_xcom_exporter_config_last_reload_successful');
const refused = {
  labels: { job, instance: first, severity: 'warning' },
  description: `http://${first}/ goes on with its old settings (last reload successful: 0). \`airflow-xcom-exporter config\` lists what is wrong.`,
};

const lastWrite = (instance?: string) =>
  of('airflow_xcom_exporter_job_last_success_timestamp_seconds', 'name="state"', instance);
const writes = (instance?: string) => of('airflow_xcom_exporter_job_runs_total', 'name="state"', instance);
const unwritten = (words: string) => ({
  labels: { job, instance: first, severity: 'warning' },
  description: `http://${first}/ has not written it for ${words}, and samples all the same. After a restart the exporter would count again what it counted since the last write.`,
});
/** A leader with a state file and the default schedule, whose every cycle succeeds. */
const keeper = {
  [leader()]: '1x120',
  [start()]: '0x120',
  [limit()]: '90x120',
  [writes()]: '0+1x120',
  [lastSample()]: `${now}x120`,
};

export const EXPORTER_CASES: readonly Case[] = [
  {
    alert: 'AirflowXComExporterStale',
    kind: 'fires',
    story: 'the last good cycle was at minute 10, then cycles work again',
    series: {
      [leader()]: '1x100',
      [build()]: '1x100',
      [start()]: '0x100',
      [limit()]: '300x100',
      [lastSample()]: `${now}x10 600x30 2460+60x50`,
    },
    at: { '19m': [], '22m': [stale('12m 0s')], '45m': [] },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'fires',
    story: 'it never had a good cycle since it was started at minute 10',
    series: {
      [leader()]: '_x10 1x100',
      [build()]: '_x10 1x100',
      [start()]: '_x10 600x100',
      [limit()]: '_x10 300x100',
    },
    at: { '19m': [], '22m': [stale('12m 0s')] },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'fires',
    story: 'it samples every 30 seconds, and has been stale since 90 seconds after minute 10',
    series: {
      [leader()]: '1x100',
      [build()]: '1x100',
      [start()]: '0x100',
      [limit()]: '90x100',
      [lastSample()]: `${now}x10 600x30`,
    },
    at: { '16m': [], '17m': [stale('7m 0s')] },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'does not fire',
    story: 'it samples every quarter of an hour, and one run fails',
    series: {
      [leader()]: '1x100',
      [build()]: '1x100',
      [start()]: '0x100',
      [limit()]: '2700x100',
      [lastSample()]: '0x14 900x14 1800x40',
    },
    at: { '14m': [], '29m': [], '60m': [] },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'does not fire',
    story: 'a cycle succeeds every four minutes, and the probe never does',
    series: {
      [leader()]: '1x100',
      [build()]: '1x100',
      [start()]: '0x100',
      [limit()]: '90x100',
      [lastSample()]: '0x3 240x3 480x3 720x3 960x3 1200x3 1440x3',
      [of('airflow_xcom_exporter_job_last_success_timestamp_seconds', 'name="probe"')]: '0x100',
    },
    at: { '15m': [], '25m': [] },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'no data',
    story: 'it is not there at all: another alert says so',
    series: { [up()]: '0x100' },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'restart',
    story: 'it starts anew every eight minutes and succeeds at once',
    series: {
      [leader()]: '1x7 1x7 1x7 1x20',
      [build()]: '1x100',
      [start()]: '0x7 480x7 960x7 1440x20',
      [limit()]: '90x100',
      [lastSample()]: `${now}x7 480+60x7 960+60x7 1440+60x20`,
    },
    at: { '12m': [], '24m': [], '40m': [] },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'fires',
    story: 'it ends half a minute after each start, before any good cycle',
    series: {
      [leader()]: '1x60',
      [start()]: '0+60x60',
      [limit()]: '90x60',
    },
    at: { '5m': [], '20m': [stale('20m 0s')] },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'replicas',
    story:
      'an Airflow that was never sampled has the same instance as one that is sampled in another namespace',
    series: {
      ...Object.fromEntries(
        [leader(), limit(), start()].flatMap((series) =>
          ['a', 'b'].map((namespace) => [
            series.replace('}', `, namespace="${namespace}"}`),
            series === leader() ? '1x60' : series === limit() ? '90x60' : '0x60',
          ]),
        ),
      ),
      [lastSample().replace('}', ', namespace="a"}')]: `${now}x60`,
    },
    at: {
      '30m': [
        {
          ...stale('30m 0s'),
          labels: { job, instance: first, namespace: 'b', severity: 'critical' },
        },
      ],
    },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'does not fire',
    story: 'the pod that led is replaced by another at minute 20',
    series: {
      [leader()]: '1x20 stale',
      [start()]: '0x20 stale',
      [limit()]: '90x20 stale',
      [lastSample()]: `${now}x20 stale`,
      [leader(second)]: '_x20 1x60',
      [start(second)]: '_x20 1200x60',
      [limit(second)]: '_x20 90x60',
      [lastSample(second)]: `_x21 1260+60x60`,
    },
    at: { '22m': [], '24m': [], '26m': [], '40m': [] },
  },
  {
    alert: 'AirflowXComExporterStale',
    kind: 'replicas',
    story: 'one that stands by never samples; a shard that is stale is said by name',
    series: {
      [leader()]: '0x100',
      [build()]: '1x100',
      [start()]: '0x100',
      [leader(second)]: '1x100',
      [build(second)]: '1x100',
      [limit()]: '90x100',
      [limit(second)]: '90x100',
      [lastSample(second)]: '0x100',
    },
    at: { '20m': [stale('20m 0s', second)] },
  },

  {
    alert: 'AirflowXComExporterStale',
    kind: 'fires',
    story: 'no cycle succeeds from minute 19 on, and the clock was two hours ahead before',
    series: {
      [leader()]: '1x200',
      [start()]: '0x200',
      [limit()]: '90x200',
      [lastSample()]: `${now}x9 7800+60x4 900+60x4 1140x180`,
    },
    at: { '20m': [], '60m': [stale('41m 0s')], '120m': [stale('1h 41m 0s')] },
  },

  {
    alert: 'AirflowXComExporterNoLeader',
    kind: 'fires',
    story: 'the leader lost the database, and the other cannot ask for the lock',
    series: { ...pair, [leader()]: '1x10 0x30 1x20', [leader(second)]: '0x60' },
    at: { '14m': [], '20m': [noLeader(2)], '45m': [] },
  },
  {
    alert: 'AirflowXComExporterNoLeader',
    kind: 'fires',
    story: 'both replicas of shard 1 stand by while shard 0 has a leader',
    series: {
      ...pair,
      [shards()]: '2x60',
      [shards(second)]: '2x60',
      [leader()]: '1x60',
      [leader(second)]: '0x60',
      ...Object.fromEntries(
        ['shard-1-a:10048', 'shard-1-b:10048'].flatMap((instance) => [
          [ordinal(instance), '1x60'],
          [shards(instance), '2x60'],
          [leader(instance), '0x40 1x20'],
        ]),
      ),
    },
    at: { '4m': [], '20m': [noLeader(2, '1')], '45m': [] },
  },
  {
    alert: 'AirflowXComExporterNoLeader',
    kind: 'does not fire',
    story: 'one stands by',
    series: { ...pair, [leader()]: '1x60', [leader(second)]: '0x60' },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComExporterNoLeader',
    kind: 'no data',
    story: 'none is scraped',
    series: { [up()]: '0x60' },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComExporterNoLeader',
    kind: 'restart',
    story: 'the leader is away for two minutes and the other has not taken over yet',
    series: {
      ...pair,
      [ordinal()]: '0x10 stale _ 0x40',
      [leader()]: '1x10 stale _ 1x40',
      [leader(second)]: '0x60',
    },
    at: { '12m': [], '17m': [] },
  },
  {
    alert: 'AirflowXComExporterNoLeader',
    kind: 'replicas',
    story: 'the standby takes over',
    series: { ...pair, [leader()]: '1x10 0x50', [leader(second)]: '0x10 1x50' },
    at: { '30m': [] },
  },

  {
    alert: 'AirflowXComExporterShardMissing',
    kind: 'fires',
    story: 'shard 1 of three was never started, and shard 2 is stopped at minute 20',
    series: {
      [ordinal()]: '0x60',
      [shards()]: '3x60',
      [ordinal(second)]: '2x20 stale',
      [shards(second)]: '3x20 stale',
    },
    at: { '4m': [], '6m': [shardsMissing(1)], '30m': [shardsMissing(2)] },
  },
  {
    alert: 'AirflowXComExporterShardMissing',
    kind: 'does not fire',
    story: 'both shards are there',
    series: {
      [ordinal()]: '0x60',
      [shards()]: '2x60',
      [ordinal(second)]: '1x60',
      [shards(second)]: '2x60',
    },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComExporterShardMissing',
    kind: 'no data',
    story: 'no shard is scraped: another alert says so',
    series: { [up()]: '0x60' },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComExporterShardMissing',
    kind: 'restart',
    story: 'shard 1 is away for three minutes',
    series: {
      [ordinal()]: '0x60',
      [shards()]: '2x60',
      [ordinal(second)]: '1x10 stale _x2 1x40',
      [shards(second)]: '2x10 stale _x2 2x40',
    },
    at: { '13m': [], '30m': [] },
  },
  {
    alert: 'AirflowXComExporterShardMissing',
    kind: 'replicas',
    story: 'without shards, a leader and a standby are one shard; two replicas of shard 0 are no shard 1',
    series: {
      [ordinal()]: '0x60',
      [shards()]: '1x20 2x40',
      [ordinal(second)]: '0x60',
      [shards(second)]: '1x20 2x40',
    },
    at: { '19m': [], '30m': [shardsMissing(1)] },
  },

  {
    alert: 'AirflowXComExporterDown',
    kind: 'fires',
    story: 'its only target gives no answer',
    series: { [up()]: '1x10 0x30 1x30', [build()]: '1x10 stale _x29 1x30' },
    at: { '15m': [], '17m': [down(1)], '50m': [] },
  },
  {
    alert: 'AirflowXComExporterDown',
    kind: 'no data',
    story: 'there is no target at all',
    series: { 'up{job="other", instance="other:80"}': '1x60' },
    at: { '4m': [], '6m': [down(1, {})] },
  },
  {
    alert: 'AirflowXComExporterDown',
    kind: 'does not fire',
    story: 'it answers, under the name that a chart or an operator gives its job',
    series: {
      'up{job="monitoring/airflow-xcom-exporter", instance="10.0.0.1:10048"}': '1x60',
      'airflow_xcom_exporter_build_info{job="monitoring/airflow-xcom-exporter", instance="10.0.0.1:10048", version="1.0.0"}':
        '1x60',
    },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComExporterDown',
    kind: 'restart',
    story: 'it is away for three minutes',
    series: { [up()]: '1x10 0x2 1x40', [build()]: '1x10 stale _x2 1x40' },
    at: { '13m': [], '17m': [] },
  },
  {
    alert: 'AirflowXComExporterDown',
    kind: 'replicas',
    story: 'one of two answers; then neither does',
    series: { [up()]: '0x60', [up(second)]: '1x20 0x40', [build(second)]: '1x20 stale' },
    at: { '20m': [], '27m': [down(2)] },
  },

  {
    alert: 'AirflowXComExporterReplicaDown',
    kind: 'fires',
    story: 'one of two gives no answer',
    series: { [up()]: '1x60', [up(second)]: '1x10 0x30 1x20' },
    at: {
      '25m': [],
      '27m': [
        {
          labels: { job, instance: second, severity: 'warning' },
          description: `${second} has given no answer for 15 minutes (up is 0). Others of its job answer. Either the standby is gone, or nobody watches a shard.`,
        },
      ],
      '45m': [],
    },
  },
  {
    alert: 'AirflowXComExporterReplicaDown',
    kind: 'does not fire',
    story: 'the only one gives no answer: another alert says so',
    series: { [up()]: '0x60' },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComExporterReplicaDown',
    kind: 'no data',
    story: 'there is no target',
    series: { 'up{job="other", instance="other:80"}': '0x60' },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComExporterReplicaDown',
    kind: 'restart',
    story: 'one of two is away for ten minutes',
    series: { [up()]: '1x60', [up(second)]: '1x10 0x9 1x40' },
    at: { '20m': [], '30m': [] },
  },
  {
    alert: 'AirflowXComExporterReplicaDown',
    kind: 'replicas',
    story: 'two exporters of another Airflow, in another namespace, are no replicas of these',
    series: {
      'up{job="airflow-xcom-exporter", namespace="a", instance="a:10048"}': '0x60',
      'up{job="airflow-xcom-exporter", namespace="b", instance="b:10048"}': '1x60',
    },
    at: { '30m': [] },
  },

  {
    alert: 'AirflowXComExporterRestarting',
    kind: 'fires',
    story: 'it ends eight minutes after each start',
    series: { [leader()]: '1x70', [start()]: '0x7 480x7 960x7 1440x7 1920x7 2400x30' },
    at: { '30m': [], '38m': [restarting(4)], '45m': [restarting(5)] },
  },
  {
    alert: 'AirflowXComExporterRestarting',
    kind: 'does not fire',
    story: 'it is started a few times; another program ends all the time',
    series: {
      [leader()]: '1x70',
      [start()]: '0x10 660x5 960x5 1260x50',
      [start().replaceAll('airflow-xcom-exporter', 'other')]: '0+60x70',
    },
    at: { '25m': [], '40m': [] },
  },
  {
    alert: 'AirflowXComExporterRestarting',
    kind: 'restart',
    story: 'a rollout and its repair',
    series: { [leader()]: '1x10 stale _ 1x5 stale 1x60', [start()]: '0x10 stale _ 720x5 stale 1080x60' },
    at: { '15m': [], '25m': [] },
  },
  {
    alert: 'AirflowXComExporterRestarting',
    kind: 'no data',
    story: 'it ended many times, and is away: it is said for a while, then another alert says so',
    series: { [leader()]: '1x20 stale', [start()]: '0+120x10 stale' },
    at: { '30m': [restarting(10)], '50m': [] },
  },
  {
    alert: 'AirflowXComExporterRestarting',
    kind: 'fires',
    story: 'it is killed soon after each start, and found by one scrape in seven minutes',
    series: { [leader()]: found(() => 1), [start()]: found((minute) => 60 * minute) },
    at: {
      '20m': [],
      '45m': [restarting(6)],
      '48m': [restarting(6)],
      '90m': [restarting(7)],
      '93m': [restarting(8)],
    },
  },
  {
    alert: 'AirflowXComExporterOverrun',
    kind: 'fires',
    story: 'three of four runs of sample are skipped',
    series: {
      [runs('sample', 'runs')]: '0+1x60',
      [runs('sample', 'skips')]: '0+3x60',
      [runs('probe', 'runs')]: '0+1x60',
      [runs('probe', 'skips')]: '0x60',
    },
    at: { '14m': [], '30m': [overrun('75%')] },
  },
  {
    alert: 'AirflowXComExporterOverrun',
    kind: 'fires',
    story: 'a run hangs for ever, and the schedule has a tick every twenty minutes',
    series: {
      [runs('sample', 'runs')]: '1x600',
      [runs('sample', 'skips')]: Array.from({ length: 12 }, (_, skips) => `${skips}x19`).join(' '),
    },
    at: { '19m': [], '100m': [overrun('100%')], '116m': [overrun('100%')], '139m': [overrun('100%')] },
  },
  {
    alert: 'AirflowXComExporterOverrun',
    kind: 'fires',
    story: 'every tick of five hours is skipped, then none: the end is seen at once',
    series: { [runs('sample', 'runs')]: '1x300 1+2x60', [runs('sample', 'skips')]: '0+2x300 600x60' },
    at: { '290m': [overrun('100%')], '320m': [] },
  },
  {
    alert: 'AirflowXComExporterOverrun',
    kind: 'does not fire',
    story: 'a tick every twenty minutes, and one run takes twenty-one',
    series: {
      [runs('sample', 'runs')]: '1x19 2x19 3x20 4x18 5x19 6x60',
      [runs('sample', 'skips')]: '0x59 1x120',
    },
    at: { '62m': [], '70m': [], '76m': [], '85m': [] },
  },
  {
    alert: 'AirflowXComExporterOverrun',
    kind: 'does not fire',
    story: 'a third is skipped',
    series: { [runs('sample', 'runs')]: '0+2x60', [runs('sample', 'skips')]: '0+1x60' },
    at: { '40m': [] },
  },
  {
    alert: 'AirflowXComExporterOverrun',
    kind: 'no data',
    story: 'one that stands by neither runs nor skips',
    series: { [runs('sample', 'runs')]: '5x60', [runs('sample', 'skips')]: '5x60' },
    at: { '40m': [] },
  },
  {
    alert: 'AirflowXComExporterOverrun',
    kind: 'counter reset',
    story: 'both counters begin anew, and nothing is skipped after it',
    series: { [runs('sample', 'runs')]: '90+1x20 0+1x60', [runs('sample', 'skips')]: '900x20 0x60' },
    at: { '25m': [], '50m': [] },
  },
  {
    alert: 'AirflowXComExporterOverrun',
    kind: 'restart',
    story: 'a run that hangs since the start: every tick is skipped and no run ends',
    series: { [runs('sample', 'runs')]: '_x10 0x60', [runs('sample', 'skips')]: '_x10 0+2x60' },
    at: { '40m': [overrun('100%')] },
  },

  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'fires',
    story: 'two problems are not known for more than an hour, then they are',
    series: {
      ...LEADER,
      [of('airflow_xcom_oversize_bytes')]: '1000x400',
      [problem('write_denied')]: '0x30 stale _x119 0x100',
      [problem('objects_missing')]: '0x30 stale _x119 0x100',
      [problem('worker_bypass')]: '0x400',
    },
    at: { '85m': [], '95m': [unknown(2)], '160m': [] },
  },
  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'does not fire',
    story: 'a problem that never was known: the settings rule it out',
    series: {
      ...LEADER,
      [of('airflow_xcom_oversize_bytes')]: '1000x400',
      [problem('worker_bypass')]: '0x400',
    },
    at: { '200m': [] },
  },
  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'no data',
    story: 'a run lasts longer than an hour: by design nobody knows then if orphans grow',
    series: {
      ...LEADER,
      [of('airflow_xcom_oversize_bytes')]: '1000x400',
      [of('airflow_xcom_problem', 'problem="orphans_growing", severity="warning"')]: '0x30 stale',
    },
    at: { '120m': [] },
  },
  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'no data',
    story: 'a quiet weekend: by design nobody knows if the backend works while no large value is written',
    series: {
      ...LEADER,
      [of('airflow_xcom_oversize_bytes')]: '1000x400',
      [of('airflow_xcom_problem', 'problem="backend_inactive", severity="critical"')]: '0x30 stale',
    },
    at: { '120m': [] },
  },
  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'no data',
    story: 'nothing is known at all, because there is no cycle: another alert says so',
    series: {
      ...LEADER,
      [of('airflow_xcom_oversize_bytes')]: '1000x30 stale',
      [problem('write_denied')]: '0x30 stale',
    },
    at: { '120m': [] },
  },
  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'restart',
    story: 'for ten minutes after a start nothing has been probed',
    series: {
      ...LEADER,
      [of('airflow_xcom_oversize_bytes')]: '1000x30 stale _ 1000x300',
      [problem('write_denied')]: '0x30 stale _x10 0x300',
    },
    at: { '60m': [], '120m': [] },
  },
  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'replicas',
    story: 'the standby that took over knows it',
    series: {
      ...LEADER,
      [of('airflow_xcom_oversize_bytes')]: '1000x30 stale',
      [of('airflow_xcom_oversize_bytes', '', second)]: '_x30 1000x300',
      [ordinal(second)]: '0x400',
      [problem('write_denied')]: '0x30 stale',
      [problem('write_denied', second)]: '_x30 0x300',
    },
    at: { '120m': [] },
  },
  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'replicas',
    story: 'shard 1 does not know any more what shard 0 knows',
    series: {
      ...LEADER,
      [of('airflow_xcom_oversize_bytes')]: '1000x400',
      [problem('objects_missing')]: '0x400',
      [of('airflow_xcom_oversize_bytes', '', second)]: '1000x400',
      [ordinal(second)]: '1x400',
      [problem('objects_missing', second)]: '0x30 stale _x119 0x100',
    },
    at: { '85m': [], '95m': [unknown(1, '1')], '160m': [] },
  },
  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'replicas',
    story: 'shard 1 has no good cycle, and shard 0 knows everything: another alert says so',
    series: {
      ...LEADER,
      [of('airflow_xcom_oversize_bytes')]: '1000x400',
      [problem('objects_missing')]: '0x400',
      [of('airflow_xcom_oversize_bytes', '', second)]: '1000x30 stale',
      [ordinal(second)]: '1x400',
      [problem('objects_missing', second)]: '0x30 stale',
    },
    at: { '120m': [] },
  },
  {
    alert: 'AirflowXComProblemUnknown',
    kind: 'replicas',
    story: 'another pod takes the place of the one that knew it, and does not know it',
    series: {
      [leader(second)]: '_x30 1x400',
      [of('airflow_xcom_oversize_bytes')]: '1000x30 stale',
      [ordinal()]: '0x30 stale',
      [problem('write_denied')]: '0x30 stale',
      [of('airflow_xcom_oversize_bytes', '', second)]: '_x30 1000x400',
      [ordinal(second)]: '_x30 0x400',
    },
    at: {
      '100m': [{ ...unknown(1), description: unknown(1).description.replaceAll('exporter:10048', second) }],
    },
  },

  {
    alert: 'AirflowXComExporterReloadFailed',
    kind: 'fires',
    story: 'a reload is refused, the next one is not',
    series: { [reload]: '1x10 0x30 1x30' },
    at: { '14m': [], '20m': [refused], '50m': [] },
  },
  {
    alert: 'AirflowXComExporterReloadFailed',
    kind: 'does not fire',
    story: 'a reload is refused and mended within three minutes',
    series: { [reload]: '1x10 0x2 1x30' },
    at: { '13m': [], '20m': [] },
  },
  {
    alert: 'AirflowXComExporterReloadFailed',
    kind: 'no data',
    story: 'the exporter is away',
    series: { [reload]: '1x10 stale' },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComExporterReloadFailed',
    kind: 'restart',
    story: 'it starts anew, with settings that are right',
    series: { [reload]: '0x3 stale _ 1x30' },
    at: { '6m': [], '20m': [] },
  },

  {
    alert: 'AirflowXComExporterStateNotWritten',
    kind: 'fires',
    story: 'the disk is full from minute 10 to minute 40',
    series: { ...keeper, [lastWrite()]: `${now}x10 600x29 2400+60x60` },
    at: { '16m': [], '24m': [unwritten('14m 0s')], '45m': [] },
  },
  {
    alert: 'AirflowXComExporterStateNotWritten',
    kind: 'fires',
    story: 'it samples every quarter of an hour, and no write succeeds from minute 15 on',
    series: {
      ...keeper,
      [limit()]: '2700x300',
      [lastSample()]: Array.from({ length: 12 }, (_, cycles) => `${900 * cycles}x14`).join(' '),
      [lastWrite()]: '0x180',
    },
    at: { '40m': [], '70m': [unwritten('1h 0m 0s')], '100m': [unwritten('1h 30m 0s')] },
  },
  {
    alert: 'AirflowXComExporterStateNotWritten',
    kind: 'does not fire',
    story:
      'nothing is counted, so it is written every five minutes; another one stands by, with an old write',
    series: {
      ...keeper,
      [lastWrite()]: Array.from({ length: 24 }, (_, written) => `${300 * written}x4`).join(' '),
      [leader(second)]: '0x120',
      [start(second)]: '0x120',
      [limit(second)]: '90x120',
      [writes(second)]: '7x120',
      [lastSample(second)]: `${now}x20 1200x100`,
      [lastWrite(second)]: '0x120',
    },
    at: { '20m': [], '50m': [], '110m': [] },
  },
  {
    alert: 'AirflowXComExporterStateNotWritten',
    kind: 'does not fire',
    story: 'cycles fail, and write nothing: another alert says so',
    series: {
      ...keeper,
      [lastSample()]: `${now}x10 600x60`,
      [lastWrite()]: `${now}x10 600x60`,
    },
    at: { '20m': [], '60m': [] },
  },
  {
    alert: 'AirflowXComExporterStateNotWritten',
    kind: 'no data',
    story: 'there is no state file',
    series: without(keeper, writes()),
    at: { '20m': [], '60m': [] },
  },
  {
    alert: 'AirflowXComExporterStateNotWritten',
    kind: 'no data',
    story: 'the exporter is away',
    series: {
      [leader()]: '1x10 stale',
      [start()]: '0x10 stale',
      [limit()]: '90x10 stale',
      [writes()]: '0+1x10 stale',
      [lastSample()]: `${now}x10 stale`,
      [lastWrite()]: '0x10 stale',
    },
    at: { '9m': [], '40m': [] },
  },
  {
    alert: 'AirflowXComExporterStateNotWritten',
    kind: 'restart',
    story: 'it is started anew, where the file can be written',
    series: {
      ...keeper,
      [start()]: '0x8 stale _ 600x60',
      [lastWrite()]: `0x8 stale _ 600+60x60`,
    },
    at: { '9m': [], '14m': [], '30m': [] },
  },
  {
    alert: 'AirflowXComExporterStateNotWritten',
    kind: 'counter reset',
    story: 'it is started anew every eight minutes, and the disk stays full',
    series: {
      ...keeper,
      [start()]: '0x7 480x7 960x7 1440x7',
      [writes()]: '0+1x7 0+1x7 0+1x7 0+1x7',
    },
    at: { '10m': [], '25m': [unwritten('25m 0s')] },
  },
];

function without(series: Readonly<Record<string, string>>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(series).filter(([one]) => one !== name));
}
