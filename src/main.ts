#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import type { CommandIo } from './commands/command.ts';
import { messageOf } from './lib/message-of.ts';
import { keepHeapSmall } from './lib/small-heap.ts';
import { givenAwsPaths } from './settings/aws-files.ts';

type Command = (io: CommandIo) => Promise<number>;

/** Each command is loaded only when it is asked for, so that the exporter does not load the demo's databases. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => {
    // Done before the modules are loaded: loading them would make the heap grow by 10 MB.
    keepHeapSmall();
    return (await import('./commands/run.ts')).runCommand;
  },
  check: async () => (await import('./commands/check.ts')).checkCommand,
  demo: async () => (await import('./commands/demo.ts')).demoCommand,
  config: async () => (await import('./commands/config.ts')).configCommand,
  audit: async () => (await import('./commands/audit.ts')).auditCommand,
  canary: async () => (await import('./commands/canary.ts')).canaryCommand,
};

/** Said of a command that was ended before it could close and say so itself. */
const hints: Readonly<Record<string, string>> = {
  audit: '. Call it again with the same --out, and it goes on',
};

/** How long a command may take to close after a signal. */
const closingMs = 5_000;

// The SDK warns on standard error, amid the lines of the log, that releases of 2027 will need Node 22. The lock file
// settles which release runs.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

// The SDK reads these files by itself, but does not expand variables in their paths, as botocore does.
Object.assign(process.env, givenAwsPaths(process.env));

// Libraries that read DEBUG print URLs and headers as they send them, passwords included.
delete process.env['DEBUG'];

/** Why standard output could not be written, which is told once. */
let outputFailure: string | null = null;

const code = await main(process.argv.slice(2));
// Output that was printed may fail only now, and then sets an exit code of its own.
process.exitCode ??= code;

/**
 * Names the runtime as Node does from 21 on. Without the name `pg` looks for Cloudflare's runtime by way of `fetch`,
 * which is 4 MB to load.
 */
function nameRuntime(): void {
  if (!('navigator' in globalThis))
    Object.assign(globalThis, { navigator: { userAgent: `Node.js/${process.versions.node}` } });
}

async function main(argv: readonly string[]): Promise<number> {
  const isNamed = argv[0]?.startsWith('-') === false;
  const name = isNamed ? (argv[0] ?? '') : 'run';
  const isAsked = ['--help', '-h', '--version'].some((word) => argv.includes(word));
  // A daemon goes on measuring, whatever becomes of its log.
  const isDaemon = !isAsked && (name === 'run' || name === 'demo');
  mindOutput(isDaemon ? null : failureCode(name));
  try {
    const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (name === 'help' || argv.includes('--help') || argv.includes('-h')) {
      const { helpText } = await import('./commands/help.ts');
      write(process.stdout, helpText());
      return 0;
    }
    if (argv.includes('--version')) {
      write(process.stdout, `airflow-xcom-exporter ${version()}\n`);
      return 0;
    }
    if (load === undefined) return await unknownCommand(name);
    nameRuntime();
    const command = await load();
    return await command(processIo(name, isNamed ? argv.slice(1) : argv));
  } catch (error) {
    return report(error, { argv, name });
  }
}

/**
 * A reader that left, as in `check | head -1`, has had enough: that is no failure. A full disk is a failure with the
 * exit code that is given; null: the failure is only reported.
 */
function mindOutput(failed: number | null): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || outputFailure !== null) return;
    outputFailure = error.code ?? error.message;
    write(process.stderr, `airflow-xcom-exporter: Cannot write to standard output: ${outputFailure}\n`);
    if (failed !== null) process.exitCode = failed;
  });
  // No stream is left to report the failure on.
  process.stderr.on('error', () => undefined);
}

/** `check` and `audit` return 2 for "could not decide", since 1 would say "problems found". */
function failureCode(name: string): number {
  return name === 'check' || name === 'audit' ? 2 : 1;
}

function processIo(name: string, argv: readonly string[]): CommandIo {
  const isTty = isatty(1);
  return {
    argv,
    env: process.env,
    stdout: (text) => {
      write(process.stdout, text);
    },
    stderr: (text) => {
      write(process.stderr, text);
    },
    isTty,
    stderrIsTty: isatty(2),
    columns: isTty ? process.stdout.columns : 80,
    signal: abortOnSignal(name),
    onReload: (listener) => {
      process.on('SIGHUP', listener);
      return () => {
        process.off('SIGHUP', listener);
      };
    },
    version: version(),
  };
}

/** The first signal asks for an orderly end. The second signal, or the deadline, ends the process at once. */
function abortOnSignal(name: string): AbortSignal {
  const controller = new AbortController();
  function onSignal(signal: 'SIGTERM' | 'SIGINT'): void {
    // As process 1 of a container the exporter has no default action to fall back on.
    if (controller.signal.aborted) process.exit(128 + constants.signals[signal]);
    controller.abort();
    setTimeout(() => {
      write(
        process.stderr,
        `airflow-xcom-exporter: not closed within ${closingMs / 1_000} s of ${signal}: ended${hints[name] ?? ''}\n`,
      );
      process.exit(failureCode(name));
    }, closingMs).unref();
  }
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return controller.signal;
}

/** A word of any other form may be a URL with a password, so it is not repeated. */
async function unknownCommand(name: string): Promise<number> {
  const { nearest } = await import('./lib/nearest.ts');
  const names = [...Object.keys(commands), 'help'];
  const near = nearest(name, names);
  const hint = near === null ? `choose one of ${names.join(', ')}` : `did you mean ${near}?`;
  const shown = /^[a-z-]{1,20}$/.test(name) ? ` ${JSON.stringify(name)}` : '';
  write(process.stderr, `airflow-xcom-exporter: unknown command${shown}: ${hint}\n`);
  return 2;
}

/** The exit code of a command that threw. */
async function report(
  error: unknown,
  call: { readonly argv: readonly string[]; readonly name: string },
): Promise<number> {
  const { ConfigError } = await import('./settings/config.ts');
  if (error instanceof ConfigError) {
    for (const problem of error.problems) write(process.stderr, `airflow-xcom-exporter: ${problem}\n`);
    return 2;
  }
  const message = messageOf(error);
  write(process.stderr, `airflow-xcom-exporter: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
  if (wantsDebug(call.argv) && error instanceof Error) write(process.stderr, `${error.stack ?? ''}\n`);
  return failureCode(call.name);
}

/** Looks without reading the settings, since they may be what failed. */
function wantsDebug(argv: readonly string[]): boolean {
  return (
    process.env['XCOM_EXPORTER_LOG_LEVEL'] === 'debug' || /--log[.-]level[= ]debug\b/.test(argv.join(' '))
  );
}

function version(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

function write(stream: NodeJS.WriteStream, text: string): void {
  stream.write(text);
}
