import { isNoClass, isSlip, OBJECT_STORAGE_BACKEND, kindOfBackend } from '../airflow/backend-class.ts';
import { packageOf } from '../airflow/compression.ts';
import { optionVariable } from '../airflow/config-option.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { nearest } from '../lib/nearest.ts';
import { settingOf } from './catalogue.ts';
import type { SettingName } from './catalogue.ts';
import type { Warning } from './push-fault.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The settings that bear on where Airflow puts its XComs. */
export interface WarnedSettings {
  readonly env: Environment;
  /** Null, here as in the other fields: nobody told. */
  readonly paths: readonly XComPath[] | null;
  readonly inForce: XComPath | null;
  /** The paths as they were given. */
  readonly pathText: string | null;
  readonly threshold: number | null;
  readonly backend: string | null;
  readonly compression: string | null;
}

/**
 * Warns of settings that are odd but no error of ours. Airflow takes them without a word, and values do not go where
 * they were meant to go. No sentence repeats what a variable holds.
 */
export function settingWarnings(settings: WarnedSettings): readonly Warning[] {
  return [
    ...misspeltDatabase(settings.env),
    ...misspelt(settings.env),
    ...teamOptions(settings.env),
    ...pathWarnings(settings.inForce),
    ...bucketOfConnection(settings),
    ...whiteSpace(settings),
    ...unprobedPaths(settings.paths ?? []),
    ...backendClass(settings.backend),
    ...backendWithoutPath(settings),
    ...codecWarnings(settings.compression),
  ];
}

const OBJECT_STORAGE_SETTINGS: readonly SettingName[] = [
  'xcom.backend',
  'xcom.path',
  'xcom.threshold',
  'xcom.compression',
];

/** Airflow's own variables for the backend, and the option of each: the part behind the last two underscores. */
const VARIABLES = OBJECT_STORAGE_SETTINGS.flatMap((name) => settingOf(name).airflow ?? []).map(
  optionVariable,
);
const OPTIONS: ReadonlyMap<string, string> = new Map(
  VARIABLES.map((variable) => [optionOf(variable), variable]),
);

/** Names with another meaning: a team's own options, since Airflow 3.2, and names that are no option at all. */
const OTHERWISE_MEANT = /^AIRFLOW__[A-Z0-9_]+___(?:CORE|COMMON_IO)__|^AIRFLOW_(?:VAR|CONN)_|^XCOM_EXPORTER_/;
/** The names of the options in common-io 1.3.0 alone. */
const FORMER = /^AIRFLOW__COMMON_IO__XCOM_OBJECTSTORE_(PATH|THRESHOLD|COMPRESSION)$/;

/** An option of one team. The group behind the three underscores is its name without the team. */
const TEAM_OPTION = /^AIRFLOW__[A-Z0-9_]+?___((?:CORE|COMMON_IO)__XCOM_\w+)$/;

/** Airflow asks for its XCom options without a team. */
function teamOptions(env: Environment): string[] {
  return Object.keys(env).flatMap((name) => {
    const option = TEAM_OPTION.exec(name)?.[1];
    if (option === undefined || !VARIABLES.includes(`AIRFLOW__${option}`)) return [];
    return [
      `${name} is read by nobody: Airflow asks for what concerns XComs without a team. Give the workers of that team AIRFLOW__${option} of their own`,
    ];
  });
}

/** The most slips in a whole name, and in its option alone; for the option any section is accepted. */
const SLIPS = 4;
const SLIPS_IN_OPTION = 2;

/** The variable of the database, in a section that Airflow reads it from. */
const DATABASE = 'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN';
/** Variables that Airflow also reads, each close to the name above. */
const NEAR_DATABASE = /^AIRFLOW__(?:DATABASE|CORE)__SQL_ALCHEMY_(?:CONN(?:_CMD|_SECRET|_ASYNC.*)?|SCHEMA)$/;

