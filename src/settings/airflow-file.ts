import type { ConfigFile } from '../airflow/config-file.ts';
import { parseConfigFile } from '../airflow/config-file.ts';
import { expandVariables } from '../airflow/config-value.ts';
import { denial } from '../lib/denial.ts';
import { secret } from '../lib/secret.ts';
import { unreadable } from './attempts.ts';
import type { SecretContents } from './secret-files.ts';
import type { Given } from './sources.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Airflow's configuration file, as far as there is one. */
export interface AirflowFile {
  /** '' when nothing names one. */
  readonly path: string;
  /** The name of its source for a message: the setting, or Airflow's variable. */
  readonly from: string;
  /** Null when there is none, or none that Airflow could read. */
  readonly file: ConfigFile | null;
  readonly warnings: readonly string[];
  readonly problems: readonly string[];
  /** The content by path, to notice when it changes. */
  readonly contents: SecretContents;
}

const FAULTS = {
  UnicodeDecodeError: 'it holds bytes that are not UTF-8',
  MissingSectionHeaderError: 'it does not begin with a [section], or it has a byte order mark',
  ParsingError: 'it is no option, which is written name = value',
  DuplicateSectionError: 'the section was there before',
  DuplicateOptionError: 'the option was there before in its section',
};

/** Reads the file that `airflow.config` names, else the one that Airflow itself would read in this environment. */
export function readAirflowFile(
  setting: Given | undefined,
  { env, readFile }: { readonly env: Environment; readonly readFile: (path: string) => string },
): AirflowFile {
  const { path, from } =
    setting === undefined ? ofEnvironment(env) : { path: setting.text, from: setting.from };
  const none = { path, from, file: null, warnings: [], problems: [], contents: new Map<string, null>() };
  if (path === '') return none;
  let content: string;
  try {
    content = readFile(path);
  } catch (cause) {
    const contents = new Map([[path, null]]);
    // Airflow creates the file in its home, and works without it until then.
    if (from === 'AIRFLOW_HOME' && isMissing(cause)) return { ...none, contents };
    // The home of this process may not be Airflow's, and the process may have no access to it.
    if (from === DEFAULT_HOME) return { ...none, path: '', contents };
    const message = `${from}: ${unreadable(path, cause)}`;
    if (setting !== undefined) return { ...none, problems: [message] };
    // A file that may not be read is there: the message says who has to be let in.
    const remedy = denial(path, cause) === null ? ': mount the file, or name it with airflow.config' : '';
    return {
      ...none,
      contents,
      warnings: [`${message}; what Airflow reads there is not known${remedy}`],
    };
  }
  const contents = new Map([[path, secret(content)]]);
  const file = undecoded(content) ?? parseConfigFile(content);
  if (!('fault' in file)) return { ...none, contents, file };
  const message = `${path}: line ${file.line}: ${FAULTS[file.fault]}: Airflow refuses the whole file`;
  return setting === undefined
    ? { ...none, contents, warnings: [`${message}, and the exporter takes nothing from it`] }
    : { ...none, contents, problems: [message] };
}

/**
 * Finds, in a text that was read, the character that stands for bytes that are not UTF-8. Python decodes a file before
 * it parses it.
 */
function undecoded(content: string): { readonly fault: 'UnicodeDecodeError'; readonly line: number } | null {
  const at = content.indexOf('\uFFFD');
  if (at < 0) return null;
  return { fault: 'UnicodeDecodeError', line: content.slice(0, at).split(/\r\n|\r|\n/).length };
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR');
}

/** Stands for a file that no variable names. */
const DEFAULT_HOME = 'no AIRFLOW_HOME';

function ofEnvironment(env: Environment): { readonly path: string; readonly from: string } {
  const { AIRFLOW_CONFIG: config, AIRFLOW_HOME: home, HOME: user = '' } = env;
  if (config !== undefined) return { path: expandVariables(config, env) ?? '', from: 'AIRFLOW_CONFIG' };
  if (home === undefined && user === '') return { path: '', from: DEFAULT_HOME };
  const folder = expandVariables(home ?? '~/airflow', env) ?? '';
  const path = folder === '' ? '' : `${folder.replace(/\/+$/, '')}/airflow.cfg`;
  return { path, from: home === undefined ? DEFAULT_HOME : 'AIRFLOW_HOME' };
}
