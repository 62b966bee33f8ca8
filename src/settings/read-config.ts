import { connectionVariable, parseConnection, s3Connection, unusedExtras } from '../airflow/connection.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import { secret } from '../lib/secret.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';
import type { LibpqKeywords } from '../postgres/database-url.ts';
import {
  APPLICATION_NAME,
  databaseSettings,
  describeDatabase,
  libpqVariables,
} from '../postgres/database-url.ts';
import type { SettingName, SettingValues } from './catalogue.ts';
import { namesOf, parseSettings, SETTING_NAMES, settingOf } from './catalogue.ts';
import type { Config } from './config.ts';
import { ConfigError } from './config.ts';
import type { SettingOrigin } from './origins.ts';
import { connectionOrigin } from './origins.ts';
import { readSecretFile } from './secret-files.ts';
import type { Given, SourceKind } from './sources.ts';
import { readAirflowVariables, readFlags, readSettingsFile, readVariables } from './sources.ts';
import { settingWarnings } from './warnings.ts';

export interface ConfigInput {
  /** The flags alone, without a command. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws when the file cannot be read. */
  readonly readFile: (path: string) => string;
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
      fallback: values['xcom.path'].find(isS3Path)?.connection ?? '',
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
