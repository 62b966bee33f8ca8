import { BURN_RATES, SERVICE_LEVELS } from './objectives.ts';
import { total } from './promql.ts';
import type { Duration } from './promql.ts';

export interface Recording {
  readonly record: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly comment?: string;
}

const OBJECTIVE = 'airflow_xcom:slo_objective:ratio';
export const EVENTS = 'airflow_xcom:slo_events:rate5m';
export const ERRORS = 'airflow_xcom:slo_errors:rate5m';
export const BUDGET = 'airflow_xcom:slo_budget:rate5m';
const REMAINING = 'airflow_xcom:slo_budget_remaining:over_30d';

export function burnRate(window: Duration): string {
  return `airflow_xcom:slo_burn_rate:over_${window}`;
}

/** The one place where an installation sets its objectives: a file, or a group, of its own. */
export const OBJECTIVE_RULES: readonly Recording[] = SERVICE_LEVELS.map(({ slo, objective, meaning }) => ({
  record: OBJECTIVE,
  expr: `vector(${objective})`,
  labels: { slo },
  comment: meaning,
}));

/** Per exporter, so that replicas and shards can be added up; rates first, so that a restart is no jump. */
export const RATE_RULES: readonly Recording[] = [
  ...SERVICE_LEVELS.flatMap(({ slo, meaning, events, errors }) => [
    { record: EVENTS, expr: events('5m'), labels: { slo }, comment: `${slo}: ${meaning}` },
    { record: ERRORS, expr: errors('5m'), labels: { slo } },
  ]),
  {
    record: BUDGET,
    expr: `${EVENTS} * on (slo) group_left () (1 - max by (slo) (${OBJECTIVE}))`,
    comment:
      'The errors that the objective allows. Rules of several clusters may have written several series of one objective.',
  },
];

const LONGEST: Duration = '30d';
const WINDOWS: readonly Duration[] = [
  ...new Set([...BURN_RATES.flatMap(({ short, long }) => [short, long]), LONGEST]),
];

/**
 * Errors as a multiple of what the objective allows. Sums of rates weigh each moment by its traffic, and a moment
 * without the exporter not at all. Without an event there is no series, rather than 0 or NaN.
 */
function burnRateRule(window: Duration): Recording {
  // The rates look back 5 minutes by themselves.
  const over = (series: string) => (window === '5m' ? series : `sum_over_time(${series}[${window}])`);
  return {
    record: burnRate(window),
    expr: `${total(over(ERRORS))}\n/\n(${total(over(BUDGET))} > 0)`,
  };
}

export const BURN_RULES: readonly Recording[] = WINDOWS.filter((window) => !isLong(window)).map(burnRateRule);

/** Evaluated less often: they read a month. */
export const LONG_RULES: readonly Recording[] = [
  ...WINDOWS.filter(isLong).map(burnRateRule),
  {
    record: REMAINING,
    expr: `1 - ${burnRate(LONGEST)}`,
    comment:
      'Prometheus has to keep 30 days for it (--storage.tsdb.retention.time); with less it speaks of what is kept.',
  },
];

function isLong(window: Duration): boolean {
  return window.endsWith('d');
}