/**
 * The sentence begins with the name of the setting, so that it is also told when that setting is reported as not set.
 */
function misspeltDatabase(env: Environment): string[] {
  return Object.keys(env).flatMap((name) => {
    if (!name.toUpperCase().startsWith('AIRFLOW') || NEAR_DATABASE.test(name) || OTHERWISE_MEANT.test(name))
      return [];
    const upper = name.toUpperCase();
    const isMeant =
      nearest(upper, [DATABASE], { within: SLIPS_IN_OPTION }) !== null ||
      nearest(optionOf(upper), [optionOf(DATABASE)], { within: SLIPS_IN_OPTION }) !== null;
    return isMeant
      ? [
          `database.url: ${name} is no variable of Airflow's, which ignores it without a word: did you mean ${DATABASE}?`,
        ]
      : [];
  });
}

function misspelt(env: Environment): string[] {
  return Object.keys(env).flatMap((name) => {
    const former = FORMER.exec(name)?.[1];
    if (former !== undefined) {
      const meant = `AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_${former}`;
      return meant in env
        ? []
        : [`${name} is read by common-io 1.3.0 alone and since then ignored without a word: give ${meant}`];
    }
    const meant = meantBy(name);
    if (meant === null) return [];
    return [`${name} is no variable of Airflow's, which ignores it without a word: did you mean ${meant}?`];
  });
}

/** Airflow's variable that a name was meant to be; null for a name that is right or something else. */
function meantBy(name: string): string | null {
  if (VARIABLES.includes(name) || OTHERWISE_MEANT.test(name)) return null;
  // No option of XComs comes from a command or a secrets backend.
  const upper = name.toUpperCase().replace(/_(?:CMD|SECRET)$/, '');
  // `export xcom_objectstorage_threshold=0` sets the name of an option, which is no variable of Airflow's.
  if (!upper.startsWith('AIRFLOW')) return OPTIONS.get(upper) ?? null;
  const option = nearest(optionOf(upper), OPTIONS.keys(), { within: SLIPS_IN_OPTION });
  const byOption = option === null ? null : (OPTIONS.get(option) ?? null);
  return nearest(upper, VARIABLES, { within: SLIPS }) ?? byOption;
}

function optionOf(variable: string): string {
  return variable.split('__').at(-1) ?? variable;
}

function pathWarnings(path: XComPath | null): Warning[] {
  if (path === null) return [];
  if (isS3Path(path)) return capitals(path);
  const what = `xcom.path: ${JSON.stringify(path.raw)}`;
  if (path.bucket === '') {
    const why = path.scheme === '' ? 'has no scheme' : `has the scheme ${path.scheme}`;
    return [
      `${what} ${why}: Airflow writes to a disk. No other host can read that unless the folder is shared (NFS, EFS, a ReadWriteMany volume). The exporter counts such rows as storage="other" and looks nothing up; write s3://[conn_id@]bucket[/prefix] for S3`,
    ];
  }
  return [
    `${what} is not in S3 (scheme ${path.scheme}): the exporter tells what stays in the database and counts references as storage="other"; whether an object is there, empty or without a row, and whether writes are denied, it cannot tell`,
  ];
}

/** Warns of a path such as `s3://aws_xcom/bucket/xcom`, as some guides have it. */
function bucketOfConnection({ inForce, env }: WarnedSettings): string[] {
  if (inForce === null || !isS3Path(inForce) || inForce.connection !== null) return [];
  const { bucket } = inForce;
  if (env[`AIRFLOW_CONN_${bucket.toUpperCase()}`] === undefined) return [];
  return [
    `xcom.path takes ${bucket} for the bucket, and a connection has that name: Airflow reads s3://${bucket}@bucket/prefix`,
  ];
}

