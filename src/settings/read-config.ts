import { secretsBackends } from '../airflow/secrets-backend.ts';
import { parseFernetKeys } from '../airflow/fernet.ts';
import { isS3Path, parseXComPath } from '../airflow/xcom-path.ts';
import { s3Connection } from '../airflow/worker-s3.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';
import { readAwsFiles } from './aws-files.ts';
import { readAirflowFile } from './airflow-file.ts';
import { isQuoted, readAirflowSource, unreadOptions } from './airflow-source.ts';
import type { AirflowRemark } from './airflow-source.ts';
import { createAttempts } from './attempts.ts';
import type { Attempts } from './attempts.ts';
import { SETTING_NAMES, parseSettings } from './catalogue.ts';
import type { SettingName, SettingValues } from './catalogue.ts';
import { awsCredentialsFile, chooseTexts, emptyVariables, readTexts } from './chosen-texts.ts';
import { ConfigError, storageInForce } from './config.ts';
import type { Config } from './config.ts';
import {
  askedBefore,
  checkConnectionFiles,
  connectionWarnings,
  missingConnections,
  otherConnections,
  readConnections,
} from './connections.ts';
import { checkDatabaseFiles, readDatabase, unfollowedKeywords } from './database-source.ts';
import { createDigest } from './digest.ts';
import { readTaskPlace } from './executor.ts';
import { readLogs } from './logs.ts';
import { misplacedEndpoints } from './misplaced-endpoint.ts';
import { settingOrigins } from './origins.ts';
import { pushFaultsOf, sentenceOf, shown } from './push-fault.ts';
import { readFlags, readSettingsFile, readVariables } from './sources.ts';
import type { Source } from './sources.ts';
import { settingWarnings } from './warnings.ts';
import { workerWarnings } from './worker-warnings.ts';

export interface ConfigInput {
  /** The flags alone, without a command. */
  readonly argv: readonly string[];
  /** The flags of the command itself, which are no settings: a misspelt one is told by its right name. */
  readonly ownFlags?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws when the file cannot be read. */
  readonly readFile: (path: string) => string;
}

/**
 * The settings from flags, variables, the file, Airflow's own variables and Airflow's file, in this order of precedence.
 *
 * @throws {ConfigError} when one is wrong or unknown.
 */
