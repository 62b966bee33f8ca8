import { chosen } from './dashboards.ts';
import type { Page, Row } from './dashboards.ts';
import { BURN_RATES, SERVICE_LEVELS } from './objectives.ts';
import type { ServiceLevel } from './objectives.ts';
import { NO_EVENTS, NO_EVENTS_OR_RULES, stat, table, timeseries } from './panels.ts';
import type { Duration } from './promql.ts';
import { BUDGET, ERRORS, EVENTS } from './recording-rules.ts';

const of = (series: string, slo: string, window: string) =>
  `sum(sum_over_time(${chosen(series, `slo="${slo}"`)}[${window}]))`;
/** Burn rate of the chosen exporters together; no series without events. */
const burn = (slo: string, window: string) => `${of(ERRORS, slo, window)} / (${of(BUDGET, slo, window)} > 0)`;

const RUNBOOKS = {
  storage: 'large-values-in-the-database',
  durability: 'objects_missing',
  write_availability: 'write_denied',
  write_latency: 'bucket_unreachable',
} as const;

function levelRow({ slo, title, meaning }: ServiceLevel): Row {
  const runbook = RUNBOOKS[slo];
  return {
    title,
    height: 7,
    panels: [
      [
        4,
        stat({
          title: 'Budget left',
          description: `Of the errors that the objective allows in 30 days, the share that is not used up. Below 0 the objective is missed. ${meaning}`,
          runbook,
          unit: 'percentunit',
          decimals: 1,
          queries: [{ expr: `1 - ${burn(slo, '30d')}` }],
          noValue: NO_EVENTS,
          steps: [
            [null, 'red'],
            [0.01, 'orange'],
            [0.5, 'green'],
          ],
        }),
      ],
      [
        4,
        stat({
          title: 'Reached',
          description: 'The share of good events in the last 30 days, and below it the objective.',
          runbook,
          unit: 'percentunit',
          decimals: 3,
          queries: [
            { expr: `1 - ${of(ERRORS, slo, '30d')} / (${of(EVENTS, slo, '30d')} > 0)`, legend: 'reached' },
            { expr: `1 - ${of(BUDGET, slo, '30d')} / (${of(EVENTS, slo, '30d')} > 0)`, legend: 'objective' },
          ],
          noValue: NO_EVENTS,
        }),
      ],
      [
        8,
        timeseries({
          title: 'Burn rates',
          description: `How fast the budget is used up: at 1 it lasts exactly 30 days. The dashed lines are where alerts begin: ${BURN_RATES.map(({ rate, long, short }) => `${rate} over ${long} and ${short}`).join(', ')}.`,
          runbook,
          unit: 'short',
          min: 0,
          lines: true,
          steps: [
            [null, 'green'],
            [1, 'yellow'],
            [3, 'orange'],
            [6, 'red'],
            [14.4, 'dark-red'],
          ],
          queries: (['1h', '6h', '1d', '3d'] satisfies Duration[]).map((window) => ({
            expr: burn(slo, window),
            legend: window,
          })),
        }),
      ],
      [
        8,
        timeseries({
          title: 'Events and errors',
          description:
            'What the share is made of, each second. No events: no line in the burn rates, and no alert.',
          runbook,
          unit: 'ops',
          min: 0,
          queries: [
            { expr: `sum(${chosen(EVENTS, `slo="${slo}"`)})`, legend: 'events' },
            { expr: `sum(${chosen(ERRORS, `slo="${slo}"`)})`, legend: 'errors' },
          ],
        }),
      ],
    ],
  };
}

export const SLO: Page = {
  uid: 'airflow-xcom-slo',
  title: 'Airflow XCom / SLO',
  description:
    'Service levels and their error budgets. Needs recording.yml and objectives.yml in Prometheus, and 30 days of retention for the figures of 30 days.',
  from: 'now-7d',
  rows: [
    {
      height: 6,
      panels: [
        [
          24,
          table({
            title: 'All service levels',
            description:
              'Burn rate over the last hour of each service level: 1 uses up the budget in exactly 30 days, 0 is no error at all. One that has no events is not listed.',
            runbook: 'runbook',
            unit: 'short',
            decimals: 2,
            queries: [
              {
                expr: `sort_desc(sum by (slo) (sum_over_time(${chosen(ERRORS)}[1h])) / (sum by (slo) (sum_over_time(${chosen(BUDGET)}[1h])) > 0))`,
              },
            ],
            columns: { slo: 'service level', Value: 'burn rate over 1 h' },
            noValue: NO_EVENTS_OR_RULES,
          }),
        ],
      ],
    },
    ...SERVICE_LEVELS.map(levelRow),
  ],
};
