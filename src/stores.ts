import type { Logger } from 'pino';
import { isS3Path } from './airflow/xcom-path.ts';
import { openObjectStore } from './clients/s3.ts';
import type { ObjectStore, S3Observer } from './clients/s3.ts';
import type { Config } from './config.ts';

/** The object stores that paths and rows name. */
export interface Stores {
  /** The store that a connection id of Airflow leads to; '' is none. Opened when first asked for. */
  readonly of: (connection: string) => ObjectStore;
  /** Requests that all of them have sent so far, retries included. */
  readonly sent: () => number;
  close(): void;
}

export function openStores(config: Config, options: { observer: S3Observer; log: Logger }): Stores {
  const stores = new Map<string, ObjectStore>();
  const { connections } = config.s3;
  const inForce = config.xcom.paths.find(isS3Path)?.connection ?? '';
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
      // A row may name a connection that this process does not know: the one in force is the best guess.
      const id = connection !== '' && connections.has(connection) ? connection : inForce;
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
