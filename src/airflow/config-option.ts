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

/** An option as one release looks for it. */
export interface AirflowOption extends OptionName {
  /** The name that it had before, which is looked for behind it at each step. */
  readonly former: OptionName | null;
  /** True for the few options that a command or a secrets backend may give. */
  readonly sensitive: boolean;
}

/** The place of a value: a variable of the environment, or an option of the file. */
export type OptionPlace =
  { readonly variable: string } | { readonly section: string; readonly key: string; readonly line: number };

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

/** The name of an option's variable. */
export function optionVariable({ section, key }: OptionName): string {
  return `AIRFLOW__${section.replaceAll('.', '_').toUpperCase()}__${key.toUpperCase()}`;
}

/**
 * Looks an option up as `conf.get` of Airflow does: the variable, then the file, then a command and a secret that the file
 * names. A variable that is set and empty is a value, and hides the file.
 */
export function lookUpOption(
  option: AirflowOption,
  { file, env }: { readonly file: ConfigFile | null; readonly env: Environment },
): OptionAnswer {
  const names = option.former === null ? [option] : [option, option.former];
  const hasBackend = hasSecretsBackend({ file, env });
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

/** True when Airflow asks a secrets backend of its own before it gives up. */
export function hasSecretsBackend(from: {
  readonly file: ConfigFile | null;
  readonly env: Environment;
}): boolean {
  return secretsBackend(from) !== null;
}

/** The class of the secrets backend, as it is written; null when none is configured. */
export function secretsBackend({
  file,
  env,
}: {
  readonly file: ConfigFile | null;
  readonly env: Environment;
}): string | null {
  const name = { section: 'secrets', key: 'backend' };
  const text = env[optionVariable(name)] ?? (file && entryOf(file, name.section, name.key)?.text);
  return text == null || text === '' ? null : text;
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

/** The whole number in a value: as every release reads it, or as releases from 3.2 on do; null: none does. */
export function wholeNumberOf(text: string): { readonly number: bigint; readonly since32: boolean } | null {
  const everywhere = pythonInt(text);
  if (everywhere !== null) return { number: everywhere, since32: false };
  const later = pythonWholeFloat(text);
  return later === null ? null : { number: later, since32: true };
}
