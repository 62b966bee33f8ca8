import type { GivenConnection } from '../airflow/worker-s3.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import type { Secret } from '../lib/secret.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';
import type { DatabaseSettings } from '../postgres/database-url.ts';
import type { S3Connection } from '../s3/connection.ts';
import type { SettingValues, ToldSetting } from './catalogue.ts';
import { namesOf } from './catalogue.ts';
import type { TaskPlace } from './executor.ts';
import type { LogsInS3 } from './logs.ts';
import type { FailingPushes, Warning } from './push-fault.ts';
import type { SettingOrigin } from './origins.ts';
import type { SecretContents } from './secret-files.ts';

export interface Config {
  /** Null when nothing names a database: see `requireDatabase`. */
  readonly database: DatabaseSettings | null;
  /** Why Airflow's own settings name no usable database: its file cannot be read, or this option in the file cannot. */
  readonly databaseFaults: readonly string[];
  readonly xcom: {
    /** Every path that is configured; none when Airflow has none; null when nobody told. */
    readonly paths: readonly XComPath[] | null;
    /**
     * The path that is probed and whose objects are listed: the first in S3, else the first; null when there is none.
     * References below any of the paths are as configured.
     */
    readonly inForce: XComPath | null;
    /** Bytes; negative: Airflow puts nothing into S3; null when nobody told. */
    readonly threshold: number | null;
    /** Why pushes of workers with these settings fail; none: nothing says that. */
    readonly pushFaults: readonly FailingPushes[];
    /** Bytes. */
    readonly oversize: number;
    /** '' for none; null when nobody told. */
    readonly compression: string | null;
    /** '' for Airflow's own; null when nobody told. */
    readonly backend: string | null;
  };
  readonly windowMs: number;
  readonly sampleSchedule: string;
  readonly probe: { readonly schedule: string; readonly write: boolean };
  readonly s3: {
    readonly requestsPerCycle: number;
    /**
     * By connection id; '' is always there, for a path without an id. An id that no path names is in upper case, as in
     * Airflow's variables.
     */
    readonly connections: ReadonlyMap<string, S3Connection>;
    /**
     * Ids that a path names and nothing holds, each with its reason. The credentials of the process are used instead.
     */
    readonly missing: ReadonlyMap<string, string>;
    /**
     * The connection id of the path in force. It serves if a row names a connection that this process does not know.
     */
    readonly fallback: string;
    /** Whether a row without a connection id has a connection of its own: no path is in force in S3, or one names no id. */
    readonly hasUnnamed: boolean;
  };
  /** Connections that are kept in Airflow's database; null: the database is not asked for any. */
  readonly stored: {
    readonly view: string;
    readonly keys: readonly Secret[];
    /** The way to S3 with one of them in this environment. Throws RangeError. */
    readonly toS3: (connection: GivenConnection) => S3Connection;
    /**
     * Sentences on how a worker's way with one of them differs. Those already said of the variables' connections are
     * left out.
     */
    readonly warningsOf: (connection: GivenConnection, s3: S3Connection) => readonly Warning[];
  } | null;
  /** The place of Airflow's own logs, for the remedies; null: not in S3, or nobody told. */
  readonly logs: LogsInS3 | null;
  /** Null: nobody told which executor Airflow has. */
  readonly tasksRun: TaskPlace | null;
  readonly maxDags: number;
  /** Host '' is every interface; port 0 is any free one. */
  readonly web: { readonly host: string; readonly port: number; readonly configFile: string | null };
  readonly stateFile: string | null;
  readonly ha: SettingValues['ha'];
  readonly shard: SettingValues['shard'];
  /** Rows of this DAG are reports, and count in no figure of the team's XComs; '' is no DAG. */
  readonly canaryDagId: string;
  /** Without a slash at its end. */
  readonly airflowBaseUrl: string | null;
  readonly log: { readonly level: SettingValues['log.level']; readonly format: SettingValues['log.format'] };
  readonly origins: readonly SettingOrigin[];
  /** The files that secrets come from. */
  readonly secretFiles: SecretContents;
  /** The same whenever everything that the settings were read from is the same. It reveals nothing of that. */
  readonly digest: string;
  /** One sentence for each odd thing about the settings that is no error; none holds a secret. */
  readonly warnings: readonly string[];
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

/** Whether somebody told each of Airflow's settings. */
export type ToldSettings = Readonly<Record<ToldSetting, boolean>>;

export function toldSettings({ xcom }: Pick<Config, 'xcom'>): ToldSettings {
  const { backend, paths, threshold, compression } = xcom;
  return {
    'xcom.backend': backend !== null,
    'xcom.path': paths !== null,
    'xcom.threshold': threshold !== null,
    'xcom.compression': compression !== null,
  };
}

/** The path in force when it is in S3; null when there is nothing that the exporter could ask. */
export function storageInForce({ xcom: { inForce } }: Pick<Config, 'xcom'>): XComPath | null {
  return inForce !== null && isS3Path(inForce) ? inForce : null;
}

/** @throws {ConfigError} when nothing names the metadata database. */
export function requireDatabase(config: Config): DatabaseSettings {
  if (config.database !== null) return config.database;
  const { flag, variable } = namesOf('database.url');
  const reasons = [
    `database.url: not set: give ${flag}, ${variable} or ${variable}_FILE, or Airflow's AIRFLOW__DATABASE__SQL_ALCHEMY_CONN; where nobody reaches the database, as with MWAA or Astro, check --probe-only tries the bucket without it`,
    ...config.databaseFaults,
    ...config.warnings.filter((warning) => warning.startsWith('database.url: ')),
  ];
  throw new ConfigError([...new Set(reasons)]);
}
