import type { Tried } from '../probe/bucket.ts';
import type { S3Operation } from '../s3/calls.ts';
import { lineFor } from '../settings/catalogue.ts';
import type { ToldSettings } from '../settings/config.ts';
import type { Grounds } from './problem-catalogue.ts';

/** All that a verdict may rest on, by what is known of it. */
export interface Known {
  readonly settings: ToldSettings;
  /** The operations of the probe that were tried; null: no probe has ended. */
  readonly tried: ReadonlySet<S3Operation> | null;
  readonly database: Grounds['database'];
  /** Why the rows may not be those of now, in words; null: they are. */
  readonly standby: string | null;
  /** S3 has answered for a reference of the window, or there is none to ask about. */
  readonly objects: boolean;
}

export function triedBy(probe: Tried | null): Known['tried'] {
  if (probe === null) return null;
  return new Set(probe.steps.filter(({ ok }) => ok !== null).map(({ operation }) => operation));
}

/** What is missing of the things that a problem rests on, in words; none: a verdict may be said. */
export function missingOf({ settings, probe, database, objects }: Grounds, known: Known): readonly string[] {
  const untold = settings.filter((name) => !known.settings[name]);
  const { tried } = known;
  const isUntried = probe.length > 0 && probe.every((operation) => tried?.has(operation) !== true);
  const untried =
    tried === null ? 'object storage has not been probed' : `the probe has tried no ${wordsOf(probe)}`;
  return [
    ...untold.map((name) => `${name} is not known (give ${lineFor(name)} or ${name})`),
    // Without a path there is nothing to probe, and that has been said.
    ...(isUntried && untold.length === 0 ? [untried] : []),
    ...(database !== 'nothing' && known.database === 'nothing' ? ['the database has not been read'] : []),
    ...(database === 'rows' && known.database === 'tables' ? ['no row has been read'] : []),
    ...(database === 'rows' && known.standby !== null ? [known.standby] : []),
    ...(objects && known.database === 'rows' && known.standby === null && !known.objects
      ? ['S3 has answered for no reference of the window']
      : []),
  ];
}

function wordsOf(operations: readonly S3Operation[]): string {
  return operations.join(', ').replace(/, (?=[^,]*$)/, ' or ');
}
