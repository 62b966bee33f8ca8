import { chosen } from './dashboards.ts';
import type { Row } from './dashboards.ts';
import { ofAllAirflows, ofEachAirflow } from './known-figures.ts';
import { stat, timeseries, UNKNOWN } from './panels.ts';

const AUDITED = chosen('airflow_xcom_audit_timestamp_seconds');
/** The figure of all Airflows; NaN where there is a result and the figure is not known of all. */
const ofAudits = (metric: string) => `${ofAllAirflows('sum', chosen(metric))}\nor\nmax(${AUDITED}) * NaN`;
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
            expr: `sum by (verdict) (${ofEachAirflow(chosen('airflow_xcom_audit_objects'))})`,
            legend: '{{verdict}}',
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
            expr: `sum by (verdict) (${ofEachAirflow(chosen('airflow_xcom_audit_bytes'))})`,
            legend: '{{verdict}}',
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
          'References whose objects were gone, and places that could not be listed. 0 is good. Unknown: it is not known of all of them, or of every Airflow.',
        runbook: 'the-last-audit',
        unit: 'short',
        decimals: 0,
        queries: [
          { expr: ofAudits('airflow_xcom_audit_missing_references'), legend: 'missing' },
          { expr: ofAudits('airflow_xcom_audit_unlisted_places'), legend: 'not listed' },
        ],
        noValue: 'Unknown',
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
          'How old these figures are; of several Airflows, where they are oldest. Nothing is said about what came or went since. Unknown: of one Airflow no result is known.',
        runbook: 'the-last-audit',
        unit: 's',
        decimals: 0,
        queries: [{ expr: `time() - ${ofAllAirflows('min', AUDITED)}` }],
        noValue: UNKNOWN,
        steps: [[null, 'blue']],
      }),
    ],
  ],
};
