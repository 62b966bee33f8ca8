import type { Alert } from './alert.ts';
import { FAST_ENOUGH } from './objectives.ts';
import { REPLICA, figureOr, total, valueOr } from './promql.ts';
import { runbook } from './site.ts';

/** As long as a few ticks of any schedule that watches, for the alerts follow no schedule. */
const FAILURES = 'increase(airflow_xcom_probe_failures_total[6h])';
/** An increase is extrapolated: one event may come out as a little more than 1. */
const TWICE = 1.5;

/** What the counters and the probe say, whatever the verdict is. */
export const STORAGE_ALERTS: readonly Alert[] = [
  {
    name: 'AirflowXComWriteFailures',
    expr: `${total('increase(airflow_xcom_write_failures_total{source="task"}[30m])', 'source', 'reason')} > 0`,
    for: '1m',
    severity: 'critical',
    summary: 'Airflow wrote XCom rows whose objects were missing or empty soon after.',
    description:
      '{{ $value | printf "%.0f" }} rows within 30 minutes point at an object that was missing or empty at the first look, within ten minutes of the row. The write was lost, or the object was deleted at once.',
    runbookUrl: runbook('objects_missing'),
    comment:
      'source="task" counts what the first look at a reference found. A counter that begins with the process begins at 0, so the first failure counts.',
  },
  {
    name: 'AirflowXComProbeFailing',
    expr: `(min without (${REPLICA}) (airflow_xcom_probe_success) == 0)
+ ${figureOr('(airflow_xcom_probe_success == 0)', { metric: FAILURES, over: ['reason'] })}
unless
${total(FAILURES, 'reason')} < ${TWICE}`,
    for: '5m',
    keepFiringFor: '5m',
    severity: 'critical',
    summary: 'A test operation on the XCom bucket or the metadata database keeps failing.',
    description: `The operation {{ $labels.operation }} of the probe failed ${valueOr('an unknown number of', '$value | printf "%.0f"')} times within 6 hours, and it failed in the last probe.`,
    runbookUrl: runbook('the-probe'),
    comment:
      'An operation that is not tried has no series, so it neither fails nor passes. With an hourly probe.schedule one failure lasts an hour: it takes two to keep failing.',
  },
  {
    name: 'AirflowXComProbeSlow',
    expr: `histogram_quantile(0.9, ${total('rate(airflow_xcom_probe_duration_seconds_bucket[15m])')}) > 1
unless
${total('increase(airflow_xcom_probe_duration_seconds_count[6h])')}
- ${total(`increase(airflow_xcom_probe_duration_seconds_bucket{le=~"${FAST_ENOUGH}"}[6h])`, 'le')}
< ${TWICE}`,
    for: '10m',
    severity: 'warning',
    summary: 'Test operations on the XCom bucket or the metadata database are slow.',
    description:
      'One in ten of the operations {{ $labels.operation }} took {{ $value | humanizeDuration }} or longer within 15 minutes.',
    runbookUrl: runbook('the-probe'),
    comment:
      'Without a single operation the quantile is NaN, which is not greater than 1. Where the probe is rarer than 15 minutes, one slow operation is the whole quantile: it takes two within 6 hours.',
  },
];
