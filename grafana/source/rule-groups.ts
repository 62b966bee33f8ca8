import type { Alert } from './alert.ts';
import { EXPORTER_ALERTS } from './alerts-of-exporter.ts';
import { PROBLEM_ALERTS } from './alerts-of-problems.ts';
import { SERVICE_LEVEL_ALERTS } from './alerts-of-service-levels.ts';
import { STORAGE_ALERTS } from './alerts-of-storage.ts';
import type { Duration } from './promql.ts';
import { BURN_RULES, LONG_RULES, OBJECTIVE_RULES, RATE_RULES } from './recording-rules.ts';
import type { Recording } from './recording-rules.ts';

export interface Group<Rule> {
  readonly name: string;
  /** How often it is evaluated; the server's default unless given. */
  readonly interval?: Duration;
  readonly rules: readonly Rule[];
}

export const OBJECTIVES: Group<Recording> = {
  name: 'airflow-xcom-objectives',
  rules: OBJECTIVE_RULES,
};

export const RECORDINGS: readonly Group<Recording>[] = [
  // One group, for the budget follows from the events of the same moment.
  { name: 'airflow-xcom-service-levels', interval: '30s', rules: [...RATE_RULES, ...BURN_RULES] },
  { name: 'airflow-xcom-error-budgets', interval: '5m', rules: LONG_RULES },
];

export const ALERTS: readonly Group<Alert>[] = [
  { name: 'airflow-xcom', rules: PROBLEM_ALERTS },
  { name: 'airflow-xcom-storage', rules: STORAGE_ALERTS },
  { name: 'airflow-xcom-exporter', rules: EXPORTER_ALERTS },
  { name: 'airflow-xcom-error-budget-burns', rules: SERVICE_LEVEL_ALERTS },
];
