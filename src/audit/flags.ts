import { parseDuration } from '../lib/duration.ts';
import { ConfigError } from '../settings/config.ts';
import { LEAST_MEMORY_BYTES } from './duck.ts';

/** The flags that the command takes besides the settings. */
export interface AuditFlags {
  readonly asJson: boolean;
  /** Whether the audit only reads the rows and writes what they name. */
  readonly isForReferences: boolean;
  /** Whether the audit leaves its figures beside the exporter's state file, for the exporter to show. */
  readonly leavesState: boolean;
  readonly inventory: string | null;
  readonly out: string;
  readonly olderThanMs: number;
  readonly memoryBytes: number;
  readonly pagesPerSecond: number;
  readonly requestsPerSecond: number;
}

const DEFAULTS = {
  '--inventory': '',
  '--out': 'xcom-audit',
  '--older-than': '7d',
  '--memory': '1GiB',
  '--pages-per-second': '2000',
  '--requests-per-second': '100',
} as const;
type Flag = keyof typeof DEFAULTS;

const SWITCHES = ['--json', '--state', '--references'];
export const AUDIT_FLAGS: readonly string[] = [...SWITCHES, ...Object.keys(DEFAULTS)];

const HOUR_MS = 3_600_000;

/** @throws {ConfigError} with all problems at once. */
export function parseAuditFlags(argv: readonly string[]): {
  readonly own: AuditFlags;
  readonly rest: readonly string[];
} {
  const texts: Record<Flag, string> = { ...DEFAULTS };
  const problems: string[] = [];
  const rest: string[] = [];
  const switches = new Set<string>();
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    const [name = '', ...inline] = word.split('=');
    if (SWITCHES.includes(word)) switches.add(word);
    else if (!Object.hasOwn(DEFAULTS, name)) rest.push(word);
    else {
      const next = inline.length > 0 ? inline.join('=') : argv[at + 1];
      // An empty value is a variable of a shell that is not set.
      if (next === undefined || next === '' || (inline.length === 0 && next.startsWith('--')))
        problems.push(`${name}: needs a value`);
      else texts[name as Flag] = next;
      if (inline.length === 0 && next?.startsWith('--') === false) at += 1;
    }
  }

  function attempt<T>(flag: Flag, parse: (text: string) => T, otherwise: T): T {
    try {
      return parse(texts[flag]);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      problems.push(`${flag}: ${error.message}`);
      return otherwise;
    }
  }
  const own = {
    asJson: switches.has('--json'),
    isForReferences: switches.has('--references'),
    leavesState: switches.has('--state'),
    inventory: texts['--inventory'] === '' ? null : texts['--inventory'],
    out: texts['--out'],
    olderThanMs: attempt('--older-than', age, 0),
    memoryBytes: attempt('--memory', memory, 0),
    pagesPerSecond: attempt('--pages-per-second', count, 0),
    requestsPerSecond: attempt('--requests-per-second', count, 0),
  };
  if (own.isForReferences && (own.leavesState || own.inventory !== null))
    problems.push('--references: compares nothing, so it goes with neither --inventory nor --state');
  if (problems.length > 0) throw new ConfigError(problems);
  return { own, rest };
}

/**
 * Refuses an age below an hour. A task may take that long from its object to its row, and two clocks may differ: an
 * object so young must never be listed for deletion.
 */
function age(text: string): number {
  const ms = parseDuration(text);
  if (ms < HOUR_MS) throw new RangeError(`${text} is too young: give an hour at least`);
  return ms;
}

function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new RangeError(`${JSON.stringify(text)} is not a whole number from 1 on`);
  return Number(text);
}

const UNITS: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30, MB: 1e6, GB: 1e9 };

function memory(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMGT]i?B)$/.exec(text) ?? [];
  const of = UNITS[unit];
  if (of === undefined)
    throw new RangeError(`${JSON.stringify(text)} is not a size: write it as 1GiB or 800MiB`);
  const bytes = Number(number) * of;
  if (bytes < LEAST_MEMORY_BYTES) throw new RangeError(`${text} is too little: give 512MiB at least`);
  return bytes;
}
