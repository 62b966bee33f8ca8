import { AUDIT_METRICS } from './audit-metrics.ts';
import { CANARY_METRICS } from './canary-metrics.ts';
import { CYCLE_METRICS } from './cycle-metrics.ts';
import type { Definition, Reading } from './definition.ts';
import { LIVE_METRICS } from './live-metrics.ts';

/**
 * Every metric the exporter has, as data: the registry, the table of docs/metrics.md and the contract test read it.
 * Names, types and labels are a contract with dashboards and alerts; `experimental` ones may still change.
 */
export interface MetricDefinition extends Omit<Definition, 'stability'> {
  /** The full name, with the prefix. */
  readonly name: string;
  readonly stability: 'stable' | 'experimental';
}

const PREFIX = 'airflow_xcom_';

/** Every metric by its name without the prefix. The order is the order of a scrape. */
export const CATALOGUE = { ...CYCLE_METRICS, ...CANARY_METRICS, ...AUDIT_METRICS, ...LIVE_METRICS };

export type MetricKey = keyof typeof CATALOGUE;

export type KeyOf<Type> = {
  [K in MetricKey]: (typeof CATALOGUE)[K]['type'] extends Type ? K : never;
}[MetricKey];

export function fullName(key: MetricKey): string {
  return PREFIX + key;
}

export const METRICS: readonly MetricDefinition[] = Object.entries<Definition>(CATALOGUE).map(
  ([key, definition]) => ({ stability: 'stable', ...definition, name: PREFIX + key }),
);

/** The metrics that follow from the last report, each with the way to its figures. */
export const READ_FROM_REPORT: readonly (readonly [key: KeyOf<'gauge' | 'counter'>, read: Reading])[] =
  Object.entries<Definition>(CATALOGUE).flatMap(([key, { read }]) =>
    read === undefined ? [] : [[key as KeyOf<'gauge' | 'counter'>, read] as const],
  );
