import type { Tried } from '../probe/bucket.ts';
import type { S3Operation } from '../s3/calls.ts';
import { lineFor } from '../settings/catalogue.ts';
import type { ToldSettings } from '../settings/config.ts';
import type { Grounds } from './problem-catalogue.ts';

/** Everything that a verdict may rest on, and what is known of it. */
export interface Known {
  readonly settings: ToldSettings;
  /** The operations of the probe that were tried; null: no probe has ended. */
  readonly tried: ReadonlySet<S3Operation> | null;
  readonly database: Grounds['database'];
  /** Why the rows may be out of date, in words; null: they are current. */
  readonly standby: string | null;
  /** Whether S3 has answered for a reference of the window, or the window holds none to ask about. */
  readonly objects: boolean;
}

export function triedBy(probe: Tried | null): Known['tried'] {
  if (probe === null) return null;
  return new Set(probe.steps.filter(({ ok }) => ok !== null).map(({ operation }) => operation));
}

/** Names the unknown things that a problem rests on, in words; an empty list: a verdict may be said. */
export function missingOf({ settings, probe, database, objects }: Grounds, known: Known): readonly string[] {
  const untold = settings.filter((name) => !known.settings[name]);
  const { tried } = known;
  const isUntried = probe.length > 0 && probe.every((operation) => tried?.has(operation) !== true);
  const untried =
    tried === null ? 'object storage has not been probed' : `the probe has tried no ${wordsOf(probe)}`;
  return [
    ...untold.map((name) => `${name} is not known (give ${lineFor(name)} or ${name})`),
    // Without a path nothing can be probed, and the missing path has been named already.
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