export function readConfig(given: ConfigInput): Config {
  const { env } = given;
  const seen = createDigest(given);
  const input = { ...given, readFile: seen.readFile };
  const attempts = createAttempts(input.readFile);
  const { problems } = attempts;
  const own = readSources(input, attempts);
  const airflow = readAirflowFile(chooseTexts(own).get('airflow.config'), input);
  const ofAirflow = readAirflowSource(airflow, env);
  problems.push(...own.flatMap((source) => source.problems), ...airflow.problems);
  const chosen = chooseTexts([...own, ofAirflow]);
  const { texts, secretFiles } = readTexts(chosen, attempts);
  const { values: parsed, faults } = parseSettings(texts);
  const pathText = texts['xcom.path'];
  // Only the exporter's own setting may have several paths.
  const isListOfAirflow =
    chosen.get('xcom.path')?.origin === 'airflow' && (parsed['xcom.path']?.length ?? 0) > 1;
  const remarksOn = (name: SettingName) =>
    ofAirflow.remarks.flatMap(({ setting, warning }) => (setting === name ? [sentenceOf(warning)] : []));
  const unlinked: string[] = [];
  const quoted = quotedTexts(own);
  problems.push(
    ...quoted.map((from) => `${from}: has quotes around its value, which are part of it: give it without`),
  );
  for (const [name, fault] of faults) {
    if (quoted.includes(chosen.get(name)?.from ?? '')) continue;
    // Airflow takes addresses that are no complete URL; here the address only serves links.
    if (name === 'airflow.base-url' && chosen.get(name)?.origin === 'airflow') {
      unlinked.push(`${chosen.get(name)?.from ?? name}: ${fault}: the status page has no links to Airflow`);
      continue;
    }
    problems.push(`${chosen.get(name)?.from ?? name}: ${fault}`);
    // If a value of Airflow's is wrong, the remarks on how Airflow reads it tell why.
    if (chosen.get(name)?.origin === 'airflow') problems.push(...remarksOn(name));
  }

  const values = {
    ...parsed,
    ...(unlinked.length > 0 ? { 'airflow.base-url': null } : {}),
    ...(isListOfAirflow
      ? { 'xcom.path': attempts.attempt('xcom.path', () => [parseXComPath(pathText ?? '')]) }
      : {}),
  };
  const url = values['database.url'] ?? null;
  const database = readDatabase({ url, given: chosen.get('database.url'), env, airflow }, attempts);
  const world = {
    env,
    files: readAwsFiles(env, input.readFile),
    secretsBackends: secretsBackends({ file: airflow.file, env }),
  };
  const connections = readConnections(values['xcom.path'] ?? [], world, attempts);
  const view = values['airflow.connections'] ?? null;
  const keys = attempts.attempt(chosen.get('airflow.fernet-key')?.from ?? 'airflow.fernet-key', () =>
    // Airflow's key matters only if connections are asked for.
    view === null ? [] : parseFernetKeys(values['airflow.fernet-key'] ?? ''),
  );
  if (database !== null) checkDatabaseFiles(database, attempts);
  checkConnectionFiles(connections, attempts);
  if (!isComplete(values) || problems.length > 0) throw new ConfigError([...new Set(problems)]);

  /**
   * A remark on how Airflow reads a setting does not matter once the exporter has a text of its own for the setting.
   */
  const isHeard = ({ setting }: AirflowRemark) => {
    if (setting === 'airflow.fernet-key' && view === null) return false;
    // libpq's variables are no text of the setting, so the origin of the database counts here.
    const origin = setting === 'database.url' ? database?.origin : chosen.get(setting)?.origin;
    return (origin ?? 'airflow') === 'airflow';
  };
  const paths = values['xcom.path'];
  const inForce = pathInForce(paths ?? []);
  const logs = readLogs(airflow, env);
  const { threshold, oversize } = sizes(values);
  const { 'xcom.compression': compression, 'xcom.backend': backend } = values;
  const ofWorkers = workerWarnings(connections, { ...world, paths: paths ?? [] }).map(shown);
  const heard = ofAirflow.remarks.filter(isHeard).map(({ warning }) => shown(warning));
  const ofSettings = settingWarnings({
    env,
    paths,
    inForce,
    pathText,
    threshold,
    backend,
    compression,
  }).map(shown);
  const pushFaults = pushFaultsOf([...heard, ...ofSettings, ...ofWorkers], { backend, paths });
  const xcom = { paths, inForce, threshold, pushFaults, oversize, compression, backend };
  const fallback = storageInForce({ xcom })?.connection ?? '';
  return deepFreeze({
    database: database?.settings ?? null,
    databaseFaults: [
      ...airflow.warnings,
      ...remarksOn('database.url'),
      ...unreadOptions(airflow, ['database.url']),
    ].map(withoutPasswords),
    xcom,
    windowMs: values.window,
    sampleSchedule: values['sample.schedule'],
    probe: { schedule: values['probe.schedule'], write: values['probe.write'] },
    s3: {
      requestsPerCycle: values['s3.requests-per-cycle'],
      fallback,
      hasUnnamed: fallback === '' || (paths ?? []).some((one) => isS3Path(one) && one.connection === null),
      connections: new Map([
        ...[...otherConnections(connections, world)].map(([id, s3]) => [id, deepFreeze(s3)] as const),
        ...connections.flatMap(({ id, s3 }) => (s3 === null ? [] : [[id, deepFreeze(s3)] as const])),
      ]),
      missing: missingConnections(connections, view),
    },
    stored:
      view === null
        ? null
        : {
            view,
            keys: keys ?? [],
            toS3: (given) => s3Connection(given, world),
            warningsOf: ({ id, given }, s3) => {
              const stored = [{ id, variable: '', given, isSet: true, s3 }];
              const known = new Set(ofWorkers.map(sentenceOf));
              return [
                ...askedBefore({ id, place: "Airflow's database" }, world.secretsBackends),
                ...misplacedEndpoints(stored),
                ...workerWarnings(stored, { ...world, paths: paths ?? [] }),
              ]
                .map(shown)
                .filter((warning) => !known.has(sentenceOf(warning)));
            },
          },
    logs,
    tasksRun: readTaskPlace(airflow, env),
    maxDags: values['labels.max-dags'],
    web: { ...values['web.listen-address'], configFile: values['web.config.file'] },
    stateFile: values['state.file'],
    ha: values.ha,
    shard: values.shard,
    canaryDagId: values['canary.dag-id'],
    airflowBaseUrl: values['airflow.base-url'],
    log: { level: values['log.level'], format: values['log.format'] },
    digest: seen.digest(),
    secretFiles: new Map([...awsCredentialsFile(env, input.readFile), ...secretFiles, ...airflow.contents]),
    warnings: [
      ...connectionWarnings(connections, { from: { file: airflow.file, env }, view }),
      ...airflow.warnings,
      ...unlinked,
      ...(isListOfAirflow ? [LIST_OF_AIRFLOW] : []),
      ...emptyVariables(own, chosen),
      ...unreadOptions(airflow, SETTING_NAMES),
      ...heard.map(sentenceOf),
      ...(database?.warnings ?? []),
      ...unfollowedKeywords({ url, env }),
      ...misplacedEndpoints(connections),
      ...ofWorkers.map(sentenceOf),
      ...ofSettings.map(sentenceOf),
    ].map(withoutPasswords),
    origins: settingOrigins({
      chosen,
      texts,
      database,
      connections,
      view,
      logs,
      paths: paths ?? [],
      threshold,
      oversize,
    }),
  });
}

