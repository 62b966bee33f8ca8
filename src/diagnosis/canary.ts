import type { Difference } from '../canary/settings.ts';
import type { CanaryVerdict, PoolVerdict } from '../canary/verdict.ts';
import type { CanaryCode } from './problem-catalogue.ts';
import type { Ruling } from './problem.ts';
import { counted, say, takenBack, undecided } from './problem.ts';

/** The most pools that are named with what they reported; the rest are only counted. */
const MOST_TOLD = 3;

/**
 * The canary's verdict on the pools of workers. Without a canary nothing is known of the pools, and nothing is said. If it
 * was removed, nothing that it said before stands either.
 */
export function explainCanary(
  canary: CanaryVerdict | null,
  { isGone }: { readonly isGone: boolean },
): Record<CanaryCode, Ruling> {
  if (canary === null) {
    const none = isGone ? takenBack('there is no canary, or no run of it is left') : 'unknown';
    return { canary_failing: none, canary_silent: none, worker_settings_differ: none };
  }
  const { pools, differences } = canary;
  const heard = pools.filter(({ state }) => state !== 'silent' && state !== 'waits');
  const untold = pools.filter(({ state }) => state === 'untold');
  const failing = pools.filter(({ state }) => state === 'fails');
  const silent = pools.filter(({ state }) => state === 'silent');
  // As long as one pool is not heard, nobody knows whether it works.
  const otherwise = heard.length === pools.length ? 'clear' : 'unknown';
  return {
    canary_failing:
      failing.length > 0
        ? told(failing, faultsOf)
        : untold.length > 0
          ? undecided(`${namesOf(untold)} pushed a value and did not see where it went`)
          : otherwise,
    canary_silent:
      silent.length === 0
        ? otherwise
        : told(
            silent,
            ({ silence, heardAt }) =>
              `${heardAt === null ? 'it was never heard' : 'nothing since'}${
                heardAt === null ? '' : ` ${new Date(heardAt).toISOString()}`
              }; ${silence ?? ''}`,
          ),
    worker_settings_differ:
      differences.length === 0
        ? otherwise
        : say(differences.map(sentence).join(' '), placesOf(differences.flatMap(({ odd }) => odd))),
  };
}

function told(pools: readonly PoolVerdict[], words: (pool: PoolVerdict) => string): Ruling {
  const some = pools.slice(0, MOST_TOLD).map((pool) => `on ${pool.name}: ${words(pool)}`);
  const more = pools.length - some.length;
  const rest = more === 0 ? '' : `; and ${more} more`;
  return say(
    `${counted(pools.length, 'pool')} of workers: ${some.join('; ')}${rest}.`,
    placesOf(pools.map(({ name }) => name)),
  );
}

function namesOf(pools: readonly PoolVerdict[]): string {
  return pools
    .slice(0, MOST_TOLD)
    .map(({ name }) => name)
    .join(', ');
}

function faultsOf({ operations }: PoolVerdict): string {
  return operations
    .flatMap(({ operation, faults }) => faults.map((fault) => `${operation} failed, ${fault}`))
    .join('; ');
}

function sentence({ option, values, told: given }: Difference): string {
  const seen = values.map(({ value, pools }) => `${value === '' ? 'nothing' : value} on ${pools.join(', ')}`);
  const said = given === null ? '' : `; the exporter was told ${given === '' ? 'that it is empty' : given}`;
  return `${option} is ${seen.join(', and ')}${said}.`;
}

function placesOf(names: readonly string[]) {
  const where = [...new Set(names)].slice(0, MOST_TOLD).map((value) => ({ label: 'queue', value, rows: 1 }));
  return { where, findings: [], written: null };
}
