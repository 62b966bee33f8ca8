import type { ObjectStore } from '../s3/client.ts';
import type { Stores } from '../s3/stores.ts';

/** The part of the stores that a look at references needs. */
export type AskedStores = Pick<Stores, 'of' | 'sent' | 'knows'>;

/**
 * Keeps to each store as it is when it is asked for first. A connection that is learnt in the middle of a look may lead
 * to another server: the answers of the two must not be judged together, nor those of one as if the other had given
 * them.
 */
export function pinStores(stores: AskedStores): AskedStores {
  const pins = new Map<string, { readonly store: ObjectStore; readonly isKnown: boolean }>();
  function pinned(connection: string) {
    const pin = pins.get(connection) ?? { store: stores.of(connection), isKnown: stores.knows(connection) };
    pins.set(connection, pin);
    return pin;
  }
  return {
    sent: () => stores.sent(),
    of: (connection) => pinned(connection).store,
    knows: (connection) => pinned(connection).isKnown,
  };
}
