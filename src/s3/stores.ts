import type { Logger } from 'pino';
import type { Secret } from '../lib/secret.ts';
import type { S3Observer } from './calls.ts';
import type { ObjectStore } from './client.ts';
import { openObjectStore } from './client.ts';
import type { S3Connection } from './connection.ts';
import { standIn } from './stand-in.ts';

/** The result for a connection that is looked up later: how to reach S3, or why that is not known. */
export type Learned = S3Connection | { readonly why: string };

/** The object stores that paths and rows name. */
export interface Stores {
  /** The store for an Airflow connection id; '' stands for no connection. Opened on first use. */
  readonly of: (connection: string) => ObjectStore;
  /** The connection settings of the same store. */
  readonly connectionOf: (connection: string) => S3Connection;
  /**
   * Whether an id leads to its own connection. Another stands in for one that nobody gave or that only rows name, and may
   * lead to another server.
   */
  readonly knows: (connection: string) => boolean;
  /**
   * Whether from now on a row without an id is one of the path's connection: Airflow 2.9.0 and 2.9.1 leave the id out of
   * every row. Of no effect where a path names no connection. At first: no.
   */
  readonly takeUnnamed: (asThePaths: boolean) => void;
  /** From now on these connection ids lead to these connections. Closes the stores that the call before replaced. */
  readonly learn: (connections: ReadonlyMap<string, Learned>) => void;
  /** Requests that all stores have sent so far, retries included. */
  readonly sent: () => number;
  close(): void;
}

export interface StoreSettings {
  readonly connections: ReadonlyMap<string, S3Connection>;
  /** The id of the connection to use when a row names one that this process does not know. */
  readonly fallback: string;
  /** Whether '' leads to a connection of its own: no path is configured, or one that names no connection. */
  readonly hasUnnamed: boolean;
  /** The ids for which other credentials stand in, each with the reason in words. */
  readonly missing: ReadonlyMap<string, string>;
}

export function openStores(
  { connections: given, fallback, hasUnnamed, missing: unknown }: StoreSettings,
  options: { observer: S3Observer; log: Logger },
): Stores {
  const connections = new Map(given);
  const missing = new Map(unknown);
  const stores = new Map<string, ObjectStore>();
  /** Stores whose connection the latest `learn` has changed; a request may still be under way in them. */
  let former: ObjectStore[] = [];
  let isLeftOut = false;
  let sent = 0;
  const observer: S3Observer = {
    request: (operation) => {
      sent += 1;
      options.observer.request(operation);
    },
    failure: (operation, reason) => {
      options.observer.failure(operation, reason);
    },
  };

  function forget(id: string): void {
    const open = stores.get(id);
    if (open !== undefined) former.push(open);
    stores.delete(id);
  }

  function learnOne(id: string, learned: Learned): void {
    if ('why' in learned) {
      if (missing.get(id) !== learned.why) forget(id);
      missing.set(id, learned.why);
      return;
    }
    const before = connections.get(id);
    if (missing.has(id) || before === undefined || !isSame(before, learned)) forget(id);
    missing.delete(id);
    connections.set(id, learned);
  }

  function ownIdOf(connection: string): string | undefined {
    // Otherwise a row without an id is from before the path named one, and nobody knows its connection.
    if (connection === '' && !hasUnnamed && !isLeftOut) return undefined;
    // An id that only rows name is known by its name in Airflow's variable, in capitals.
    const names = connection === '' && !hasUnnamed ? [fallback] : [connection, connection.toUpperCase()];
    return names.find((name) => connections.has(name));
  }

  function idOf(connection: string): string {
    return ownIdOf(connection) ?? fallback;
  }

  function connectionOf(connection: string): S3Connection {
    const settings = connections.get(idOf(connection));
    if (settings === undefined)
      throw new Error(`Cannot open object storage: no connection ${JSON.stringify(idOf(connection))}`);
    return settings;
  }

  return {
    sent: () => sent,
    connectionOf,
    knows(connection) {
      const id = ownIdOf(connection);
      return id !== undefined && !missing.has(id);
    },
    takeUnnamed(asThePaths) {
      isLeftOut = asThePaths;
    },
    learn(learned) {
      for (const store of former) store.close();
      former = [];
      for (const [id, one] of learned) learnOne(id, one);
    },
    of(connection) {
      const id = idOf(connection);
      const open = stores.get(id);
      if (open !== undefined) return open;
      const own = openObjectStore(connectionOf(connection), { observer, log: options.log });
      const why = missing.get(id);
      const store = why === undefined ? own : standIn(own, why);
      stores.set(id, store);
      return store;
    },
    close() {
      for (const store of [...former, ...stores.values()]) store.close();
    },
  };
}

/** Compares every part, and secrets by what they hide. */
function isSame(one: unknown, other: unknown): boolean {
  if (isSecret(one) && isSecret(other)) return one.reveal() === other.reveal();
  if (!isRecord(one) || !isRecord(other)) return one === other;
  return Object.keys({ ...one, ...other }).every((name) => isSame(one[name], other[name]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isSecret(value: unknown): value is Secret {
  return isRecord(value) && typeof value['reveal'] === 'function';
}
