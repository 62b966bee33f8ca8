import { parseArgs } from 'node:util';
import type { WorkerPool } from '../canary/dag-file.ts';
import { dagFile, MOST_POOLS } from '../canary/dag-file.ts';
import { parseDuration } from '../lib/duration.ts';
import { messageOf } from '../lib/message-of.ts';
import { nearest } from '../lib/nearest.ts';
import { ConfigError } from '../settings/config.ts';
import type { CommandIo } from './command.ts';

/** Longer names would not fit into a report. */
const MOST_CHARACTERS = 100;
const SHORTEST_MS = 60_000;
const LONGEST_MS = 86_400_000;
const PAYLOAD_BYTES = { least: 200, most: 8 * 1024 * 1024 };
const MOST_RETRIES = 10;

/**
 * Prints the DAG file of the canary.
 *
 * @throws {ConfigError} when a flag is wrong.
 */
export function canaryCommand(io: CommandIo): Promise<number> {
  const flags = readFlags(io.argv);
  const problems: string[] = [];
  const pools = poolsOf(flags, problems);
  const dagId = flags['dag-id'] ?? 'airflow_xcom_canary';
  if (!/^[\w.-]{1,250}$/.test(dagId))
    problems.push('--dag-id: Airflow takes letters, digits, dashes, dots and underscores, 250 at most');
  const slots = flags.pool ?? null;
  if (slots !== null) problems.push(...faultsOf('--pool', slots));
  const intervalMs = duration(flags.every ?? '5m', problems);
  const payloadBytes = whole(flags['payload-bytes'] ?? '1000', {
    name: '--payload-bytes',
    ...PAYLOAD_BYTES,
    problems,
  });
  const retries = whole(flags.retries ?? '0', { name: '--retries', least: 0, most: MOST_RETRIES, problems });
  if (problems.length > 0) throw new ConfigError(problems);
  io.stdout(dagFile({ dagId, pools, slots, intervalMs, payloadBytes, retries, version: io.version }));
  return Promise.resolve(0);
}

const FLAGS = {
  queue: { type: 'string', multiple: true },
  executor: { type: 'string', multiple: true },
  pool: { type: 'string' },
  every: { type: 'string' },
  'payload-bytes': { type: 'string' },
  retries: { type: 'string' },
  'dag-id': { type: 'string' },
} as const;

function readFlags(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: FLAGS, strict: true }).values;
  } catch (cause) {
    const known = `${Object.keys(FLAGS)
      .map((name) => `--${name}`)
      .join(', ')} are known`;
    const unknown = argv.find((word) => word.startsWith('--') && !Object.hasOwn(FLAGS, flagName(word)));
    const near = unknown === undefined ? null : nearest(flagName(unknown), Object.keys(FLAGS));
    const message = messageOf(cause);
    throw new ConfigError([
      near === null
        ? `canary: ${message}: ${known}`
        : `canary: unknown flag --${flagName(unknown ?? '')}: did you mean --${near}? (${known})`,
    ]);
  }
}

function flagName(word: string): string {
  return word.replace(/^--/, '').replace(/=.*$/s, '');
}

/** A queue is a pool of workers, and an executor with its own default queue is another one. */
function poolsOf(
  {
    queue = [],
    executor = [],
  }: { readonly queue?: readonly string[]; readonly executor?: readonly string[] },
  problems: string[],
): readonly WorkerPool[] {
  const queues = queue.length + executor.length === 0 ? ['default'] : queue;
  for (const name of queues) problems.push(...faultsOf('--queue', name));
  for (const name of executor) problems.push(...faultsOf('--executor', name));
  const pools = [
    ...queues.map((name) => ({ name, queue: name, executor: null })),
    ...executor.map((name) => ({ name, queue: null, executor: name })),
  ];
  if (new Set(pools.map(({ name }) => name)).size < pools.length)
    problems.push('--queue, --executor: a name is there twice');
  if (pools.length > MOST_POOLS)
    problems.push(`--queue, --executor: ${pools.length} of them, ${MOST_POOLS} at most`);
  return pools;
}

function faultsOf(flag: string, name: string): string[] {
  if (name === '' || name.length > MOST_CHARACTERS)
    return [`${flag}: a name has 1 to ${MOST_CHARACTERS} characters`];
  return /\p{C}/u.test(name) ? [`${flag}: ${JSON.stringify(name)} has a character that cannot be seen`] : [];
}

function duration(text: string, problems: string[]): number {
  try {
    const ms = parseDuration(text);
    if (ms >= SHORTEST_MS && ms <= LONGEST_MS) return ms;
    problems.push(`--every: ${JSON.stringify(text)} is not between 1m and 1d`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    problems.push(`--every: ${error.message}`);
  }
  return SHORTEST_MS;
}

function whole(
  text: string,
  options: { name: string; least: number; most: number; problems: string[] },
): number {
  const { name, least, most, problems } = options;
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  problems.push(`${name}: ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`);
  return least;
}
