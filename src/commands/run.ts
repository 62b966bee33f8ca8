import type { Logger } from 'pino';
import type { Exporter } from '../daemon/exporter.ts';
import { startExporter } from '../daemon/exporter.ts';
import { createLogger } from '../lib/log.ts';
import type { Config } from '../settings/config.ts';
import { watchSecretFiles } from '../settings/secret-files.ts';
import type { CommandIo } from './command.ts';
import { loadConfig, readFile } from './command.ts';

const RELOADS_APART_MS = 5_000;

/**
 * The daemon, until SIGTERM or SIGINT; SIGHUP and a secret that changes in its file make it read the settings again.
 *
 * @throws {ConfigError} when a setting is wrong at the start. On a reload the old ones stay in force then.
 */
export async function runCommand(io: CommandIo): Promise<number> {
  const config = loadConfig(io);
  const log = createLogger(config.log, { write: io.stdout });
  warn(config, log);
  const secrets = watchSecretFiles(config.secretFiles, {
    readFile,
    changed: () => {
      log.info('a file with settings changed');
      void reload(starting, log);
    },
  });
  const starting = startExporter(config, {
    log,
    version: io.version,
    reloadsApartMs: RELOADS_APART_MS,
    readConfig: () => {
      const next = loadConfig(io);
      secrets.follow(next.secretFiles);
      warn(next, log);
      return next;
    },
  });
  // Before it listens as well: without a listener SIGHUP ends the process.
  const ignoreReload = io.onReload(() => void reload(starting, log));
  try {
    const exporter = await starting;
    await aborted(io.signal);
    await exporter.close();
  } finally {
    secrets.stop();
    ignoreReload();
  }
  return 0;
}

/** Airflow takes them without a word: here they are said at the start and at every reload. */
function warn({ warnings, origins }: Config, log: Logger): void {
  for (const warning of warnings) log.warn(warning);
  for (const { name, origin, from } of origins)
    if (origin === 'unknown') log.info(`${name} is not known, and nothing is said that rests on it: ${from}`);
}

/** Wrong settings are told by the exporter itself, and the old ones stay in force. */
async function reload(starting: Promise<Exporter>, log: Logger): Promise<void> {
  try {
    await (await starting).reload();
  } catch (err) {
    log.error({ err }, 'settings not reloaded');
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
  });
}
