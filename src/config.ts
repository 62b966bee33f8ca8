import { connectionVariable, parseConnection, s3Connection, unusedExtras } from './airflow/connection.ts';
import {
  APPLICATION_NAME,
  databaseSettings,
  describeDatabase,
  libpqVariables,
} from './airflow/database-url.ts';
import type { DatabaseSettings, LibpqKeywords } from './airflow/database-url.ts';
import { isS3Path } from './airflow/xcom-path.ts';
import type { XComPath } from './airflow/xcom-path.ts';
import type { S3Connection } from './clients/s3-connection.ts';
import { connectionOrigin } from './connection-origin.ts';
import { secret } from './lib/secret.ts';
import { withoutPasswords } from './lib/without-passwords.ts';
import { readSecretFile } from './secret-files.ts';
import type { SecretContents } from './secret-files.ts';
import { readAirflowVariables, readFlags, readSettingsFile, readVariables } from './setting-sources.ts';
import type { Given, SourceKind } from './setting-sources.ts';
import { settingWarnings } from './setting-warnings.ts';
import { namesOf, parseSettings, SETTING_NAMES, settingOf } from './settings.ts';
import type { SettingName, SettingValues } from './settings.ts';

export type { DatabaseSettings, SslMode } from './airflow/database-url.ts';
export type { XComPath } from './airflow/xcom-path.ts';
export type { S3Connection } from './clients/s3-connection.ts';
export { settingsTable } from './settings.ts';

export interface Config {
  /** Null when nothing names a database: see `requireDatabase`. */
  readonly database: DatabaseSettings | null;
  readonly xcom: {
    /** The first is the one in force; none when Airflow has none. */
    readonly paths: readonly XComPath[];
    /** Bytes; negative: Airflow puts nothing into S3. */
    readonly threshold: number;
    /** Bytes. */
    readonly oversize: number;
    readonly compression: string;
    /** '' when it is not known. */
    readonly backend: string;
  };
  readonly windowMs: number;
  readonly sampleSchedule: string;
  readonly probe: { readonly schedule: string; readonly write: boolean };
  readonly s3: {
    readonly requestsPerCycle: number;
    /** By connection id; '' is always there and is what a path without one uses. */
    readonly connections: ReadonlyMap<string, S3Connection>;
  };
  readonly maxDags: number;
  /** Host '' is every interface; port 0 is any free one. */
  readonly web: { readonly host: string; readonly port: number; readonly configFile: string | null };
  readonly stateFile: string | null;
  readonly ha: SettingValues['ha'];
  readonly shard: SettingValues['shard'];
  /** Without a slash at its end. */
  readonly airflowBaseUrl: string | null;
  readonly log: { readonly level: SettingValues['log.level']; readonly format: SettingValues['log.format'] };
  readonly origins: readonly SettingOrigin[];
  /** The files that secrets come from. */
  readonly secretFiles: SecretContents;
  /** What is odd about the settings and no error: one sentence each, without a secret. */
  readonly warnings: readonly string[];
}

/** Where the value of a setting comes from, to be shown: no secret is in it. */
export interface SettingOrigin {
  readonly name: string;
  /** '' for what follows from Airflow's connections, which is no setting of its own. */
  readonly flag: string;
  readonly variable: string;
  /** The value; '' when there is none. */
  readonly shown: string;
  readonly origin: SourceKind;
  /** The flag, the variable or the key it was read from; '' for a plain default. */
  readonly from: string;
}

export interface ConfigInput {
  /** The flags alone, without a command. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws when the file cannot be read. */
  readonly readFile: (path: string) => string;
}

/** Every problem with the settings at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    const shown = problems.map(withoutPasswords);
    super(`Invalid settings: ${shown.join('; ')}`);
    this.problems = shown;
  }
}

/**
 * The settings from flags, variables, the file and Airflow's own variables, in this order of precedence.
 *
 * @throws {ConfigError} when one is wrong or unknown.
 */
