import type { DatabaseSettings, LibpqKeywords } from '../postgres/database-url.ts';
import { APPLICATION_NAME, databaseSettings, libpqVariables } from '../postgres/database-url.ts';
import type { Attempts } from './attempts.ts';
import type { Given, SourceKind } from './sources.ts';

export interface DatabaseSource {
  /** Null when what was given is wrong. */
  readonly settings: DatabaseSettings | null;
  readonly origin: SourceKind;
  readonly from: string;
}

/** The database that is named; null when none is. */
export function readDatabase(
  named: {
    readonly url: LibpqKeywords | null;
    readonly given: Given | undefined;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
  { attempt }: Attempts,
): DatabaseSource | null {
  const found = keywordsOf(named);
  if (found === null) return null;
  const { keywords, origin, from } = found;
  return { settings: attempt(from, () => databaseSettings(keywords)), origin, from };
}

/** A missing PEM file would be missed at the first connection, hence in each cycle. */
export function checkDatabaseFiles({ settings, from }: DatabaseSource, { readText }: Attempts): void {
  if (settings === null || settings.ssl === 'disable') return;
  for (const path of [settings.sslRootCert, settings.sslCert, settings.sslKey])
    if (path !== null) readText(path, from);
}

/** A URL, completed by libpq's variables as a worker's driver does it; or those variables alone. */
function keywordsOf({ url, given, env }: Parameters<typeof readDatabase>[0]): {
  readonly keywords: LibpqKeywords;
  readonly origin: SourceKind;
  readonly from: string;
} | null {
  const { keywords, names } = libpqVariables(env);
  if (given === undefined) {
    // A user or password alone names no server: other programs in the container may read them.
    const isNamed = keywords.host !== undefined || keywords.dbname !== undefined;
    return isNamed ? { keywords, origin: 'variable', from: names.join(', ') } : null;
  }
  if (url === null) return null;
  // Airflow's application name would make our session look like a worker's.
  const ours = given.origin === 'airflow' ? { ...url, application_name: APPLICATION_NAME } : url;
  return { keywords: { ...keywords, ...ours }, origin: given.origin, from: given.from };
}
