import { EVIDENCE, LEADER, TARGET, of } from './case.ts';
import type { Case, Words } from './case.ts';

export const STORAGE_WORDS: Readonly<Record<string, Words>> = {
  AirflowXComWriteFailures: {
    summary: 'Airflow wrote XCom rows whose objects were missing or empty soon after.',
    runbook: 'docs/runbook.md#objects_missing',
  },
  AirflowXComProbeFailing: {
    summary: 'A test operation on the XCom bucket or the metadata database keeps failing.',
    runbook: 'docs/runbook.md#the-probe',
  },
  AirflowXComProbeSlow: {
    summary: 'Test operations on the XCom bucket or the metadata database are slow.',
    runbook: 'docs/runbook.md#the-probe',
  },
};

const second = 'exporter-1:10048';
const lost = (reason: string, instance?: string) =>
  of('airflow_xcom_write_failures_total', `source="task", reason="${reason}"`, instance);
const lostWrites = (count: number) => ({
  labels: { ...TARGET, severity: 'critical' },
  description: `${count} rows within 30 minutes point at an object that was missing or empty at the first look, within ten minutes of the row. The write was lost, or the object was deleted at once.${EVIDENCE}`,
});

const success = (operation: string, instance?: string) =>
  of('airflow_xcom_probe_success', `operation="${operation}"`, instance);
const failures = (operation: string, reason: string, instance?: string) =>
  of('airflow_xcom_probe_failures_total', `operation="${operation}", reason="${reason}"`, instance);
const failing = (operation: string, count: number | string) => ({
  labels: { ...TARGET, operation, severity: 'critical' },
  description: `The operation ${operation} of the probe failed ${count} times within 6 hours, and it failed in the last probe.${EVIDENCE}`,
});

/** The share of each minute's operation that took up to 0.5, 1 and 5 seconds; the rest took longer. */
function durations(shares: { upTo05: number; upTo1: number; upTo5: number }, instance?: string) {
  const bucket = (le: string) =>
    of('airflow_xcom_probe_duration_seconds_bucket', `operation="put", le="${le}"`, instance);
  return {
    [bucket('0.5')]: `0+${shares.upTo05}x120`,
    [bucket('1')]: `0+${shares.upTo1}x120`,
    [bucket('5')]: `0+${shares.upTo5}x120`,
    [bucket('+Inf')]: '0+1x120',
    [of('airflow_xcom_probe_duration_seconds_count', 'operation="put"', instance)]: '0+1x120',
  };
}
/** Tried every half hour. Of these operations `fast` took up to 1 second, and the others up to 5. */
function everyHalfHour(fast: string) {
  const all = '0x29 1x29 2x29 3x29 4x60';
  const series = (metric: string, le: string) =>
    of(`airflow_xcom_probe_duration_seconds_${metric}`, `operation="put"${le}`);
  return {
    [series('bucket', ', le="1"')]: fast,
    [series('bucket', ', le="5"')]: all,
    [series('bucket', ', le="+Inf"')]: all,
    [series('count', '')]: all,
  };
}
const slow = (words: string) => ({
  labels: { ...TARGET, operation: 'put', severity: 'warning' },
  description: `One in ten of the operations put took ${words} or longer within 15 minutes.${EVIDENCE}`,
});

