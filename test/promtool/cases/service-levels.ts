import { EVIDENCE, LEADER, TARGET, of } from './case.ts';
import type { Case, Words } from './case.ts';

const SERVICE_LEVELS = 'grafana/README.md#when-a-budget-burns';

export const SERVICE_LEVEL_WORDS: Readonly<Record<string, Words>> = {
  AirflowXComBudgetBurnsFast: {
    summary: 'An error budget of the XComs will be used up within days.',
    runbook: SERVICE_LEVELS,
  },
  AirflowXComBudgetBurnsSlowly: {
    summary: 'An error budget of the XComs will be used up before its 30 days are over.',
    runbook: SERVICE_LEVELS,
  },
};

const second = 'exporter-1:10048';

const burning = (slo: string, rate: string, severity: 'critical' | 'warning') => ({
  labels: { ...TARGET, slo, severity },
  description: `The errors of ${slo} come ${rate} times as fast as its error budget of 30 days allows.${EVIDENCE}`,
});
const fast = (slo: string, rate: string) => burning(slo, rate, 'critical');
const slow = (slo: string, rate: string) => burning(slo, rate, 'warning');

/** Test writes and their failures, in promtool's notation. The objective allows one error in a hundred. */
function writes(all: string, failed: string, instance?: string) {
  return {
    [of('airflow_xcom_probe_duration_seconds_count', 'operation="put"', instance)]: all,
    [of('airflow_xcom_probe_failures_total', 'operation="put", reason="denied"', instance)]: failed,
  };
}

/** On these queues the settings of the workers keep the value of the canary's push in the database, not in S3. */
function kept(queues: readonly string[]) {
  return Object.fromEntries(
    ['a', 'b', 'c', 'd', 'e'].map((queue) => [
      of('airflow_xcom_canary_push_stored', `queue="${queue}"`),
      queues.includes(queue) ? '0x300' : '1x300',
    ]),
  );
}

function latency(fastEnough: string, bound: string) {
  return {
    [of('airflow_xcom_probe_duration_seconds_count', 'operation="put"')]: '0+1x600',
    [of('airflow_xcom_probe_duration_seconds_bucket', `operation="put", le="${bound}"`)]: fastEnough,
  };
}

/** The canary's figures for a push on each of five queues: the first `count` queues have the first value. */
function pushes(
  metric: 'success' | 'duration_seconds',
  count: number,
  [odd, usual]: readonly [string, string],
) {
  return Object.fromEntries(
    ['a', 'b', 'c', 'd', 'e'].map((queue, index) => [
      of(`airflow_xcom_canary_${metric}`, `queue="${queue}", operation="push"`),
      index < count ? odd : usual,
    ]),
  );
}

const remaining = (left: number, slo = 'write_availability') => ({
  expr: `round(airflow_xcom:slo_budget_remaining:over_30d{slo="${slo}"}, 0.01)`,
  values: { [`{job="airflow-xcom-exporter", slo="${slo}"}`]: left },
});

