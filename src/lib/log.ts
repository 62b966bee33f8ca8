import type { Logger } from 'pino';
import { pino } from 'pino';
import { prettyFactory } from 'pino-pretty';

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly format: 'json' | 'pretty';
}

/** The target of the log lines; each call passes one or more whole lines. */
export interface LogDestination {
  write(text: string): void;
}

/** Field names, also one level down, under which a secret or an XCom value could get into a line by mistake. */
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
 * Makes a logger that writes lines in this process. At the end, no worker thread has to finish, and the lines logged
 * before a crash are already written.
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
 * Logs the exporter's own message but only type and code of the causes behind it. An error of Postgres quotes the row
 * in its fields and sometimes in its message, and pino's own serialiser would log them.
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
