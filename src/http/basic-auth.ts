import bcrypt from 'bcryptjs';
import { createHmac, randomBytes } from 'node:crypto';

export type Authorization = 'yes' | 'no' | 'busy';

/**
 * A comparison blocks the only thread for 100 ms or more, so somebody who guesses passwords must not stop its work.
 * BURST comparisons may run at once, then one a second. A password that was right once needs no comparison.
 */
const BURST = 10;
const MS_PER_COMPARISON = 1_000;
const MAX_VERIFIED = 100;

/** Checks the `Authorization` header of a request against the users' bcrypt hashes. `now`: ms of a steady clock. */
export function createBasicAuth(
  now: () => number,
): (header: string | undefined, users: ReadonlyMap<string, string>) => Promise<Authorization> {
  const takeTurn = createTurns(now);
  // Passwords are remembered as keyed digests; the key never leaves the process.
  const key = randomBytes(32);
  const verified = new Set<string>();
  const comparisons = new Map<string, Promise<boolean>>();

  return async (header, users) => {
    const credentials = parseBasic(header);
    const [anyHash] = users.values();
    if (anyHash === undefined) return 'yes';
    if (credentials === null) return 'no';

    const { user, password } = credentials;
    const hash = users.get(user);
    const digest = createHmac('sha256', key)
      .update(JSON.stringify([user, hash ?? null, password]))
      .digest('base64');
    if (verified.has(digest)) return 'yes';

    let comparison = comparisons.get(digest);
    if (comparison === undefined) {
      if (!takeTurn()) return 'busy';
      // An unknown user takes as long as a known one, so that the time does not show which users exist.
      comparison = bcrypt.compare(password, hash ?? anyHash).finally(() => comparisons.delete(digest));
      comparisons.set(digest, comparison);
    }
    const matches = (await comparison) && hash !== undefined;
    if (!matches) return 'no';
    if (verified.size >= MAX_VERIFIED) verified.clear();
    verified.add(digest);
    return 'yes';
  };
}

function createTurns(now: () => number): () => boolean {
  let turns = BURST;
  let countedAt = now();
  return () => {
    turns = Math.min(BURST, turns + (now() - countedAt) / MS_PER_COMPARISON);
    countedAt = now();
    if (turns < 1) return false;
    turns -= 1;
    return true;
  };
}

function parseBasic(header: string | undefined): { user: string; password: string } | null {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon === -1 ? null : { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}
