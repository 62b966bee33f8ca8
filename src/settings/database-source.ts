import type { ConfigFile } from '../airflow/config-file.ts';
import { lookUpOption } from '../airflow/config-option.ts';
import type { DatabaseSettings, LibpqKeywords, UnfollowedKeyword } from '../postgres/database-url.ts';
import {
  APPLICATION_NAME,
  UNFOLLOWED_KEYWORDS,
  databaseSettings,
  libpqVariables,
} from '../postgres/database-url.ts';
import type { Attempts } from './attempts.ts';
import type { Given, SourceKind } from './sources.ts';

export interface DatabaseSource {
  /** Null when what was given is wrong. */
  readonly settings: DatabaseSettings | null;
  readonly origin: SourceKind;
  readonly from: string;
  readonly warnings: readonly string[];
}

interface Named {
  readonly url: LibpqKeywords | null;
  readonly given: Given | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Airflow's own file, which may name a schema. */
  readonly airflow: { readonly file: ConfigFile | null };
}

/** The schema of Airflow's tables, which its URL does not name. */
const SCHEMA_OPTION = {
  section: 'database',
  key: 'sql_alchemy_schema',
  former: { section: 'core', key: 'sql_alchemy_schema' },
  sensitive: false,
};

const CONNECT_ARGUMENTS_OPTION = {
  section: 'database',
  key: 'sql_alchemy_connect_args',
  former: { section: 'core', key: 'sql_alchemy_connect_args' },
  sensitive: false,
};

/** The database that is named; null when none is. */
export function readDatabase(named: Named, { attempt }: Attempts): DatabaseSource | null {
  const found = keywordsOf(named);
  if (found === null) return null;
  const { origin, from } = found;
  const { keywords, warnings } = withSchema(found.keywords, named);
  return {
    settings: attempt(from, () => databaseSettings(keywords)),
    origin,
    from,
    warnings: [
      ...warnings,
      ...(origin === 'airflow' ? [...connectArguments(named), ...refusedByAirflow(named, from)] : []),
    ],
  };
}

/**
 * Tested with SQLAlchemy 1.4 and 2.1: a space at the end counts as part of the last part of the URL. A text with a
 * space at its start is no URL for SQLAlchemy.
 */
function refusedByAirflow({ given }: Named, from: string): readonly string[] {
  const text = given?.input.holds === 'value' ? given.text : '';
  return [
    ...(text === text.trim()
      ? []
      : [`${from} has white space around its URL, which Airflow takes as part of it: it cannot connect`]),
    ...(/@[^/?]*:(?:[/?]|$)/.test(text.trim())
      ? [`${from} has a colon without a port behind it, over which Airflow fails: leave out the colon`]
      : []),
  ];
}

/** Warns of connection arguments that Airflow's driver gets beside the URL: Python code names them. */
function connectArguments({ env, airflow }: Named): readonly string[] {
  const given = lookUpOption(CONNECT_ARGUMENTS_OPTION, { file: airflow.file, env });
  if (given.kind === 'absent' || (given.kind === 'value' && given.text === '')) return [];
  return [
    'database.url: sql_alchemy_connect_args is not followed by the exporter: give database.url with the same as parameters, such as ?sslmode=require&sslrootcert=/path',
  ];
}

/** Warns of places where a worker's driver looks and the exporter does not. */
export function unfollowedKeywords({ url, env }: Pick<Named, 'url' | 'env'>): readonly string[] {
  const hasPassword = (url?.password ?? env['PGPASSWORD'] ?? '') !== '';
  return (Object.entries(UNFOLLOWED_KEYWORDS) as [UnfollowedKeyword, string][]).flatMap(
    ([keyword, variable]) => {
      const place = url?.[keyword] !== undefined ? `${keyword} in the URL` : variable;
      if (place === variable && (env[variable] ?? '') === '') return [];
      // A password that is given takes precedence over the file.
      if (keyword === 'passfile' && hasPassword) return [];
      return [`database.url: ${place} is not followed by the exporter: write ${INSTEAD[keyword]}`];
    },
  );
}

const INSTEAD: Readonly<Record<UnfollowedKeyword, string>> = {
  service: 'what the service stands for into the URL',
  passfile: 'the password into the URL, or into the file of XCOM_EXPORTER_DATABASE_URL_FILE',
  hostaddr: 'the address as the host of the URL',
};

/** Sends the schema as the search path of the session, whoever gave the URL, unless the URL has a search path. */
function withSchema(
  keywords: LibpqKeywords,
  { env, airflow }: Named,
): { readonly keywords: LibpqKeywords; readonly warnings: readonly string[] } {
  const schema = lookUpOption(SCHEMA_OPTION, { file: airflow.file, env });
  const { options = '' } = keywords;
  if (schema.kind !== 'value' || schema.text === '' || options.includes('search_path'))
    return { keywords, warnings: [] };
  if (!/^[a-z_][a-z0-9_]*$/.test(schema.text))
    return {
      keywords,
      warnings: [
        'database.url: sql_alchemy_schema is no plain name, and the exporter does not follow it: give the search path in database.url',
      ],
    };
  const searchPath = `-csearch_path=${schema.text}`;
  return {
    keywords: { ...keywords, options: options === '' ? searchPath : `${options} ${searchPath}` },
    warnings: [],
  };
}

/** Checked at the start: a missing PEM file would else show at the first connection, and in each cycle. */
export function checkDatabaseFiles({ settings, from }: DatabaseSource, { readText }: Attempts): void {
  if (settings === null || settings.ssl === 'disable') return;
  for (const path of [settings.sslRootCert, settings.sslCert, settings.sslKey])
    if (path !== null) readText(path, from);
}

/** A URL, completed by libpq's variables as a worker's driver does it; without a URL those variables alone. */
function keywordsOf({ url, given, env }: Named): {
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
