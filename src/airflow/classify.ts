import type { Reference } from './reference.ts';
import { spell } from './reference.ts';
import type { XComPath } from './xcom-path.ts';
import type { SampledRow } from './xcom-row.ts';

/** Why a value is in the database whatever the backend says. */
export type ByDesign = 'extra_link' | 'skip_decision' | 'server_side';

/** Where a value is, and how large. */
export type Placement =
  | {
      readonly storage: 'db';
      /** As Airflow measured it; at most. `exact` false: only the stored size is known. */
      readonly bytes: number;
      readonly leastBytes: number;
      readonly exact: boolean;
      readonly byDesign: ByDesign | null;
    }
  /** `leaked`: the reference is another row's, handed on by a task that got it instead of a value. */
  | { readonly storage: 's3'; readonly reference: Reference; readonly leaked: boolean }
  | { readonly storage: 'other'; readonly form: 'local' | 'third_party'; readonly bytes: number };

/** Object stores that speak S3, by the scheme of the path. */
const S3_SCHEMES: ReadonlySet<string> = new Set(['s3', 's3a', 's3n']);

export function classify(
  row: SampledRow,
  options: { readonly major: 2 | 3; readonly paths: readonly XComPath[] },
): Placement {
  const bytes = row.bytes ?? row.stored;
  const inDatabase = {
    storage: 'db',
    bytes: row.isNull ? 0 : bytes,
    leastBytes: row.isNull ? 0 : (row.leastBytes ?? row.stored),
    exact: row.isNull || row.bytes !== null,
    byDesign: byDesign(row, options.major),
  } as const;
  if (row.text === null) return inDatabase;
  const spelling = spell(row.text, row, { taskInstanceId: row.taskInstanceId, bases: options.paths });
  switch (spelling.kind) {
    case 'own':
      return S3_SCHEMES.has(spelling.reference.scheme)
        ? { storage: 's3', reference: spelling.reference, leaked: false }
        : { storage: 'other', form: 'third_party', bytes };
    case 'foreign':
      return { storage: 's3', reference: spelling.reference, leaked: true };
    case 'local':
    case 'third_party':
      return { storage: 'other', form: spelling.kind, bytes };
    case 'value':
      return inDatabase;
  }
}

/**
 * Rows that no backend ever sees: operator extra links of Airflow 3 (`_xcom_push_to_db`), skip decisions
 * where they are kept out of the backend, and what the REST API, the scheduler or the triggerer wrote,
 * which Airflow 3 encodes once more than a task's value.
 */
function byDesign(row: SampledRow, major: 2 | 3): ByDesign | null {
  if (row.key === 'skipmixin_key') return 'skip_decision';
  if (major === 3 && row.key.startsWith('_link_')) return 'extra_link';
  if (major === 3 && row.encodedAgain) return 'server_side';
  return null;
}
