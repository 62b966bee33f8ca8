import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type pg from 'pg';
import type { DatabaseServer, DatabaseSettings, SslMode } from './database-url.ts';

/** What a client of `pg` is made with for one of the servers. Reads the files of certificates that the settings name. */
export function clientConfig(
  settings: DatabaseSettings,
  { server, ssl }: { readonly server: DatabaseServer; readonly ssl: SslMode },
): pg.ClientConfig {
  return {
    host: server.host,
    port: server.port,
    user: settings.user,
    database: settings.database,
    ...(settings.password === null ? {} : { password: settings.password.reveal() }),
    // As libpq: there is no TLS on a socket of this machine, whatever is asked for.
    ssl: tls(settings, server.host.startsWith('/') ? 'disable' : ssl),
    ...(settings.options === null ? {} : { options: settings.options }),
    application_name: settings.applicationName,
    keepAlive: true,
  };
}

/** `require` encrypts without asking who answers, as in libpq, unless authorities are named. */
function tls(settings: DatabaseSettings, ssl: SslMode): ConnectionOptions | false {
  if (ssl === 'disable') return false;
  const file = (path: string | null) => (path === null ? undefined : readFileSync(path, 'utf8'));
  const ca = file(settings.sslRootCert);
  const cert = file(settings.sslCert);
  const key = file(settings.sslKey);
  return {
    rejectUnauthorized: ssl === 'verify-ca' || ssl === 'verify-full' || ca !== undefined,
    ...(ssl === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}
