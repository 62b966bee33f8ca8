import type { XComPath } from '../airflow/xcom-path.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';
import { describeDatabase } from '../postgres/database-url.ts';
import { proxyHost } from '../s3/agents.ts';
import type { SettingName } from './catalogue.ts';
import { lineFor, namesOf, SETTING_NAMES, settingOf } from './catalogue.ts';
import type { Chosen } from './chosen-texts.ts';
import type { NamedConnection } from './connections.ts';
import type { DatabaseSource } from './database-source.ts';
import { sharesConnection } from './logs.ts';
import type { LogsInS3 } from './logs.ts';
import type { SourceKind } from './sources.ts';
import { unusedExtras } from './worker-warnings.ts';

/** The value of a setting and its source, to be shown: it holds no secret. */
export interface SettingOrigin {
  readonly name: string;
  /** '' for a line that follows from Airflow's connections or logs, which are no settings of the exporter. */
  readonly flag: string;
  readonly variable: string;
  /** The value; '' when there is none. */
  readonly shown: string;
  /** `canary`: nobody told it, and the pools of workers agree on it. */
  readonly origin: SourceKind | 'canary';
  /**
   * The flag, the variable or the key that was read; '' for a plain default; for an unknown setting, how to tell it.
   */
  readonly from: string;
}

export interface ReadSettings {
  readonly chosen: Chosen;
  readonly texts: Readonly<Record<SettingName, string | null>>;
  readonly database: DatabaseSource | null;
  readonly connections: readonly NamedConnection[];
  /** The view with the connections that no variable holds. */
  readonly view: string | null;
  readonly logs: LogsInS3 | null;
  readonly paths: readonly XComPath[];
  readonly threshold: number | null;
  readonly oversize: number;
}

export function settingOrigins(read: ReadSettings): readonly SettingOrigin[] {
  return [
    ...SETTING_NAMES.map((name) => settingOrigin(name, read)),
    // A connection that no path uses is not worth a line, unless it is all there is.
    ...read.connections
      .filter(({ id }) => id !== '' || !isAllNamed(read.paths))
      .map((one) => connectionOrigin(one, read.view)),
    ...(read.logs === null ? [] : [logsOrigin(read.logs, read.paths)]),
  ];
}

function settingOrigin(
  name: SettingName,
  { chosen, texts, database, threshold, oversize }: ReadSettings,
): SettingOrigin {
  const text = texts[name];
  if (text === null)
    return { ...namesOf(name), shown: '', origin: 'unknown', from: `give ${lineFor(name)} or ${name}` };
  const { origin = 'default', from = '' } = chosen.get(name) ?? {};
  const masked = name === 'database.url' || text === '' ? '' : '***';
  const shown = settingOf(name).secret === true ? masked : withoutPasswords(text);
  const plain = { ...namesOf(name), shown, origin, from };
  if (name === 'xcom.oversize' && text === '') {
    const isThreshold = threshold !== null && threshold >= 0;
    return { ...plain, shown: String(oversize), from: isThreshold ? 'xcom.threshold' : '' };
  }
  if (name !== 'database.url' || database === null || database.settings === null) return plain;
  return {
    ...plain,
    shown: describeDatabase(database.settings),
    origin: database.origin,
    from: database.from,
  };
}

/** Everything about a connection to S3 except its keys. */
function connectionOrigin(
  { id, variable: holder, s3, given, isSet }: NamedConnection,
  view: string | null,
): SettingOrigin {
  const variable = id === '' ? '' : holder;
  if (id !== '' && !isSet && view !== null)
    return {
      name: `s3 (${id})`,
      flag: '',
      variable,
      shown: "kept in Airflow's database, looked up when it is read",
      origin: 'airflow',
      from: `view ${view}`,
    };
  const unused = unusedExtras(given);
  const proxy = s3 === null ? null : proxyHost(s3.endpoint, s3.proxies);
  const parts = [
    s3?.secretAccessKey == null ? 'default credential chain of AWS' : 'access key',
    ...(s3?.secretAccessKey == null && s3?.profile != null ? [`profile ${s3.profile}`] : []),
    ...(s3?.role == null ? [] : [`role ${s3.role.arn}`]),
    ...(s3?.region == null ? [] : [`region ${s3.region}`]),
    ...(s3?.endpoint == null ? [] : [`endpoint ${withoutPasswords(s3.endpoint)}`]),
    ...(proxy === null ? [] : [`through the proxy ${proxy}`]),
    ...(unused.length > 0 ? [`not followed: ${unused.join(', ')}`] : []),
  ];
  const isMissing = id !== '' && !isSet;
  return {
    name: id === '' ? 's3' : `s3 (${id})`,
    flag: '',
    variable,
    shown: parts.join(', '),
    origin: isSet ? 'airflow' : 'default',
    from: isMissing ? `${variable} is not set` : variable,
  };
}

/** Shown beside the connection of the XComs, which is often mistaken for that of the logs. */
function logsOrigin(logs: LogsInS3, paths: readonly XComPath[]): SettingOrigin {
  const { folder, connection, from } = logs;
  const by = connectionWords(connection);
  const isShared = paths.some((path) => sharesConnection(logs, path));
  const use = isShared ? ', as the XComs' : paths.length === 0 ? '' : '; no XCom uses it';
  return {
    name: 'logs',
    flag: '',
    variable: '',
    shown: `${withoutPasswords(folder)}, ${by}${use}`,
    origin: 'airflow',
    from,
  };
}

function connectionWords(connection: LogsInS3['connection']): string {
  if (connection === null) return 'with a connection that is no id';
  return connection === '' ? 'without a connection' : `with the connection ${connection}`;
}

function isAllNamed(paths: readonly XComPath[]): boolean {
  return paths.some(isS3Path) && paths.filter(isS3Path).every((path) => path.connection !== null);
}
