import type { Scrape } from '../support/contract.ts';
import type { Plan } from './writer.ts';

/**
 * Rows that are planned but not counted (lost), rows that are counted but not planned (doubled), and every counter
 * that differs from the plan.
 */
export interface Difference {
  readonly lost: number;
  readonly doubled: number;
  readonly wrong: readonly string[];
}

const COUNTERS = [
  'rows_total',
  'bytes_total',
  'oversize_in_db_total',
  'oversize_in_db_bytes_total',
  'references_checked_total',
  'references_broken_total',
];

/** Adds the counters of one scrape to those of the processes that have ended. */
export function addUp(carried: ReadonlyMap<string, number>, scrape: Scrape): Map<string, number> {
  const sums = new Map(carried);
  for (const counter of COUNTERS)
    for (const { labels, value } of scrape.get(`airflow_xcom_${counter}`)?.samples ?? []) {
      if (value === 0) continue;
      const name = `${counter}{${Object.entries(labels)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([label, text]) => `${label}=${text}`)
        .join(',')}}`;
      sums.set(name, (sums.get(name) ?? 0) + value);
    }
  return sums;
}

export function differ(plan: Plan, counted: ReadonlyMap<string, number>): Difference {
  const off = [...new Set([...plan.keys(), ...counted.keys()])]
    .map((name) => ({ name, by: (counted.get(name) ?? 0) - (plan.get(name) ?? 0) }))
    .filter(({ by }) => by !== 0);
  const sum = (sign: 1 | -1) =>
    off
      .filter(({ name }) => name.startsWith('rows_total') || name.startsWith('references_checked'))
      .reduce((total, { by }) => total + Math.max(0, sign * by), 0);
  return {
    lost: sum(-1),
    doubled: sum(1),
    wrong: off.map(({ name, by }) => `${name} ${by > 0 ? '+' : ''}${by}`),
  };
}
