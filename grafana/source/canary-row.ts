import { chosen } from './dashboards.ts';
import type { Row } from './dashboards.ts';
import { ofAll, ofEachAirflow } from './known-figures.ts';
import { AIRFLOW_COLUMNS, AIRFLOW_NAME, stat, stateTimeline, table, timeseries, UNKNOWN } from './panels.ts';
import { REPLICA } from './promql.ts';

const PUSHED = ofEachQueue(chosen('airflow_xcom_canary_last_success_timestamp_seconds', 'operation="push"'));
const HEARD = ofEachQueue(chosen('airflow_xcom_canary_success'));
const NOT_HEARD = 'No report of a canary is known';

/** What each pool of workers says of itself: a row of the Overview. */
export const CANARY_ROW: Row = {
  title: 'What the workers say of themselves',
  collapsed: true,
  height: 8,
  panels: [
    [
      5,
      stateTimeline({
        title: 'The canary, by queue',
        description:
          'Whether every step of the canary worked on the workers of each queue, as of its latest report. A gap: the queue is not heard, which is no good sign.',
        runbook: 'canary_failing',
        unit: 'none',
        queries: [
          {
            expr: `min without (${REPLICA}, operation) (${chosen('airflow_xcom_canary_success')})`,
            legend: `{{queue}} ${AIRFLOW_NAME}`,
          },
        ],
        noValue: NOT_HEARD,
        texts: { 0: ['fails', 'red'], 1: ['works', 'green'] },
      }),
    ],
    [
      5,
      timeseries({
        title: 'Push and pull by the workers',
        description:
          'How long the workers of each queue took for a value just above their threshold, in the latest report. Most imports of a new process are left out.',
        runbook: 'canary_failing',
        unit: 's',
        min: 0,
        queries: [
          {
            expr: ofEachAirflow(chosen('airflow_xcom_canary_duration_seconds', 'operation=~"push|pull"')),
            legend: `{{queue}} {{operation}} ${AIRFLOW_NAME}`,
          },
        ],
        noValue: NOT_HEARD,
      }),
    ],
    [
      3,
      stat({
        title: 'Since a push worked',
        description:
          'Of the queue that is worst off: how long ago its workers last pushed a value. More than three intervals of the canary are too many; an interval has 5 minutes unless told otherwise. Unknown: no queue was heard, no push of one queue has worked, or one exporter does not answer.',
        runbook: 'canary_silent',
        unit: 's',
        decimals: 0,
        queries: [
          {
            expr: ofAll(`(time() - min(${PUSHED})) unless on () (${HEARD} unless ${PUSHED})`),
          },
        ],
        noValue: UNKNOWN,
        steps: [[null, 'blue']],
      }),
    ],
    [
      3,
      stat({
        title: 'Reports refused',
        description:
          'Reports in the chosen time that the exporter did not believe: malformed, too long, or of another queue than their task. 0 is good; somebody else writes into the DAG of the canary. Unknown: one exporter does not answer.',
        runbook: 'canary_silent',
        unit: 'short',
        decimals: 0,
        queries: [
          { expr: ofAll(`sum(increase(${chosen('airflow_xcom_canary_reports_refused_total')}[$__range]))`) },
        ],
        noValue: 'Unknown',
        steps: [
          [null, 'green'],
          [1, 'orange'],
        ],
      }),
    ],
    [
      8,
      table({
        title: 'What each queue resolves',
        description:
          'The XCom backend, path and threshold that the workers of each queue have in force, and their versions. Backend, path and threshold are to be the same on all of them.',
        runbook: 'worker_settings_differ',
        unit: 'none',
        queries: [
          {
            expr: ofEachAirflow(chosen('airflow_xcom_canary_info')),
          },
        ],
        columns: {
          queue: 'queue',
          backend: 'backend',
          path: 'path',
          threshold: 'threshold, bytes',
          compression: 'compression',
          airflow: 'Airflow',
          common_io: 'common-io',
          s3fs: 's3fs',
          python: 'Python',
          ...AIRFLOW_COLUMNS,
        },
        noValue: NOT_HEARD,
      }),
    ],
  ],
};

/** Each queue of each Airflow, whichever exporter and operation it comes from. */
function ofEachQueue(series: string): string {
  return `max without (${REPLICA}, operation) (${series})`;
}
