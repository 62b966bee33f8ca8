import type { ConfigFile } from './config-file.ts';
import { entryOf } from './config-file.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The errors that Python raises only when this one option is read. */
export type InterpolationFault =
  | 'InterpolationSyntaxError'
  | 'InterpolationMissingOptionError'
  | 'InterpolationDepthError';

export type Interpolated = { readonly value: string } | { readonly fault: InterpolationFault };

const MOST_DEEP = 10;

/** The text of an option with `%%` and `%(other)s` resolved, as Python's `BasicInterpolation` does it. */
export function interpolate(
  text: string,
  section: string,
  { file, depth }: { readonly file: ConfigFile; readonly depth: number },
): Interpolated {
  if (depth > MOST_DEEP) return { fault: 'InterpolationDepthError' };
  let value = '';
  let rest = text;
  while (rest !== '') {
    const at = rest.indexOf('%');
    if (at < 0) return { value: value + rest };
    value += rest.slice(0, at);
    rest = rest.slice(at);
    const name = /^%\(([^)]+)\)s/.exec(rest);
    if (rest.startsWith('%%')) {
      value += '%';
      rest = rest.slice(2);
    } else if (name === null) {
      return { fault: 'InterpolationSyntaxError' };
    } else {
      const other = entryOf(file, section, name[1] ?? '');
      if (other === null) return { fault: 'InterpolationMissingOptionError' };
      const inner = other.text.includes('%')
        ? interpolate(other.text, section, { file, depth: depth + 1 })
        : { value: other.text };
      if ('fault' in inner) return inner;
      value += inner.value;
      rest = rest.slice(name[0].length);
    }
  }
  return { value };
}

/** Limits for values that name each other: such values grow for ever, and Airflow hangs on them. */
const MOST_ROUNDS = 100;
const MOST_LENGTH = 100_000;

/**
 * Replaces `$NAME`, `${NAME}` and a leading `~` until nothing changes; null when the replacing never ends. A name that
 * is not set stays as it is. The home of another user stays too, because only the worker's machine knows it.
 */
export function expandVariables(text: string, env: Environment): string | null {
  let before = text;
  for (let round = 0; round < MOST_ROUNDS && before.length < MOST_LENGTH; round += 1) {
    const after = expandHome(
      before.replace(/\$(?:(\w+)|\{([^}]*)\})/g, (whole, plain?: string, braced?: string) => {
        const name = plain ?? braced ?? '';
        return (Object.hasOwn(env, name) ? env[name] : undefined) ?? whole;
      }),
      env,
    );
    if (after === before) return after;
    before = after;
  }
  return null;
}

function expandHome(text: string, env: Environment): string {
  const home = env['HOME'];
  if (home === undefined || !/^~(?:\/|$)/.test(text)) return text;
  return home.replace(/\/+$/, '') + text.slice(1) || '/';
}
