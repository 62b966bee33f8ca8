import { pino } from 'pino';
import { ConfigError, requireDatabase } from '../config.ts';
import type { Config, SettingOrigin } from '../config.ts';
import { openWebConfig } from '../http/web-config.ts';
import { readStateFile } from '../state-file.ts';
import { loadConfig } from './command.ts';
import type { CommandIo } from './command.ts';

/**
 * Prints every setting with its value and where it came from.
 *
 * @throws {ConfigError} when `run` would refuse them.
 */
export function configCommand(io: CommandIo): Promise<number> {
  const config = loadConfig(io);
  const refused = refusals(config);
  if (refused.length > 0) throw new ConfigError(refused);
  const rows = config.origins.map((origin) => [origin.name, origin.shown || '-', whence(origin)]);
  io.stdout(table([['SETTING', 'VALUE', 'FROM'], ...rows]));
  for (const warning of config.warnings) io.stderr(`airflow-xcom-exporter: warning: ${warning}\n`);
  return Promise.resolve(0);
}

/**
 * What `run` asks of the files that the settings name. Not whether the port is free: the exporter that runs with
 * these very settings has it.
 */
function refusals(config: Config): readonly string[] {
  const { stateFile, web } = config;
  const asked = [
    () => requireDatabase(config),
    () => (stateFile === null ? null : readStateFile(stateFile)),
    () => (web.configFile === null ? null : openWebConfig(web.configFile, pino({ level: 'silent' }))),
  ];
  return asked.flatMap((ask): readonly string[] => {
    try {
      ask();
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
      return [error instanceof Error ? error.message : String(error)];
    }
  });
}

function whence({ origin, from }: SettingOrigin): string {
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
