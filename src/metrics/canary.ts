import type { Refusal } from '../canary/report.ts';
import type { CanaryVerdict } from '../canary/verdict.ts';
import type { Recorder } from './series.ts';

/** What speaks of the latest reports, and goes away with them. */
export const CANARY_DATA = [
  'canary_success',
  'canary_duration_seconds',
  'canary_last_success_timestamp_seconds',
  'canary_info',
] as const;

export function countRefusals({ add }: Pick<Recorder, 'add'>, refusals: ReadonlyMap<Refusal, number>): void {
  for (const [reason, count] of refusals) add('canary_reports_refused_total', { reason }, count);
}

export function publishCanary(
  { set, clear }: Pick<Recorder, 'set' | 'clear'>,
  verdict: CanaryVerdict | null,
): void {
  for (const key of CANARY_DATA) clear(key);
  for (const { name: queue, operations, succeededAt, settings } of verdict?.pools ?? []) {
    for (const { operation, ok, seconds } of operations) {
      set('canary_success', { queue, operation }, Number(ok));
      set('canary_duration_seconds', { queue, operation }, seconds);
    }
    for (const [operation, at] of Object.entries(succeededAt))
      set('canary_last_success_timestamp_seconds', { queue, operation }, at / 1000);
    if (settings === null) continue;
    const { backend, path, threshold, compression, versions } = settings;
    const { airflow, common_io, s3fs, python } = versions;
    const info = { queue, backend, path, compression, threshold: threshold ?? '' };
    const known = {
      airflow: airflow ?? '',
      common_io: common_io ?? '',
      s3fs: s3fs ?? '',
      python: python ?? '',
    };
    set('canary_info', { ...info, ...known }, 1);
  }
}
