import { z } from 'zod';
import { optionVariable } from '../airflow/config-option.ts';
import type { AirflowOption } from '../airflow/config-option.ts';
import { parseXComPaths } from '../airflow/xcom-path.ts';
import { parseDuration } from '../lib/duration.ts';
import { parseDatabaseUrl } from '../postgres/database-url.ts';
import {
  optional,
  parseBaseUrl,
  parseListenAddress,
  parseSchedule,
  parseView,
  parseWholeNumber,
  parsed,
  wholeNumber,
  integer,
} from './schemas.ts';
import { parseShard } from './shard.ts';

interface Setting {
  /** Turns the text that was given into the value. */
  readonly schema: z.ZodType<unknown, string>;
  /** The text as a user would give it; '' is none. Null: no default, so a setting that nobody told is not known. */
  readonly default: string | null;
  /** A text to write for its value while the value is not known. */
  readonly placeholder?: string;
  /** A description of the default, when its text does not say it all. */
  readonly defaultNote?: string;
  readonly description: string;
  /** Airflow's option with the same meaning. */
  readonly airflow?: AirflowOption;
  /** Never shown; may also be given as the path of a file, under the name with `-file` at its end. */
  readonly secret?: true;
  /** A flag that may stand without a value. */
  readonly switch?: true;
}

/** Every setting, once: flag, variable and key in the file follow from the name. */
const SETTINGS = {
  'config.file': {
    schema: optional(String),
    default: '',
    description: 'YAML file with settings, nested or with dotted keys',
  },
  'database.url': {
    schema: optional(parseDatabaseUrl),
    default: '',
    defaultNote: "Airflow's, else libpq's `PG*`",
    description: "Airflow's metadata database: a SQLAlchemy or libpq URL of Postgres",
    airflow: {
      section: 'database',
      key: 'sql_alchemy_conn',
      former: { section: 'core', key: 'sql_alchemy_conn' },
      sensitive: true,
    },
    secret: true,
  },
  'xcom.path': {
    schema: parsed(parseXComPaths),
    default: null,
    placeholder: 's3://[conn_id@]bucket[/prefix]',
    description:
      'where Airflow puts large values: `s3://[conn_id@]bucket[/prefix]`; several are separated by commas, and the first one in S3 is probed',
    airflow: plainOption('common.io', 'xcom_objectstorage_path'),
  },
  'xcom.threshold': {
    schema: integer(),
    default: null,
    placeholder: '<bytes, or -1 if no worker has it>',
    description: 'the size in bytes from which Airflow puts a value into S3; 0: always; negative: never',
    airflow: plainOption('common.io', 'xcom_objectstorage_threshold'),
  },
  'xcom.oversize': {
    schema: optional(parseWholeNumber),
    default: '',
    defaultNote: '`xcom.threshold` if known and >= 0, else `1048576`',
    description: 'the size in bytes from which a value in the database counts as oversize',
  },
  'xcom.compression': {
    schema: z.string(),
    default: null,
    placeholder: '<codec, or nothing for none>',
    description: 'the compression of Airflow’s objects, for diagnosis',
    airflow: plainOption('common.io', 'xcom_objectstorage_compression'),
  },
  'xcom.backend': {
    schema: z.string(),
    default: null,
    placeholder: '<class>',
    description: "Airflow's XCom backend class, for diagnosis",
    airflow: plainOption('core', 'xcom_backend'),
  },
  window: {
    schema: parsed(parseDuration),
    default: '24h',
    description: 'the time that the `window_*` gauges cover',
  },
  'sample.schedule': {
    schema: parsed(parseSchedule),
    default: '*/30 * * * * *',
    description: 'when the database is sampled: cron with seconds',
  },
  'probe.schedule': {
    schema: parsed(parseSchedule),
    default: '0 * * * * *',
    description: 'when S3 and the database are probed: cron with seconds',
  },
  'probe.write': {
    schema: z
      .enum(['true', 'false'], { error: 'must be true or false' })
      .transform((text) => text === 'true'),
    default: 'true',
    description:
      '`true`: the probe writes, reads and deletes an object; `false`: it only sends HEAD and LIST',
    switch: true,
  },
  's3.requests-per-cycle': {
    // Each request may be tried twice.
    schema: wholeNumber(2),
    default: '500',
    description: 'the most requests to S3 in one cycle, at least 2',
  },
  'labels.max-dags': {
    schema: wholeNumber(0),
    default: '100',
    description: 'the most dags with series of their own; all others are `dag_id="_other"`',
  },
  'web.listen-address': {
    schema: parsed(parseListenAddress),
    default: ':10048',
    description: 'the address of the metrics and the status page',
  },
  'web.config.file': {
    schema: optional(String),
    default: '',
    description: "TLS and basic auth, in the format of Prometheus' exporter-toolkit",
  },
  'state.file': {
    schema: optional(String),
    default: '',
    description: 'the file that remembers across restarts which rows were counted',
  },
  ha: {
    schema: z.enum(['off', 'lock'], { error: 'must be off or lock' }),
    default: 'off',
    description: '`lock`: one exporter samples and another stands by, through an advisory lock in Postgres',
  },
  shard: {
    schema: parsed(parseShard),
    default: '0/1',
    description:
      '`i/n` for exporter i of n that share the dags, numbered from 0; of a StatefulSet also `$(POD_NAME)/n`',
  },
  'airflow.base-url': {
    schema: optional(parseBaseUrl),
    default: '',
    description: "Airflow's web address, for links on the status page",
    airflow: { ...plainOption('api', 'base_url'), former: { section: 'webserver', key: 'base_url' } },
  },
  'airflow.config': {
    schema: optional(String),
    default: '',
    defaultNote: '`AIRFLOW_CONFIG`, else `$AIRFLOW_HOME/airflow.cfg`, else `~/airflow/airflow.cfg`',
    description: "Airflow's own configuration file; its variables come before it",
  },
  'airflow.connections': {
    schema: optional(parseView),
    default: '',
    description:
      "a view with connections that are kept in Airflow's database, for those that no variable holds: `docs/sql/connections-view.sql` makes it",
  },
  'airflow.fernet-key': {
    schema: optional(String),
    default: '',
    description: 'what such connections are encrypted with; several separated by commas',
    airflow: { section: 'core', key: 'fernet_key', former: null, sensitive: true },
    secret: true,
  },
  'canary.dag-id': {
    schema: z.string(),
    default: 'airflow_xcom_canary',
    description: 'the DAG that `canary` prints; its rows count in no figure; empty: there is no canary',
  },
  'log.level': {
    schema: z.enum(['debug', 'info', 'warn', 'error'], { error: 'must be debug, info, warn or error' }),
    default: 'info',
    description: '`debug`, `info`, `warn` or `error`',
  },
  'log.format': {
    schema: z.enum(['json', 'pretty'], { error: 'must be json or pretty' }),
    default: 'json',
    description: '`json` or `pretty`',
  },
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof SETTINGS;
export type SettingValues = {
  readonly [N in SettingName]:
    | z.output<(typeof SETTINGS)[N]['schema']>
    | ((typeof SETTINGS)[N]['default'] extends null ? null : never);
};

/** Airflow's settings that are not known as long as nobody tells them. */
export type ToldSetting = {
  [N in SettingName]: (typeof SETTINGS)[N]['default'] extends null ? N : never;
}[SettingName];

export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];

