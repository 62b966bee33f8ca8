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
 * The daemon runs until SIGTERM or SIGINT. On SIGHUP, and when a secret changes in its file, it reads the settings
 * again.
 *
 * @throws {ConfigError} when a setting is wrong at the start. On a reload the old settings then stay in force.
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
    // It may be refused for another setting, or for the web configuration, which are put right without a signal.
    refused: () => void reload(starting, log, 'retry'),
  });
  const starting = startExporter(config, {
    log,
    version: io.version,
    reloadsApartMs: RELOADS_APART_MS,
    readConfig: () => loadConfig(io),
    accepted: (next) => {
      secrets.follow(next.secretFiles);
      warn(next, log);
    },
  });
  // Registered before the exporter listens, because SIGHUP without a listener ends the process.
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

/** Airflow takes such settings without a word, so they are logged at the start and at every reload. */
function warn({ warnings, origins }: Config, log: Logger): void {
  for (const warning of warnings) log.warn(warning);
  for (const { name, origin, from } of origins)
    if (origin === 'unknown') log.info(`${name} is not known, and nothing is said that rests on it: ${from}`);
}

/** The exporter itself reports wrong settings, and the old ones stay in force. */
async function reload(
  starting: Promise<Exporter>,
  log: Logger,
  how: 'reload' | 'retry' = 'reload',
): Promise<void> {
  try {
    await (await starting)[how]();
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
