import type { SettingOrigin } from '../config.ts';
import { loadConfig } from './command.ts';
import type { CommandIo } from './command.ts';

/**
 * Prints every setting with its value and where it came from.
 *
 * @throws {ConfigError} when one is wrong or unknown.
 */
export function configCommand(io: CommandIo): Promise<number> {
  const rows = loadConfig(io).origins.map((origin) => [origin.name, origin.shown || '-', whence(origin)]);
  io.stdout(table([['SETTING', 'VALUE', 'FROM'], ...rows]));
  return Promise.resolve(0);
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
