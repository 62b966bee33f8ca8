import type { Secret } from '../lib/secret.ts';
import type { Statement } from '../postgres/client.ts';
import type { AirflowConnection } from './connection.ts';
import { parseConnection } from './connection.ts';
import { decryptFernet } from './fernet.ts';

/** A row of Airflow's table of connections, as far as it concerns S3. */
export interface StoredConnection {
  readonly conn_id: string;
  readonly login: string | null;
  readonly password: string | null;
  readonly is_encrypted: boolean | null;
  readonly extra: string | null;
  readonly is_extra_encrypted: boolean | null;
  readonly host: string | null;
}

/**
 * How many rows are read at most besides those that are wanted: a view shows a few connections, but a table in its
 * place would show all of them.
 */
const MOST = 50;

/**
 * Reads the view that docs/sql/connections-view.sql creates; an older view has no `host`. `view`: a plain name, with or
 * without its schema. `wanted`: the ids whose rows come first, so that none of them is left out.
 */
export function storedConnectionsStatement(view: string, wanted: readonly string[]): Statement {
  return {
    name: 'stored-connections',
    text: /* SQL */ `
    SELECT conn_id, login, password, is_encrypted, extra, is_extra_encrypted, to_jsonb(shown) ->> 'host' AS host
    FROM ${view
      .split('.')
      .map((part) => `"${part}"`)
      .join('.')} AS shown ORDER BY conn_id = ANY ($1::text[]) DESC, conn_id LIMIT $2::int`,
    values: [wanted, wanted.length + MOST],
  };
}

/**
 * Reads the connection in a row. Password and extra are encrypted if their flags say so; the rest is clear text.
 *
 * @throws {RangeError} when the connection cannot be read; the message repeats nothing of its contents.
 */
export function openStoredConnection(row: StoredConnection, keys: readonly Secret[]): AirflowConnection {
  const clear = (text: string | null, isEncrypted: boolean | null) => {
    if (text === null || text === '' || isEncrypted !== true) return text;
    if (keys.length === 0)
      throw new RangeError(
        'is encrypted, and no Fernet key is given (AIRFLOW__CORE__FERNET_KEY or airflow.fernet-key)',
      );
    const opened = decryptFernet(text, keys);
    if (opened === null) throw new RangeError('is encrypted with another Fernet key than those given');
    return opened;
  };
  return parseConnection(
    JSON.stringify({
      login: row.login,
      host: row.host,
      password: clear(row.password, row.is_encrypted),
      extra: clear(row.extra, row.is_extra_encrypted) ?? '',
    }),
  );
}
