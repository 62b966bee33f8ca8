import type { Worker } from '../airflow/worker-queries.ts';
import { clusterWords, pools } from './worker-pools.ts';
import type { Placed, Pool } from './worker-pools.ts';

/** A group that stands out among the values that went past object storage. */
export interface Cluster {
  /** The pools of workers that stand out, and the values that show it. */
  readonly named: readonly Pool[];
  readonly telling: readonly Placed[];
  /**
   * Set when operators stand out instead: in words how much they kept, and whether their hosts put other operators'
   * values since.
   */
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
  /** When the latest put of each operator was. */
  readonly puts: Map<string | null, number>;
  readonly keeping: Set<string | null>;
}

/**
 * The values that an operator kept on a host that put values of other operators, and when the latest such put was. The
 * reason is how the task writes, or the host got the setting since. A host that lost the setting keeps the values of
 * every operator. If each task has a host of its own, no host is shared, and an image may lack the setting.
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