export const SERVICE_LEVEL_CASES: readonly Case[] = [
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'from minute 360 to 480 a fifth of the writes fail: twenty times what is allowed',
    series: { ...LEADER, ...writes('0+1x1000', '0x360 0.2+0.2x119 24x500') },
    at: {
      // 36 % of an hour at twenty times is 7: less than 14.4.
      '380m': [],
      '435m': [fast('write_availability', '20.0')],
      // The half hour of the slower pair is over as well.
      '530m': [],
    },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'eight in a hundred writes fail for six hours: eight times what is allowed',
    series: { ...LEADER, ...writes('0+1x500', '0+0.08x500') },
    at: { '420m': [fast('write_availability', '8.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'of eight large values a minute two stay in the database; a ninth row holds another row’s path',
    series: {
      ...LEADER,
      [of('airflow_xcom_rows_total', 'dag_id="a", storage="s3"')]: '0+7x300',
      [of('airflow_xcom_rows_total', 'dag_id="a", storage="db"')]: '0+90x300',
      [of('airflow_xcom_references_broken_total', 'dag_id="a", reason="leaked"')]: '0+1x300',
      [of('airflow_xcom_oversize_in_db_total', 'dag_id="a", queue="legacy"')]: '0+2x300',
    },
    at: { '200m': [fast('storage', '25.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'of fifty references one is broken: twenty times one in a thousand',
    series: {
      ...LEADER,
      [of('airflow_xcom_references_checked_total')]: '0+50x300',
      [of('airflow_xcom_references_broken_total', 'dag_id="a", reason="missing"')]: '0+1x300',
      [of('airflow_xcom_references_broken_total', 'dag_id="a", reason="leaked"')]: '0+9x300',
    },
    at: { '200m': [fast('durability', '20.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'objects are deleted in a quiet week, in which no reference is new',
    series: {
      ...LEADER,
      [of('airflow_xcom_references_checked_total')]: '500x300',
      [of('airflow_xcom_references_broken_total', 'dag_id="a", reason="missing"')]: '0+1x300',
    },
    at: { '200m': [fast('durability', '1000.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'eight in ten writes take longer than a second, where one in twenty may',
    series: { ...LEADER, ...latency('0+0.2x600', '1') },
    at: { '200m': [fast('write_latency', '16.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'the same in Prometheus 3, which writes the bound as 1.0',
    series: { ...LEADER, ...latency('0+0.2x600', '1.0') },
    at: { '200m': [fast('write_latency', '16.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'on one of five queues the push of the canary fails, while the test writes of the probe work',
    series: {
      ...LEADER,
      ...writes('0+1x300', '0x300'),
      ...pushes('success', 1, ['0x300', '1x300']),
      [of('airflow_xcom_canary_success', 'queue="b", operation="read"')]: '0x300',
    },
    at: { '200m': [fast('write_availability', '20.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'on four of five queues the push of the canary takes two seconds',
    series: {
      ...LEADER,
      ...latency('0+1x600', '1'),
      ...pushes('duration_seconds', 4, ['2x300', '0.4x300']),
    },
    at: { '200m': [fast('write_latency', '16.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'does not fire',
    story:
      'the probe is refused, and on every queue the push of the canary works: the writes are the workers’ own',
    series: {
      ...LEADER,
      ...writes('0+1x300', '0+0.2x300'),
      ...pushes('success', 0, ['0x300', '1x300']),
    },
    at: { '200m': [] },
    samples: [
      {
        expr: 'round(airflow_xcom:slo_burn_rate:over_1h{slo="write_availability"}, 0.01)',
        at: '200m',
        values: { '{job="airflow-xcom-exporter", slo="write_availability"}': 0 },
      },
    ],
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'the probe is refused, and the pushes of the canary work without S3: they prove nothing about it',
    series: {
      ...LEADER,
      ...writes('0+1x300', '0+0.2x300'),
      ...pushes('success', 0, ['0x300', '1x300']),
      ...kept(['a', 'b', 'c', 'd', 'e']),
    },
    at: { '200m': [fast('write_availability', '20.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story: 'of two queues that put their values into S3 one fails, and three others prove nothing about it',
    series: {
      ...LEADER,
      ...writes('0+1x300', '0x300'),
      ...pushes('success', 1, ['0x300', '1x300']),
      ...kept(['c', 'd', 'e']),
    },
    at: { '200m': [fast('write_availability', '50.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'fires',
    story:
      'the test writes are slow, and the pushes of the canary are fast because they stay in the database',
    series: {
      ...LEADER,
      ...latency('0+0.2x600', '1'),
      ...pushes('duration_seconds', 0, ['2x300', '0.02x300']),
      ...kept(['a', 'b', 'c', 'd', 'e']),
    },
    at: { '200m': [fast('write_latency', '16.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'replicas',
    story: 'one shard hears the canary, whose pushes work: the test writes of no shard count',
    series: {
      ...LEADER,
      ...writes('0+1x300', '0x300'),
      ...writes('0+1x300', '0+0.2x300', second),
      ...pushes('success', 0, ['0x300', '1x300']),
      ...kept([]),
    },
    at: { '200m': [] },
    samples: [
      {
        expr: 'round(airflow_xcom:slo_burn_rate:over_1h{slo="write_availability"}, 0.01)',
        at: '200m',
        values: { '{job="airflow-xcom-exporter", slo="write_availability"}': 0 },
      },
    ],
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'no data',
    story: 'the canary is heard no more: from then on it is the test writes of the probe',
    series: {
      ...LEADER,
      ...writes('0+1x300', '0+0.2x300'),
      ...pushes('success', 0, ['0x100', '1x100 stale']),
    },
    at: { '100m': [], '200m': [fast('write_availability', '20.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'does not fire',
    story: 'five in a hundred writes fail: five times what is allowed, where six would be reported',
    series: { ...LEADER, ...writes('0+1x600', '0+0.05x600') },
    at: { '100m': [], '590m': [] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'does not fire',
    story: 'every write fails for five minutes, in which the hour cannot be lost',
    series: { ...LEADER, ...writes('0+1x600', '0x360 1+1x4 5x200') },
    at: { '363m': [], '366m': [], '372m': [], '400m': [] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'no data',
    story: 'nothing is written and nothing fails: no traffic is no error',
    series: {
      ...LEADER,
      ...writes('50x300', '10x300'),
      [of('airflow_xcom_rows_total', 'dag_id="a", storage="s3"')]: '9x300',
      [of('airflow_xcom_references_broken_total', 'dag_id="a", reason="leaked"')]: '0x300',
      [of('airflow_xcom_oversize_in_db_total', 'dag_id="a", queue="legacy"')]: '9x300',
      [of('airflow_xcom_references_checked_total')]: '9x300',
      [of('airflow_xcom_references_broken_total', 'dag_id="a", reason="missing"')]: '3x300',
    },
    at: { '200m': [] },
    samples: [{ expr: 'airflow_xcom:slo_burn_rate:over_1h', at: '200m', values: {} }],
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'no data',
    story: 'the exporter went away while the budget burnt: half an hour later nobody knows',
    series: { ...LEADER, ...writes('0+1x100 stale', '0+0.2x100 stale') },
    at: { '100m': [fast('write_availability', '20.0')], '140m': [] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'counter reset',
    story: 'the counters begin anew after many failures, and none comes after it',
    series: { ...LEADER, ...writes('9000+1x100 0+1x400', '900x100 0x400') },
    at: { '105m': [], '200m': [] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'restart',
    story: 'a fifth of the writes fail before and after the exporter starts again: the burn goes on',
    series: { ...LEADER, ...writes('0+10x100 stale _ 0+10x300', '0+2x100 stale _ 0+2x300') },
    at: {
      '99m': [fast('write_availability', '20.0')],
      '104m': [fast('write_availability', '20.0')],
      '250m': [fast('write_availability', '20.0')],
    },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'replicas',
    story: 'of two shards one loses two of five writes, the other none: one alert, for both together',
    series: { ...LEADER, ...writes('0+1x300', '0+0.4x300'), ...writes('0+1x300', '0x300', second) },
    at: { '200m': [fast('write_availability', '20.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsFast',
    kind: 'replicas',
    story: 'the standby takes over and goes on failing: the burn is that of both, one after the other',
    series: {
      ...LEADER,
      ...writes('0+1x100 100x200', '0+0.2x100 20x200'),
      ...writes('0x101 1+1x200', '0x101 0.2+0.2x200', second),
    },
    at: { '99m': [fast('write_availability', '20.0')], '250m': [fast('write_availability', '20.0')] },
  },

  {
    alert: 'AirflowXComBudgetBurnsSlowly',
    kind: 'fires',
    story: 'four in a hundred writes fail for a day, then none for three hours',
    days: true,
    series: { ...LEADER, ...writes('0+1x1700', '0+0.04x1450 58x300') },
    at: { '1440m': [slow('write_availability', '4.0')] },
  },
  {
    alert: 'AirflowXComBudgetBurnsSlowly',
    kind: 'fires',
    story: 'two in a hundred writes fail for three days, then none for seven hours',
    days: true,
    series: { ...LEADER, ...writes('0+1x4800', '0+0.02x4330 86.6x500') },
    at: { '4320m': [slow('write_availability', '2.0')], '4750m': [] },
  },
  {
    alert: 'AirflowXComBudgetBurnsSlowly',
    kind: 'does not fire',
    story: 'half of what is allowed fails: half of the budget is left',
    days: true,
    series: { ...LEADER, ...writes('0+1x4500', '0+0.005x4500') },
    at: { '1500m': [], '4400m': [] },
    samples: [{ ...remaining(0.5), at: '4400m' }],
  },
  {
    alert: 'AirflowXComBudgetBurnsSlowly',
    kind: 'no data',
    story: 'there are no such counters',
    series: { ...LEADER },
    at: { '500m': [] },
    samples: [{ expr: 'airflow_xcom:slo_budget_remaining:over_30d', at: '500m', values: {} }],
  },
  {
    alert: 'AirflowXComBudgetBurnsSlowly',
    kind: 'counter reset',
    story: 'the exporter is restarted every hour: the budget knows of no jump',
    series: {
      ...LEADER,
      ...writes(`${'0+10x59 '.repeat(10)}0+10x20`, `${'0+0.05x59 '.repeat(10)}0+0.05x20`),
    },
    at: { '600m': [] },
    samples: [{ ...remaining(0.5), at: '600m' }],
  },
  {
    alert: 'AirflowXComBudgetBurnsSlowly',
    kind: 'restart',
    story: 'the exporter is away for an hour, which counts neither way',
    series: { ...LEADER, ...writes('0+1x500 stale _x58 0+1x500', '0+0.04x500 stale _x58 0+0.04x500') },
    at: { '1000m': [slow('write_availability', '4.0')] },
    samples: [{ ...remaining(-3), at: '1000m' }],
  },
  {
    alert: 'AirflowXComBudgetBurnsSlowly',
    kind: 'replicas',
    story: 'a standby that writes nothing takes no part',
    series: { ...LEADER, ...writes('0+1x500', '0+0.04x500'), ...writes('0x500', '0x500', second) },
    at: { '400m': [slow('write_availability', '4.0')] },
  },
];
