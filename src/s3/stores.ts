import type { Logger } from 'pino';
import type { S3Observer } from './calls.ts';
import type { ObjectStore } from './client.ts';
import { openObjectStore } from './client.ts';
import type { S3Connection } from './connection.ts';

/** The object stores that paths and rows name. */
export interface Stores {
  /** The store that a connection id of Airflow leads to; '' is none. Opened when first asked for. */
  readonly of: (connection: string) => ObjectStore;
  /** Requests that all of them have sent so far, retries included. */
  readonly sent: () => number;
  close(): void;
}

/** `fallback`: the id of the connection that serves where a row names one that this process does not know. */
export function openStores(
  { connections, fallback }: { connections: ReadonlyMap<string, S3Connection>; fallback: string },
  options: { observer: S3Observer; log: Logger },
): Stores {
  const stores = new Map<string, ObjectStore>();
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
  return {
    sent: () => sent,
    of(connection) {
      const id = connection !== '' && connections.has(connection) ? connection : fallback;
      const open = stores.get(id);
      if (open !== undefined) return open;
      const settings = connections.get(id);
      if (settings === undefined)
        throw new Error(`Cannot open object storage: no connection ${JSON.stringify(id)}`);
      const store = openObjectStore(settings, { observer, log: options.log });
      stores.set(id, store);
      return store;
    },
    close() {
      for (const store of stores.values()) store.close();
    },
  };
}
