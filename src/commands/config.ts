import { pino } from 'pino';
import { openWebConfig } from '../http/web-config.ts';
import { messageOf } from '../lib/message-of.ts';
import type { Config } from '../settings/config.ts';
import { ConfigError, requireDatabase } from '../settings/config.ts';
import type { SettingOrigin } from '../settings/origins.ts';
import type { StateFile } from '../state/file.ts';
import { openStateFile } from '../state/file.ts';
import type { CommandIo } from './command.ts';
import { loadConfig } from './command.ts';
import { plain } from './terminal.ts';

/**
 * Prints every setting with its value and where it came from.
 *
 * @throws {ConfigError} when `run` would refuse them.
 */
export async function configCommand(io: CommandIo): Promise<number> {
  const config = loadConfig(io);
  const stateFile = config.stateFile === null ? null : openStateFile(config.stateFile, config.shard);
  const refused = await refusals(config, stateFile);
  if (refused.length > 0) throw new ConfigError(refused);
  const rows = config.origins.map((origin) => [origin.name, shownOf(origin), whence(origin)]);
  io.stdout(table([['SETTING', 'VALUE', 'FROM'], ...rows]));
  for (const warning of [...config.warnings, stateFile?.unused() ?? []].flat())
    io.stderr(`airflow-xcom-exporter: warning: ${warning}\n`);
  return 0;
}

/**
 * Checks the files that the settings name in the same way as `run`. The port is not checked: the exporter that runs
 * with these very settings uses it.
 */
async function refusals(config: Config, stateFile: StateFile | null): Promise<readonly string[]> {
  const { web } = config;
  const asked = [
    () => requireDatabase(config),
    () => stateFile?.read(),
    () =>
      web.configFile === null ? null : openWebConfig(web.configFile, { log: pino({ level: 'silent' }) }),
  ];
  const problems: string[] = [];
  for (const ask of asked)
    try {
      await ask();
    } catch (error) {
      if (error instanceof ConfigError) problems.push(...error.problems);
      else problems.push(messageOf(error));
    }
  return problems;
}

function shownOf({ shown, origin }: SettingOrigin): string {
  return origin === 'unknown' ? 'not known' : plain(shown) || '-';
}

function whence({ origin, from }: SettingOrigin): string {
  if (origin === 'unknown') return from;
  if (origin === 'airflow') return `Airflow's ${from}`;
  if (origin === 'default' && from === '') return 'default';
  return `${origin} ${origin === 'default' ? `(${from})` : from}`;
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
