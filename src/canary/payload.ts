import { parseXComPath } from '../airflow/xcom-path.ts';
import type { CanaryReport } from './report.ts';
import { thresholdBytes } from './settings.ts';

/**
 * The place of a value whose push raised nothing, as the worker saw the row. `kept`: in the database, as the settings
 * of the worker say. Then the push says nothing about object storage. `untold`: the worker has the object
 * storage backend and did not see the row, or its threshold is not known. `misplaced`: the value is where it does not belong.
 */
export type Payload = { readonly kind: 'stored' | 'kept' | 'untold' } | Misplaced;

interface Misplaced {
  readonly kind: 'misplaced';
  readonly fault: string;
}

type Look = Pick<CanaryReport, 'settings' | 'payload' | 'operations'>;

/** Null: the report tells of no push that raised nothing. */
export function payloadOf({ settings, payload, operations }: Look): Payload | null {
  const push = operations.find(({ operation }) => operation === 'push');
  if (push?.ok !== true || settings === undefined || payload === undefined) return null;
  if (!settings.object_storage) return { kind: 'kept' };
  switch (payload.form) {
    case null:
      return { kind: 'untold' };
    case 'value':
      return keptOf(payload.bytes, thresholdBytes(settings));
    case 'reference':
      return isOnDisk(settings.path)
        ? misplaced(
            `the value went to the disk of the worker: the path there is ${settings.path === '' ? 'empty' : settings.path}`,
          )
        : { kind: 'stored' };
  }
}

function keptOf(bytes: number, threshold: bigint | null): Payload {
  if (threshold === null) return { kind: 'untold' };
  return threshold >= 0n && BigInt(bytes) >= threshold
    ? misplaced(`${bytes} bytes stayed in the database although the threshold there is ${threshold}`)
    : { kind: 'kept' };
}

function misplaced(fault: string): Misplaced {
  return { kind: 'misplaced', fault };
}

function isOnDisk(path: string): boolean {
  try {
    return parseXComPath(path).bucket === '';
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}
