import type { Alert } from './alert.ts';
import { BURN_RATES, SERVICE_LEVELS } from './objectives.ts';
import type { ServiceLevel } from './objectives.ts';
import { total } from './promql.ts';
import type { Duration } from './promql.ts';
import { burnRate } from './recording-rules.ts';
import { SITE } from './site.ts';

type Burn = (window: Duration) => string;

function burning(severity: string, burn: Burn): string {
  return BURN_RATES.filter((one) => one.severity === severity)
    .map(({ rate, long, short }) => `(${burn(long)} > ${rate} and ${burn(short)} > ${rate})`)
    .join('\nor\n');
}

/** Without the recording rules, and with the objectives of this source. */
function standalone(severity: string): string {
  return SERVICE_LEVELS.map(
    (level) => `label_replace(\n${burning(severity, burnOf(level))},\n"slo", "${level.slo}", "", "")`,
  ).join('\nor\n');
}

function burnOf({ errors, events, objective }: ServiceLevel): Burn {
  // The figure is printed, and floating point makes 0.010000000000000009 of 1 - 0.99.
  const allowed = Number((1 - objective).toPrecision(6));
  // The same sums as of the recording rules: a figure of the canary is of one moment and has no window of its own.
  // Evaluated every 5 minutes, so the shortest window has to hold two pushes.
  const over = (of: ServiceLevel['events'], window: Duration) =>
    `sum_over_time((${of('5m')})[${window === '5m' ? '10m:1m' : `${window}:5m`}])`;
  return (window) =>
    `(\n${total(over(errors, window))}\n/\n(${total(over(events, window))} * ${allowed} > 0)\n)`;
}

const description =
  'The errors of {{ $labels.slo }} come {{ $value | printf "%.1f" }} times as fast as its error budget of 30 days allows.';

export const SERVICE_LEVEL_ALERTS: readonly Alert[] = [
  {
    name: 'AirflowXComBudgetBurnsFast',
    expr: burning('critical', burnRate),
    standalone: standalone('critical'),
    for: '2m',
    severity: 'critical',
    summary: 'An error budget of the XComs will be used up within days.',
    description,
    runbookUrl: SITE.serviceLevels,
    comment: '14.4: 2 % of the budget of 30 days in one hour. 6: 5 % in six hours.',
  },
  {
    name: 'AirflowXComBudgetBurnsSlowly',
    expr: burning('warning', burnRate),
    standalone: standalone('warning'),
    for: '15m',
    severity: 'warning',
    summary: 'An error budget of the XComs will be used up before its 30 days are over.',
    description,
    runbookUrl: SITE.serviceLevels,
    comment: '3: 10 % of the budget of 30 days in one day. 1: 10 % in three days.',
  },
];