export function readConfig(input: ConfigInput): Config {
  const { argv, env } = input;
  const problems: string[] = [];

  function attempt<T>(from: string, read: () => T): T | null {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      problems.push(`${from}: ${error.message}`);
      return null;
    }
  }

  function readText(path: string, from: string): string {
    try {
      return input.readFile(path);
    } catch (cause) {
      problems.push(
        `${from}: Cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
      );
      return '';
    }
  }

  const flags = readFlags(argv);
  const variables = readVariables(env);
  const file = flags.given.get('config.file') ?? variables.given.get('config.file');
  const sources = [
    flags,
    variables,
    ...(file === undefined || file.text === ''
      ? []
      : [readSettingsFile(readText(file.text, file.from), file.text)]),
    readAirflowVariables(env),
  ];
  problems.push(...sources.flatMap((source) => source.problems));

  const chosen = new Map<SettingName, Given>();
  for (const { given } of sources)
    for (const [name, one] of given)
      // `${URL:-}` in a compose file: a database without a URL is none, so the next source is asked.
      if (!chosen.has(name) && !(name === 'database.url' && one.text === '')) chosen.set(name, one);
  // The SDK reads this one by itself, after a reload anew.
  const ofAws = env['AWS_SHARED_CREDENTIALS_FILE'] ?? '';
  const secretFiles = new Map(ofAws === '' ? [] : [[ofAws, readSecretFile(ofAws, input.readFile)]]);
  const texts = Object.fromEntries(
    SETTING_NAMES.map((name) => {
      const given = chosen.get(name);
      if (given === undefined) return [name, settingOf(name).default];
      if (given.input.holds === 'value') return [name, given.text];
      const faultsBefore = problems.length;
      const content = readText(given.text, given.from);
      secretFiles.set(given.text, secret(content));
      if (content.trim() === '' && problems.length === faultsBefore)
        problems.push(`${given.from}: the file ${given.text} is empty`);
      // Editors and `kubectl create secret --from-file` leave a line end behind the secret.
      return [name, content.trimEnd()];
    }),
  ) as Record<SettingName, string>;

  const { values, faults } = parseSettings(texts);
  for (const [name, fault] of faults) problems.push(`${chosen.get(name)?.from ?? name}: ${fault}`);

  const databaseFrom = databaseSource(values['database.url'] ?? null, chosen.get('database.url'), env);
  const database =
    databaseFrom === null ? null : attempt(databaseFrom.from, () => databaseSettings(databaseFrom.keywords));
  const connections = connectionIds(values['xcom.path'] ?? []).map((id) => {
    const variable = connectionVariable(id);
    const text = id === '' ? '' : (env[variable] ?? '');
    const parsed = text === '' ? null : attempt(variable, () => parseConnection(text));
    const from = text === '' ? 'AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL' : variable;
    const s3 = attempt(from, () => s3Connection(parsed, env));
    return {
      id,
      s3,
      origin: connectionOrigin(id, s3, { isSet: text !== '', unused: parsed && unusedExtras(parsed) }),
    };
  });

  // Else they would be missed at the first connection, hence in each cycle.
  if (database !== null && database.ssl !== 'disable' && databaseFrom !== null)
    for (const path of [database.sslRootCert, database.sslCert, database.sslKey])
      if (path !== null) readText(path, databaseFrom.from);
  for (const { id, s3 } of connections)
    if (typeof s3?.verify === 'string') readText(s3.verify, `${connectionVariable(id)}: verify`);

  if (!isComplete(values) || problems.length > 0) throw new ConfigError([...new Set(problems)]);
  const { threshold, oversize } = sizes(values);
  return deepFreeze({
    database,
    xcom: {
      paths: values['xcom.path'],
      threshold,
      oversize,
      compression: values['xcom.compression'],
      backend: values['xcom.backend'],
    },
    windowMs: values.window,
    sampleSchedule: values['sample.schedule'],
    probe: { schedule: values['probe.schedule'], write: values['probe.write'] },
    s3: {
      requestsPerCycle: values['s3.requests-per-cycle'],
      connections: new Map(connections.flatMap(({ id, s3 }) => (s3 === null ? [] : [[id, deepFreeze(s3)]]))),
    },
    maxDags: values['labels.max-dags'],
    web: { ...values['web.listen-address'], configFile: values['web.config.file'] },
    stateFile: values['state.file'],
    ha: values.ha,
    shard: values.shard,
    airflowBaseUrl: values['airflow.base-url'],
    log: { level: values['log.level'], format: values['log.format'] },
    secretFiles,
    warnings: settingWarnings({
      env,
      paths: values['xcom.path'],
      threshold,
      backend: values['xcom.backend'],
    }).map(withoutPasswords),
    origins: [
      ...SETTING_NAMES.map((name): SettingOrigin => {
        const { origin = 'default', from = '' } = chosen.get(name) ?? {};
        const shown = settingOf(name).secret === true ? '' : withoutPasswords(texts[name]);
        const plain = { ...namesOf(name), shown, origin, from };
        if (name === 'xcom.oversize' && texts[name] === '') {
          return { ...plain, shown: String(oversize), from: threshold >= 0 ? 'xcom.threshold' : '' };
        }
        if (name !== 'database.url' || database === null || databaseFrom === null) return plain;
        return {
          ...plain,
          shown: describeDatabase(database),
          origin: databaseFrom.origin,
          from: databaseFrom.from,
        };
      }),
      // What no path uses is not worth a line, unless it is all there is.
      ...connections.flatMap(({ id, origin }) =>
        id === '' && isAllNamed(values['xcom.path']) ? [] : [origin],
      ),
    ],
  });
}

/** @throws {ConfigError} when nothing names the metadata database. */
export function requireDatabase(config: Config): DatabaseSettings {
  if (config.database !== null) return config.database;
  const { flag, variable } = namesOf('database.url');
  throw new ConfigError([
    `database.url: not set: give ${flag}, ${variable} or ${variable}_FILE, or Airflow's AIRFLOW__DATABASE__SQL_ALCHEMY_CONN`,
  ]);
}

type Environment = ConfigInput['env'];

interface DatabaseSource {
  readonly keywords: LibpqKeywords;
  readonly origin: SourceKind;
  readonly from: string;
}

/** A URL, completed by libpq's variables as a worker's driver does it; or those variables alone. */
function databaseSource(
  url: LibpqKeywords | null,
  given: Given | undefined,
  env: Environment,
): DatabaseSource | null {
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

function isComplete(values: Partial<SettingValues>): values is SettingValues {
  return SETTING_NAMES.every((name) => name in values);
}

function sizes(values: SettingValues): { readonly threshold: number; readonly oversize: number } {
  const threshold = values['xcom.threshold'];
  return { threshold, oversize: values['xcom.oversize'] ?? (threshold >= 0 ? threshold : 1_048_576) };
}

/** The connections that the paths name, and '' which is there for a reference without one. */
function connectionIds(paths: readonly XComPath[]): readonly string[] {
  return [...new Set(['', ...paths.filter(isS3Path).map((path) => path.connection ?? '')])];
}

function isAllNamed(paths: readonly XComPath[]): boolean {
  return paths.some(isS3Path) && paths.filter(isS3Path).every((path) => path.connection !== null);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.values(Object.freeze(value)).forEach(deepFreeze);
  }
  return value;
}