/** A path that only other workers write to gets no test requests: its state shows in what their rows refer to. */
function unprobedPaths(paths: readonly XComPath[]): string[] {
  const [first, ...others] = paths.filter(isS3Path).map(({ bucket, prefix }) => `s3://${bucket}/${prefix}`);
  if (first === undefined || others.length === 0) return [];
  return [
    `xcom.path names more than one place in S3, and the probe tries ${first} alone: of ${others.join(' and ')} only what rows refer to is looked at, and whether workers may write there is not known`,
  ];
}

/**
 * Tested with 2.9.3, 2.11.2, 3.1.8, 3.3.2 and 3.4.0b2, which all do the same. A line break at the end changes nothing.
 */
function whiteSpace({ paths, pathText }: WarnedSettings): string[] {
  return [
    ...(paths?.length === 1 && /[\t\r\n]/.test(pathText?.trim() ?? '')
      ? [
          'xcom.path holds a line break or a tab, which Airflow leaves out: what stands behind it is joined to what stands before. An indented line of airflow.cfg goes on with the option above it',
        ]
      : []),
    ...(paths?.some(({ raw }) => /\s/.test(raw)) === true
      ? ['xcom.path holds white space, which Airflow takes as part of it: objects lie below a name with it']
      : []),
  ];
}

/** Tested: 2.11.2 and 3.1.8 raise, 3.3.2 reads the scheme in lower case; the path class changed in 3.2. */
function capitals({ raw, scheme }: XComPath): Warning[] {
  return raw.startsWith(`${scheme}:`)
    ? []
    : [
        {
          pushFault: `xcom.path has its scheme in capitals: before Airflow 3.2 every push of a value for object storage fails over it; write ${scheme}://`,
          unless: 'Airflow 3.2',
        },
      ];
}

function codecWarnings(compression: string | null): Warning[] {
  const needed = compression === null ? null : packageOf(compression);
  return needed === null
    ? []
    : [
        `xcom.compression: ${compression ?? ''} works only on workers that have the package ${needed}: on any other every push fails`,
      ];
}

/** Says what a class does that is not the object storage backend. */
function backendClass(backend: string | null): Warning[] {
  switch (backend === null ? null : kindOfBackend(backend)) {
    case 'database':
      return [
        `xcom.backend is Airflow's default, which keeps every value in the database, whatever [common.io] says: for object storage it is ${OBJECT_STORAGE_BACKEND}`,
      ];
    case 'former':
      return [
        {
          pushFault: `xcom.backend is a class of common-io 1.3.0 alone, which reads none of the options xcom_objectstorage_*; with any later one Airflow cannot import it: write ${OBJECT_STORAGE_BACKEND}`,
          unless: 'common-io 1.3.0',
        },
      ];
    case 'other':
      return [
        `xcom.backend is no class of Airflow's object storage: where it puts values, and whether they are there, the exporter cannot tell (Airflow's own is ${OBJECT_STORAGE_BACKEND})`,
        ...noClass(backend ?? ''),
      ];
    case 'object_storage':
    case null:
      return [];
  }
}

/** Beside Airflow's own classes its package may hold one of somebody else's, but none with nearly the same name. */
function noClass(backend: string): Warning[] {
  if (!isNoClass(backend)) return [];
  const sentence =
    'xcom.backend: Airflow has no class of this name, and a worker that cannot import it fails every task: look for a slip in it';
  return [isSlip(backend) ? { pushFault: sentence } : sentence];
}

function backendWithoutPath({ backend, paths, threshold }: WarnedSettings): string[] {
  if (backend === null || kindOfBackend(backend) !== 'object_storage') return [];
  if (paths === null || paths.length > 0) return [];
  const effect =
    threshold !== null && threshold < 0
      ? 'and the threshold is negative: every value stays in the database'
      : 'so Airflow writes values of at least the threshold to the disk of each worker, where no other host can read them';
  return [
    `xcom.backend is the object storage backend, but xcom.path is empty (AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH), ${effect}`,
  ];
}
