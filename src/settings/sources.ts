import { nearest } from '../lib/nearest.ts';
import { parseYaml } from '../lib/yaml.ts';
import { SETTING_INPUTS, SETTING_NAMES } from './catalogue.ts';
import type { SettingInput, SettingName } from './catalogue.ts';

/** `unknown`: nobody told it, and no default stands in. */
export type SourceKind = 'flag' | 'variable' | 'file' | 'airflow' | 'default' | 'unknown';

/** A text that was given for a setting, or the path of a file that holds it. */
export interface Given {
  readonly input: SettingInput;
  readonly text: string;
  readonly origin: SourceKind;
  /** The name for a message: the flag, the variable, the key in its file. */
  readonly from: string;
}

/** The content of one source: at most one text for each setting, and what is wrong with the rest. */
export interface Source {
  readonly given: ReadonlyMap<SettingName, Given>;
  readonly problems: readonly string[];
}

/** A text of another form is no name, and may be a secret that was given in the place of one. */
const NAME = /^[\w.-]{1,60}$/;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Flags: `--name value`, `--name=value`, and for a switch `--name` and `--no-name`; a dash may stand for a dot. A text
 * is not repeated unless it is known to be no secret. `own`: the flags of the command itself, to suggest the right name
 * for a misspelt flag.
 */
export function readFlags(argv: readonly string[], own: readonly string[] = []): Source {
  const found: Given[] = [];
  const problems: string[] = [];
  const byFlag = new Map(SETTING_INPUTS.map((input) => [dashed(input.flag), input]));
  let index = 0;

  function value(input: SettingInput): string | undefined {
    const next = argv[index];
    if (input.isSwitch) return next === 'true' || next === 'false' ? argv[index++] : 'true';
    return next === undefined || next.startsWith('--') ? undefined : argv[index++];
  }

  while (index < argv.length) {
    const position = index + 1;
    const [, flag, inline] = /^(--[^=]+)(?:=(.*))?$/s.exec(argv[index++] ?? '') ?? [];
    if (flag === undefined) {
      problems.push(
        `argument ${position} is not a flag: settings are given as --name value, a command comes first`,
      );
      continue;
    }
    const input = byFlag.get(dashed(flag));
    const negated = byFlag.get(dashed(flag).replace(/^--no-/, '--'));
    if (input !== undefined) {
      const text = inline ?? value(input);
      if (text === undefined) problems.push(`${input.flag}: needs a value`);
      else found.push({ input, text, origin: 'flag', from: input.flag });
    } else if (negated?.isSwitch === true && inline === undefined) {
      found.push({ input: negated, text: 'false', origin: 'flag', from: flag });
    } else {
      const known = [...own, ...SETTING_INPUTS.map((one) => one.flag)];
      problems.push(
        NAME.test(flag)
          ? unknown(`flag ${flag}`, flag, known)
          : `argument ${position} is no flag of the exporter`,
      );
      // The next argument is the value of the unknown flag, and no mistake of its own.
      if (inline === undefined && argv[index]?.startsWith('-') === false) index++;
    }
  }
  return onePerSetting(found, problems);
}

