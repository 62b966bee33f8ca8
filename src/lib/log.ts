import type { Logger } from 'pino';
import { pino } from 'pino';
import { prettyFactory } from 'pino-pretty';

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly format: 'json' | 'pretty';
}

/** Takes the lines: each call is one or more whole lines. */
export interface LogDestination {
  write(text: string): void;
}

/** Names under which a secret or an XCom value could get into a line by mistake; one level down as well. */
const kept = [
  'password',
  'secret',
  'secretAccessKey',
  'sessionToken',
  'accessKeyId',
  'authorization',
  'connectionString',
  'body',
];

/**
 * A logger that writes lines in this process: no worker thread has to be waited for at the end, and what was
 * logged before a crash is out.
 */
export function createLogger(options: LogOptions, destination: LogDestination): Logger {
  const { level, format } = options;
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: kept.flatMap((name) => [name, `*.${name}`]), censor: '***' },
      serializers: { err: describeError },
    },
    format === 'json' ? destination : prettyStream(destination),
  );
}

function prettyStream(destination: LogDestination): LogDestination {
  const print = prettyFactory({
    colorize: false,
    translateTime: 'HH:MM:ss',
    ignore: 'pid,hostname',
    singleLine: true,
  });
  return {
    write: (line) => {
      destination.write(print(line));
    },
  };
}

/**
 * Our own words and, of what is behind them, no more than type and code: an error of Postgres quotes the row in
 * its fields and sometimes in its message, and so would pino's own serialiser.
 */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { name: type, message, stack, cause } = error;
  return {
    type,
    message,
    ...codeOf(error),
    ...(cause === undefined ? {} : { cause: describeCause(cause) }),
    stack: stack?.slice(stack.indexOf('\n    at ') + 1),
  };
}

function describeCause(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { name: type, cause } = error;
  return { type, ...codeOf(error), ...(cause === undefined ? {} : { cause: describeCause(cause) }) };
}

function codeOf(error: Error): { code?: string } {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? { code } : {};
}
