import type pg from 'pg';
import type { DatabaseServer, DatabaseSettings, SessionAttributes } from './database-url.ts';
import { DatabaseError } from './failure.ts';

export type ServerKind = 'any' | 'primary' | 'standby';

/**
 * The rounds in which servers are tried. A role that only reads has read-only sessions on every server. So `read-write`
 * and `read-only` are decided by whether the server is a standby, not by whether the session may write.
 */
const ROUNDS: Readonly<Record<SessionAttributes, readonly ServerKind[]>> = {
  any: ['any'],
  'read-write': ['primary'],
  primary: ['primary'],
  'read-only': ['standby'],
  standby: ['standby'],
  'prefer-standby': ['standby', 'any'],
};

/**
 * Tries the servers in turn, as libpq does. If all fail, the first failure for a wrong kind is thrown, else the last.
 */
export async function firstFit<Session>(
  settings: DatabaseSettings,
  connect: (server: DatabaseServer, kind: ServerKind) => Promise<Session>,
): Promise<Session> {
  let failure: unknown = null;
  for (const kind of ROUNDS[settings.sessionAttributes])
    for (const server of [settings, ...settings.others])
      try {
        return await connect(server, kind);
      } catch (error) {
        // As in libpq, a login that one server refuses is not tried on the next server.
        if (isRefusal(error)) throw error;
        // A server that answers but is of the wrong kind tells more than a server that does not answer.
        if (!(failure instanceof DatabaseError)) failure = error;
      }
  throw failure;
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('28');
}

/** @throws {DatabaseError} when the server is of the other kind. */
export async function refuseOther(client: pg.Client, kind: Exclude<ServerKind, 'any'>): Promise<void> {
  const { rows } = await client.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby');
  if (rows[0]?.standby === (kind === 'standby')) return;
  throw new DatabaseError(
    'unreachable',
    `Cannot read the database: target_session_attrs asks for a ${kind}, and no server that answers is one`,
    null,
  );
}

/** The names of the servers, for a message. */
export function placesOf({ host, port, others }: DatabaseSettings): string {
  return [{ host, port }, ...others].map((one) => `${one.host}, port ${one.port}`).join(' or ');
}
