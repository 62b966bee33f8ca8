import type { CanaryVerdict, PoolVerdict } from '../canary/verdict.ts';
import { plain } from './terminal.ts';

/** A line for each pool of workers: its settings, and how its operations went. No lines without a canary. */
export function canaryLines(canary: CanaryVerdict | null): string[] {
  if (canary === null) return [];
  return ['Canary:', ...canary.pools.map((pool) => `  ${plain(pool.name)} ${poolWords(pool)}`)];
}

function poolWords({ state, settings, operations, payload, silence }: PoolVerdict): string {
  if (state === 'silent') return `is silent: ${silence ?? ''}`;
  if (settings === null) return 'has not been heard yet';
  const { backend, path, threshold, object_storage } = settings;
  const where = object_storage
    ? `path ${path === '' ? 'none' : plain(path)}, threshold ${threshold ?? 'unset'}`
    : plain(backend);
  const steps = operations.map(({ operation, ok, seconds }) =>
    ok
      ? `${operation} ${seconds.toFixed(2)} s${operation === 'push' && payload === 'kept' ? ' (kept in the database)' : ''}`
      : `${operation} failed`,
  );
  return `${state}: ${where}; ${steps.join(', ')}`;
}
