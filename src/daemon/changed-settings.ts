import { placesOf } from '../postgres/servers.ts';
import type { Config } from '../settings/config.ts';
import { requireDatabase } from '../settings/config.ts';

/** Whether both settings lead to the same tables: the figures of another database say nothing about this one. */
export function isSameDatabase(one: Config, other: Config): boolean {
  const [before, after] = [one, other].map((config) => {
    const settings = requireDatabase(config);
    return [placesOf(settings), settings.database, settings.options].join();
  });
  return before === after;
}

/** Settings that a reload cannot change: the addresses to listen on, and the basis of the series and log lines. */
export function fixedSettings(first: Config, next: Config): string[] {
  const names = [
    'web.listen-address',
    'web.config.file',
    'labels.max-dags',
    'log.format',
    'window',
    'state.file',
    'shard',
  ] as const;
  const shown = (config: Config, name: string) =>
    config.origins.find((origin) => origin.name === name)?.shown;
  return names
    .filter((name) => shown(first, name) !== shown(next, name))
    .map((name) => `${name}: cannot change by a reload: restart the exporter`);
}
