import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type pg from 'pg';
import type { DatabaseServer, DatabaseSettings, SslMode } from './database-url.ts';

/** The options of a `pg` client for one of the servers. Reads the certificate files that the settings name. */
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
    // As in libpq, a Unix socket never uses TLS, whatever the settings ask for.
    ssl: tls(settings, server.host.startsWith('/') ? 'disable' : ssl),
    ...(settings.options === null ? {} : { options: settings.options }),
    application_name: settings.applicationName,
    keepAlive: true,
  };
}

/** As in libpq, `require` encrypts without checking the server's identity, unless the settings name authorities. */
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