const LIST_OF_AIRFLOW =
  'xcom.path: Airflow takes several paths in its own option for one, commas and all. Give those of several pools in XCOM_EXPORTER_XCOM_PATH';

/** The exporter's own sources, in order of precedence. */
function readSources({ argv, ownFlags = [], env }: ConfigInput, { readText }: Attempts): readonly Source[] {
  const flags = readFlags(argv, ownFlags);
  const variables = readVariables(env);
  const file = flags.given.get('config.file') ?? variables.given.get('config.file');
  return [
    flags,
    variables,
    ...(file === undefined || file.text === ''
      ? []
      : [readSettingsFile(readText(file.text, file.from), file.text)]),
  ];
}

/** The own settings whose quotes nothing has removed: no value of theirs would be the one that was meant. */
function quotedTexts(own: readonly Source[]): readonly string[] {
  return own
    .flatMap(({ given }) => [...given.values()])
    .filter(({ text, input }) => input.holds === 'value' && isQuoted(text))
    .map(({ from }) => from);
}

/** The path under which Airflow is meant to write: see `Config`. */
function pathInForce(paths: readonly XComPath[]): XComPath | null {
  return paths.find(isS3Path) ?? paths[0] ?? null;
}

function isComplete(values: Partial<SettingValues>): values is SettingValues {
  return SETTING_NAMES.every((name) => name in values);
}

function sizes(values: SettingValues): { readonly threshold: number | null; readonly oversize: number } {
  const threshold = values['xcom.threshold'];
  const own = threshold !== null && threshold >= 0 ? threshold : 1_048_576;
  return { threshold, oversize: values['xcom.oversize'] ?? own };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.values(Object.freeze(value)).forEach(deepFreeze);
  }
  return value;
}