/**
 * Kubernetes puts these into every container beside a Service named `xcom-exporter` or `xcom-exporter-…`. They are not
 * ours, and no mistake. The address tells the last kind from a misspelt setting.
 * Source: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const serviceLink =
  /^XCOM_EXPORTER_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;
const linkedAddress = /^(?:tcp|udp|sctp):\/\//;

function isServiceLink(variable: string, text: string): boolean {
  return serviceLink.test(variable) || (variable.endsWith('_PORT') && linkedAddress.test(text));
}

export function readVariables(env: Environment): Source {
  const byVariable = new Map(SETTING_INPUTS.map((input) => [input.variable, input]));
  const found: Given[] = [];
  const problems: string[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined || !variable.startsWith('XCOM_EXPORTER_') || isServiceLink(variable, text))
      continue;
    const input = byVariable.get(variable);
    if (input === undefined) problems.push(unknown(`variable ${variable}`, variable, byVariable.keys()));
    else found.push({ input, text, origin: 'variable', from: variable });
  }
  return onePerSetting(found, problems);
}

/** The settings in a YAML file. No message quotes the file: the line may hold a password. */
export function readSettingsFile(content: string, path: string): Source {
  const { document, placeOf } = parseYaml(content);
  const faults = [...document.errors, ...document.warnings].map(({ code, pos }) => {
    const { line, col } = placeOf(pos[0]);
    const what = code.toLowerCase().replaceAll('_', ' ');
    return `${path}: line ${line}, column ${col}: ${what}; a text with * or @ at its start must be in quotes`;
  });
  if (faults.length > 0) return onePerSetting([], faults);
  let root: unknown;
  try {
    root = document.toJS();
  } catch {
    return onePerSetting(
      [],
      [`${path}: an alias has no anchor; a text with * at its start must be in quotes`],
    );
  }
  // An empty file sets nothing.
  if (root !== null && (typeof root !== 'object' || Array.isArray(root))) {
    return onePerSetting([], [`${path}: must be a mapping from names to values`]);
  }

  const byName = new Map(SETTING_INPUTS.map((input) => [input.name, input]));
  byName.delete('config.file');
  const found: Given[] = [];
  const problems: string[] = [];
  for (const [name, value] of leaves(root ?? {})) {
    const from = `${path}: ${name}`;
    const input = byName.get(name);
    const text = scalarText(value);
    // A section whose keys are all commented out.
    if (value === null && [...byName.keys()].some((known) => known.startsWith(`${name}.`))) continue;
    if (input === undefined)
      problems.push(
        // A key that is no name may be a secret that slipped to the left of a colon.
        NAME.test(name)
          ? `${path}: ${unknown(`setting ${name}`, name, byName.keys())}`
          : `${path}: a key is no name of a setting`,
      );
    else if (text === null)
      problems.push(`${from}: must be a text, a number, true or false, or a list of these`);
    // A key without a value leaves the setting to its default.
    else if (text !== undefined) found.push({ input, text, origin: 'file', from });
  }
  return onePerSetting(found, problems);
}

function leaves(node: object, prefix = ''): readonly (readonly [string, unknown])[] {
  return Object.entries(node).flatMap(([key, value]: [string, unknown]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? leaves(value, `${prefix}${key}.`)
      : [[`${prefix}${key}`, value] as const],
  );
}

/** Undefined for a value that is missing, null for one that cannot be a setting's. */
function scalarText(value: unknown): string | null | undefined {
  if (value === null) return undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (!Array.isArray(value)) return null;
  const parts = value.map(scalarText);
  return parts.every((part) => typeof part === 'string') ? parts.join(',') : null;
}

/**
 * Whether a text tells nothing, so that the next one is asked: an own variable that is empty, as of `${X:-}` in a
 * compose file, unless that means something of its own; and a database with an empty URL, from whichever source.
 */
export function isNothing({ input, text, origin }: Given): boolean {
  if (text !== '') return false;
  return input.setting === 'database.url' || (origin === 'variable' && input.setting !== 'canary.dag-id');
}

function onePerSetting(found: readonly Given[], problems: readonly string[]): Source {
  const grouped = SETTING_NAMES.map((name) => {
    const all = found.filter((given) => given.input.setting === name);
    const telling = all.filter((given) => !isNothing(given));
    return [name, telling.length > 0 ? telling : all.slice(0, 1)] as const;
  });
  return {
    given: new Map(grouped.flatMap(([name, [first]]) => (first === undefined ? [] : [[name, first]]))),
    problems: [
      ...problems,
      ...grouped
        .filter(([, all]) => all.length > 1)
        .map(
          ([name, all]) => `${name} is given more than once: ${all.map((given) => given.from).join(', ')}`,
        ),
    ],
  };
}

function unknown(what: string, name: string, known: Iterable<string>): string {
  const near = nearest(name, known);
  return `unknown ${what}${near === null ? '' : `: did you mean ${near}?`}`;
}

function dashed(flag: string): string {
  return flag.replaceAll('.', '-');
}