/** One name under which a setting can be given, as a value or, for a secret, as the path of a file that holds it. */
export interface SettingInput {
  readonly setting: SettingName;
  readonly name: string;
  readonly flag: string;
  readonly variable: string;
  readonly holds: 'value' | 'path';
  readonly isSwitch: boolean;
}

export const SETTING_INPUTS: readonly SettingInput[] = SETTING_NAMES.flatMap((setting) => {
  const { secret, switch: isSwitch }: Setting = SETTINGS[setting];
  const value = { setting, ...namesOf(setting), holds: 'value', isSwitch: isSwitch === true } as const;
  return secret === true
    ? [value, { setting, ...namesOf(`${setting}-file`), holds: 'path', isSwitch: false } as const]
    : [value];
});

export function settingOf(name: SettingName): Setting {
  return SETTINGS[name];
}

/** The line that tells a setting, to be copied: `AIRFLOW__…=<bytes>`. */
export function lineFor(name: SettingName): string {
  const { airflow, placeholder = '' } = settingOf(name);
  const variable = airflow === undefined ? namesOf(name).variable : optionVariable(airflow);
  return `${variable}=${placeholder}`;
}

/** The flag and the variable of a setting. */
export function namesOf(name: string): {
  readonly name: string;
  readonly flag: string;
  readonly variable: string;
} {
  return {
    name,
    flag: `--${name}`,
    variable: `XCOM_EXPORTER_${name.toUpperCase().replaceAll(/[.-]/g, '_')}`,
  };
}

/** The values, and what is wrong with each text that has no value. */
export function parseSettings(texts: Readonly<Record<SettingName, string | null>>): {
  readonly values: Partial<SettingValues>;
  readonly faults: ReadonlyMap<SettingName, string>;
} {
  const values: Partial<Record<SettingName, unknown>> = {};
  const faults = new Map<SettingName, string>();
  for (const name of SETTING_NAMES) {
    const text = texts[name];
    if (text === null) {
      values[name] = null;
      continue;
    }
    const result = settingOf(name).schema.safeParse(text);
    if (result.success) values[name] = result.data;
    else faults.set(name, result.error.issues.map((issue) => issue.message).join('; '));
  }
  return { values: values as Partial<SettingValues>, faults };
}

/** The table of settings, for the help, docs/settings.md and the test that compares them. */
export function settingsTable(): readonly {
  readonly name: string;
  readonly flag: string;
  readonly variable: string;
  readonly default: string;
  readonly description: string;
}[] {
  return SETTING_NAMES.map((name) => {
    const setting = settingOf(name);
    const own =
      setting.default === null ? 'not known' : setting.default === '' ? 'none' : `\`${setting.default}\``;
    const airflow = setting.default === '' ? "Airflow's" : `Airflow's, else ${own}`;
    return {
      ...namesOf(name),
      default: setting.defaultNote ?? (setting.airflow === undefined ? own : airflow),
      description: setting.description,
    };
  });
}

function plainOption(section: string, key: string): AirflowOption {
  return { section, key, former: null, sensitive: false };
}
