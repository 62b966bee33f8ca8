import { chosen } from './dashboards.ts';
import type { Row } from './dashboards.ts';
import { ofEachAirflow, ofEachOfAll } from './known-figures.ts';
import { AIRFLOW_NAME, stat, timeseries } from './panels.ts';
import { REPLICA } from './promql.ts';

const AUDITED = chosen('airflow_xcom_audit_timestamp_seconds');
/** The exporters of one Airflow may show the results of several audits: the latest counts. */
const LATEST = `(${AUDITED} == ignoring (${REPLICA}) group_left () ${ofEachAirflow(AUDITED)})`;
const ofLatest = (metric: string) => `(${chosen(metric)} and ${LATEST})`;
const verdicts = (metric: string) => ofEachAirflow(`(${chosen(metric)} and ignoring (verdict) ${LATEST})`);
const NONE = 'No result of an audit is known';
const COLORS = { named: 'green', orphaned: 'orange', young: 'blue', other: 'purple' };

/** The whole bucket, as the last audits found it: a row of Storage. */
export const AUDIT_ROW: Row = {
  title: 'The whole bucket, by the last audit',
  collapsed: true,
  height: 8,
  panels: [
    [
      8,
      timeseries({
        title: 'Objects by the audit',
        description:
          'All objects in the places that the audit could list. orphaned: nothing names them; young: too new to be judged; other: no XComs. Steps are audits.',
        runbook: 'the-last-audit',
        unit: 'short',
        min: 0,
        stacked: true,
        colors: COLORS,
        queries: [
          {
            expr: verdicts('airflow_xcom_audit_objects'),
            legend: `{{verdict}} ${AIRFLOW_NAME}`,
          },
        ],
        noValue: NONE,
      }),
    ],
    [
      8,
      timeseries({
        title: 'Bytes by the audit',
        description: 'The size of these objects. What is orphaned is paid for and serves nobody.',
        runbook: 'the-last-audit',
        unit: 'bytes',
        min: 0,
        stacked: true,
        colors: COLORS,
        queries: [
          {
            expr: verdicts('airflow_xcom_audit_bytes'),
            legend: `{{verdict}} ${AIRFLOW_NAME}`,
          },
        ],
        noValue: NONE,
      }),
    ],
    [
      4,
      stat({
        title: 'Missing at the audit',
        description:
          'References whose objects were gone, and places that could not be listed. Of each Airflow. 0 is good. Unknown: it is not known of all of them, or no result is known.',
        runbook: 'the-last-audit',
        unit: 'short',
        decimals: 0,
        queries: [
          {
            expr: ofEachOfAll(ofLatest('airflow_xcom_audit_missing_references')),
            legend: `missing ${AIRFLOW_NAME}`,
          },
          {
            expr: ofEachOfAll(ofLatest('airflow_xcom_audit_unlisted_places')),
            legend: `not listed ${AIRFLOW_NAME}`,
          },
        ],
        steps: [
          [null, 'green'],
          [1, 'red'],
        ],
      }),
    ],
    [
      4,
      stat({
        title: 'Since the last audit',
        description:
          'How old the figures of each Airflow are. Nothing is said about what came or went since. Unknown: no result is known.',
        runbook: 'the-last-audit',
        unit: 's',
        decimals: 0,
        queries: [{ expr: `time() - ${ofEachOfAll(AUDITED)}`, legend: AIRFLOW_NAME }],
        steps: [[null, 'blue']],
      }),
    ],
  ],
};