export const STORAGE_CASES: readonly Case[] = [
  {
    alert: 'AirflowXComWriteFailures',
    kind: 'fires',
    story: 'the first lost write of an exporter counts, and is forgotten after half an hour',
    series: { ...LEADER, [lost('missing')]: '0x10 1x100', [lost('empty')]: '0x110' },
    at: { '10m': [], '13m': [lostWrites(1)], '45m': [] },
  },
  {
    alert: 'AirflowXComWriteFailures',
    kind: 'does not fire',
    story: 'test writes fail, and no write of a task',
    series: {
      ...LEADER,
      [lost('missing')]: '5x100',
      [of('airflow_xcom_write_failures_total', 'source="probe", reason="denied"')]: '0+1x100',
    },
    at: { '20m': [], '60m': [] },
  },
  {
    alert: 'AirflowXComWriteFailures',
    kind: 'no data',
    story: 'there is no such counter',
    series: { ...LEADER },
    at: { '20m': [] },
  },
  {
    alert: 'AirflowXComWriteFailures',
    kind: 'counter reset',
    story: 'the counter begins anew at 0 and stays there: no write was lost',
    series: { ...LEADER, [lost('missing')]: '7x20 0x100' },
    at: { '25m': [], '60m': [] },
  },
  {
    alert: 'AirflowXComWriteFailures',
    kind: 'restart',
    story: 'the exporter was away for three minutes, and a write is lost after it',
    series: { ...LEADER, [lost('missing')]: '7x20 stale _x2 0x5 1x100' },
    at: { '25m': [], '32m': [lostWrites(1)] },
  },
  {
    alert: 'AirflowXComWriteFailures',
    kind: 'replicas',
    story: 'two shards lose one each, of different kinds',
    series: { ...LEADER, [lost('missing')]: '0x10 1x100', [lost('empty', second)]: '0x10 1x100' },
    at: { '13m': [lostWrites(2)] },
  },

  {
    alert: 'AirflowXComProbeFailing',
    kind: 'fires',
    story: 'put fails and stays so, then works again',
    series: {
      ...LEADER,
      [success('put')]: '1x20 0x20 1x60',
      [failures('put', 'server_error')]: '0x20 1+1x19 20x60',
      [success('head')]: '1x100',
      [failures('head', 'server_error')]: '0x100',
    },
    at: { '25m': [], '40m': [failing('put', 20)], '60m': [] },
  },
  {
    alert: 'AirflowXComProbeFailing',
    kind: 'does not fire',
    story: 'single probes fail',
    series: {
      ...LEADER,
      [success('put')]: '1 1 0 1 1 1 0 0 1 1 1 1 0 1 1 1 1 1 1 1 1 1 1',
      [failures('put', 'timeout')]: '0 0 1 1 1 1 2 3 3 3 3 3 4 4 4 4 4 4 4 4 4 4 4',
    },
    at: { '8m': [], '13m': [], '20m': [] },
  },
  {
    alert: 'AirflowXComProbeFailing',
    kind: 'does not fire',
    story: 'it is tried every hour, and fails once',
    series: {
      ...LEADER,
      [success('put')]: '1x59 0x59 1x60',
      [failures('put', 'throttled')]: '0x59 1x120',
    },
    at: { '66m': [], '100m': [], '125m': [] },
  },
  {
    alert: 'AirflowXComProbeFailing',
    kind: 'fires',
    story: 'it is tried every hour, and fails twice, for two reasons',
    series: {
      ...LEADER,
      [success('put')]: '1x59 0x119 1x60',
      [failures('put', 'throttled')]: '0x59 1x180',
      [failures('put', 'timeout')]: '0x119 1x120',
    },
    at: { '115m': [], '127m': [failing('put', 2)], '170m': [failing('put', 2)], '190m': [] },
  },
  {
    alert: 'AirflowXComProbeFailing',
    kind: 'no data',
    story: 'get is not tried, because put failed before',
    series: { ...LEADER, [failures('get', 'denied')]: '0x100', [success('get')]: '1x10 stale _x100' },
    at: { '20m': [], '60m': [] },
  },
  {
    alert: 'AirflowXComProbeFailing',
    kind: 'no data',
    story: 'put fails, and nobody knows how often',
    series: { ...LEADER, [success('put')]: '0x100' },
    at: { '20m': [failing('put', 'an unknown number of')] },
  },
  {
    alert: 'AirflowXComProbeFailing',
    kind: 'restart',
    story: 'put fails before and after the exporter starts again: the alert goes on',
    series: {
      ...LEADER,
      [success('put')]: '0x30 stale _ 0x40',
      [failures('put', 'denied')]: '0+1x30 stale _ 0+1x40',
    },
    at: { '29m': [failing('put', 29)], '32m': [failing('put', 30)], '55m': [failing('put', 52)] },
  },
  {
    alert: 'AirflowXComProbeFailing',
    kind: 'counter reset',
    story: 'the counter of failures begins anew and the probe works: nothing fires',
    series: { ...LEADER, [success('put')]: '1x60', [failures('put', 'denied')]: '50x20 0x40' },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComProbeFailing',
    kind: 'replicas',
    story: 'the standby, which probes nothing, changes nothing',
    series: {
      ...LEADER,
      [success('list')]: '0x60',
      [failures('list', 'denied')]: '0+1x60',
      [failures('list', 'denied', second)]: '0x60',
    },
    at: { '30m': [failing('list', 30)] },
  },
  {
    alert: 'AirflowXComProbeFailing',
    kind: 'replicas',
    story: 'put fails for one shard, and works for the other',
    series: {
      ...LEADER,
      [success('put')]: '0x60',
      [failures('put', 'denied')]: '0+1x60',
      [success('put', second)]: '1x60',
      [failures('put', 'denied', second)]: '0x60',
    },
    at: { '30m': [failing('put', 30)] },
  },

  {
    alert: 'AirflowXComProbeSlow',
    kind: 'fires',
    story: 'two in ten take between 1 and 5 seconds',
    series: { ...LEADER, ...durations({ upTo05: 0.8, upTo1: 0.8, upTo5: 1 }) },
    at: { '9m': [], '30m': [slow('3s')] },
  },
  {
    alert: 'AirflowXComProbeSlow',
    kind: 'does not fire',
    story: 'one in twenty takes longer than 1 second',
    series: { ...LEADER, ...durations({ upTo05: 0.9, upTo1: 0.95, upTo5: 1 }) },
    at: { '30m': [], '90m': [] },
  },
  {
    alert: 'AirflowXComProbeSlow',
    kind: 'does not fire',
    story: 'it is tried every half hour, and is slow once',
    series: { ...LEADER, ...everyHalfHour('0x29 1x29 1x29 2x29 3x60') },
    at: { '72m': [], '75m': [], '105m': [] },
  },
  {
    alert: 'AirflowXComProbeSlow',
    kind: 'fires',
    story: 'it is tried every half hour, and is slow twice',
    series: { ...LEADER, ...everyHalfHour('0x29 1x29 1x29 1x29 2x60') },
    at: { '72m': [], '103m': [slow('4.6s')], '110m': [] },
  },
  {
    alert: 'AirflowXComProbeSlow',
    kind: 'no data',
    story: 'nothing is probed any more: the counters stand still',
    series: {
      ...LEADER,
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="1"')]: '0x100',
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="+Inf"')]: '50x100',
    },
    at: { '30m': [] },
  },
  {
    alert: 'AirflowXComProbeSlow',
    kind: 'counter reset',
    story: 'the histogram begins anew after slow days, and the probe is fast',
    series: {
      ...LEADER,
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="1"')]: '0x10 0+1x50',
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="+Inf"')]: '1000x10 0+1x50',
    },
    at: { '15m': [], '25m': [], '50m': [] },
  },
  {
    alert: 'AirflowXComProbeSlow',
    kind: 'restart',
    story: 'slow before and after the exporter starts again',
    series: {
      ...LEADER,
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="1"')]: '0x30 stale _ 0x60',
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="5"')]: '0+1x30 stale _ 0+1x60',
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="+Inf"')]:
        '0+1x30 stale _ 0+1x60',
    },
    at: { '29m': [slow('4.6s')], '60m': [slow('4.6s')] },
  },
  {
    alert: 'AirflowXComProbeSlow',
    kind: 'fires',
    story: 'Prometheus 3 has taken the place of release 2, which spells le otherwise',
    series: {
      ...LEADER,
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="1"')]: '0x60 stale',
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="5"')]: '0+1x60 stale',
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="1.0"')]: '_x61 0x60',
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="5.0"')]: '_x61 60+1x60',
      [of('airflow_xcom_probe_duration_seconds_bucket', 'operation="put", le="+Inf"')]: '0+1x121',
      [of('airflow_xcom_probe_duration_seconds_count', 'operation="put"')]: '0+1x121',
    },
    at: { '55m': [slow('4.6s')], '110m': [slow('4.6s')] },
  },
  {
    alert: 'AirflowXComProbeSlow',
    kind: 'replicas',
    story: 'a fast and a slow shard are one distribution',
    series: {
      ...LEADER,
      ...durations({ upTo05: 1, upTo1: 1, upTo5: 1 }),
      ...durations({ upTo05: 0, upTo1: 0, upTo5: 1 }, second),
    },
    at: { '30m': [slow('4.2s')] },
  },
];
