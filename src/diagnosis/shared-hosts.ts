import type { Worker } from '../airflow/worker-queries.ts';
import { clusterWords, pools } from './worker-pools.ts';
import type { Placed, Pool } from './worker-pools.ts';

/** What stands out among the values that went past object storage. */
export interface Cluster {
  /** The pools of workers, and the values that tell of them. */
  readonly named: readonly Pool[];
  readonly telling: readonly Placed[];
  /** What operators did alone stands out instead: how much, and whether their hosts put the values of others since. */
  readonly operators: { readonly words: string; readonly putSince: 'first' | 'last' | null } | null;
}

export function clusterOf(placed: readonly Placed[]): Cluster {
  const all = pools(placed);
  const beside = all.length === 0 ? [] : besidePuts(placed);
  const told = new Set(beside.map(({ one }) => one));
  const telling = placed.filter((one) => !told.has(one));
  const named = beside.length === 0 ? all : pools(telling);
  if (all.length === 0 || named.length > 0) return { named, telling, operators: null };
  const names = [...new Set(beside.map(({ one }) => JSON.stringify(one.worker.operator)))].sort();
  const whose =
    all[0]?.label === 'operator' ? '' : `, those of operator ${names.join(', ')} on hosts that put others`;
  const isSince = (when: 'first' | 'last') => beside.every(({ one, put }) => put > (one.kept?.[when] ?? 0));
  return {
    named,
    telling,
    operators: {
      words: `${clusterWords(placed, all)}${whose}`,
      putSince: isSince('last') ? 'last' : isSince('first') ? 'first' : null,
    },
  };
}

interface Host {
  /** When each operator put the latest. */
  readonly puts: Map<string | null, number>;
  readonly keeping: Set<string | null>;
}

/**
 * What an operator kept on a host that put values of others, and when the latest of these. It follows how a task writes,
 * or the host got the setting since; one that lost it keeps those of every operator. Where each task has a host of its own
 * none is shared, and an image may lack it.
 */
function besidePuts(placed: readonly Placed[]): { readonly one: Placed; readonly put: number }[] {
  const hosts = new Map<string, Host>();
  for (const { worker, bypassed, latestPut } of placed) {
    const host: Host = hosts.get(hostOf(worker)) ?? { puts: new Map(), keeping: new Set() };
    hosts.set(hostOf(worker), host);
    const { operator } = worker;
    if (bypassed > 0) host.keeping.add(operator);
    if (latestPut !== null) host.puts.set(operator, Math.max(host.puts.get(operator) ?? 0, latestPut));
  }
  return placed.flatMap((one) => {
    const { operator, hostname } = one.worker;
    const host = hosts.get(hostOf(one.worker));
    if (host === undefined || one.kept === null || operator === null || !hostname) return [];
    const { first, last } = one.kept;
    const own = host.puts.get(operator) ?? null;
    const put = Math.max(...[...host.puts].map(([by, at]) => (by === operator ? -Infinity : at)));
    if (put === -Infinity) return [];
    const isOwn = own === null && (put > first || host.keeping.size === 1);
    return isOwn || (put > last && (own === null || own < first)) ? [{ one, put }] : [];
  });
}

function hostOf({ queue, executor, hostname }: Worker): string {
  return JSON.stringify([queue, executor, hostname]);
}
