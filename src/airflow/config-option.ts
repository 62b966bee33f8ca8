import type { ConfigFile } from './config-file.ts';
import { entryOf } from './config-file.ts';
import type { InterpolationFault } from './config-value.ts';
import { expandVariables, interpolate } from './config-value.ts';
import { pythonInt, pythonWholeFloat } from './python-values.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface OptionName {
  readonly section: string;
  readonly key: string;
}

/** An option under the names that one release looks up. */
export interface AirflowOption extends OptionName {
  /** The former name of the option. Airflow looks up the former name after the present one, at each step. */
  readonly former: OptionName | null;
  /** True for the few options whose value a command or a secrets backend may give. */
  readonly sensitive: boolean;
}

/** The place of a value: an environment variable, or an option of the file. */
export type OptionPlace =
  | { readonly variable: string }
  | { readonly section: string; readonly key: string; readonly line: number };

/** The answer of Airflow's configuration, or the reason why only Airflow itself can know it. */
export type OptionAnswer =
  | { readonly kind: 'absent' }
  | { readonly kind: 'value'; readonly text: string; readonly at: OptionPlace }
  | {
      readonly kind: 'fault';
      readonly fault: InterpolationFault | 'EndlessExpansion';
      readonly at: OptionPlace;
    }
  | { readonly kind: 'command' | 'secret'; readonly at: OptionPlace };

/** The sources of Airflow's configuration. */
export interface ConfigurationTexts {
  readonly file: ConfigFile | null;
  readonly env: Environment;
}

/** The name of the environment variable for an option. */
export function optionVariable({ section, key }: OptionName): string {
  return `AIRFLOW__${section.replaceAll('.', '_').toUpperCase()}__${key.toUpperCase()}`;
}

/**
 * Looks up an option as Airflow's `conf.get` does: the variable, then the file, then a command and a secret that the
 * file names. A variable that is set but empty counts as a value and hides the file.
 */
export function lookUpOption(option: AirflowOption, { file, env }: ConfigurationTexts): OptionAnswer {
  const names = option.former === null ? [option] : [option, option.former];
  const hasBackend = textOf({ section: 'secrets', key: 'backend' }, { file, env }) !== '';
  const steps = [
    ...names.map((name) => () => fromEnvironment(name, { env, hasBackend, sensitive: option.sensitive })),
    ...names.map((name) => () => (file === null ? null : fromFile(name, { file, env }))),
    ...names.map((name) => () => (option.sensitive ? fromElsewhere(name, 'command', file) : null)),
    ...names.map(
      (name) => () => (option.sensitive && hasBackend ? fromElsewhere(name, 'secret', file) : null),
    ),
  ];
  for (const step of steps) {
    const answer = step();
    if (answer !== null) return answer;
  }
  return { kind: 'absent' };
}

/** The text of an option, with no reference resolved; '' when the option is not set. */
export function textOf(name: OptionName, { file, env }: ConfigurationTexts): string {
  const ofFile = file === null ? null : entryOf(file, name.section, name.key);
  return env[optionVariable(name)] ?? ofFile?.text ?? '';
}

function fromEnvironment(
  name: OptionName,
  { env, hasBackend, sensitive }: { env: Environment; hasBackend: boolean; sensitive: boolean },
): OptionAnswer | null {
  const variable = optionVariable(name);
  const text = env[variable];
  if (text !== undefined) return expanded(text, env, { variable });
  if (!sensitive) return null;
  if (env[`${variable}_CMD`] !== undefined) return { kind: 'command', at: { variable: `${variable}_CMD` } };
  if (env[`${variable}_SECRET`] !== undefined && hasBackend)
    return { kind: 'secret', at: { variable: `${variable}_SECRET` } };
  return null;
}

function fromFile(
  { section, key }: OptionName,
  { file, env }: { file: ConfigFile; env: Environment },
): OptionAnswer | null {
  const entry = entryOf(file, section, key);
  if (entry === null) return null;
  const at = { section, key, line: entry.line };
  const inner = interpolate(entry.text, section, { file, depth: 1 });
  return 'fault' in inner ? { kind: 'fault', fault: inner.fault, at } : expanded(inner.value, env, at);
}

function fromElsewhere(
  { section, key }: OptionName,
  kind: 'command' | 'secret',
  file: ConfigFile | null,
): OptionAnswer | null {
  const named = `${key}_${kind === 'command' ? 'cmd' : 'secret'}`;
  const entry = file === null ? null : entryOf(file, section, named);
  return entry === null ? null : { kind, at: { section, key: named, line: entry.line } };
}

function expanded(text: string, env: Environment, at: OptionPlace): OptionAnswer {
  const value = expandVariables(text, env);
  return value === null
    ? { kind: 'fault', fault: 'EndlessExpansion', at }
    : { kind: 'value', text: value, at };
}

/** The whole number in a value: as every release reads it, or only releases from 3.2 on. Null: no release reads one. */
export function wholeNumberOf(text: string): { readonly number: bigint; readonly since32: boolean } | null {
  const everywhere = pythonInt(text);
  if (everywhere !== null) return { number: everywhere, since32: false };
  const later = pythonWholeFloat(text);
  return later === null ? null : { number: later, since32: true };
}
