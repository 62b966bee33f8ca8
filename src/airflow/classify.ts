import { MOST_UNPACKED_A_BYTE } from './measured-size.ts';
import type { IsRun, Reference } from './reference.ts';
import { spell } from './reference.ts';
import type { SampledRow } from './xcom-row.ts';

/** Why a value is in the database whatever the backend does. */
export type ByDesign = 'extra_link' | 'skip_decision' | 'server_side';

/** The place and the size of a value. */
export type Placement =
  | {
      readonly storage: 'db';
      /**
       * The upper bound of the size as Airflow measured it. `exact` false: that is not known, and this is what the value
       * takes in Postgres. `leastBytes` is a lower bound in any case.
       */
      readonly bytes: number;
      readonly leastBytes: number;
      readonly exact: boolean;
      readonly byDesign: ByDesign | null;
    }
  /**
   * `leaked`: the reference belongs to another row. A task received that reference instead of a value and passed it on.
   */
  | { readonly storage: 's3'; readonly reference: Reference; readonly leaked: boolean }
  /** A reference of Airflow's own backend to a store that is not S3. */
  | {
      readonly storage: 'other';
      readonly form: 'other_store';
      readonly reference: Reference;
      readonly bytes: number;
    }
  | { readonly storage: 'other'; readonly form: 'local' | 'third_party'; readonly bytes: number };

/** The path schemes of object stores that speak S3. */
const S3_SCHEMES: ReadonlySet<string> = new Set(['s3', 's3a', 's3n']);

export function classify(
  row: SampledRow,
  { major, isRun }: { readonly major: 2 | 3; readonly isRun: IsRun },
): Placement {
  const bytes = row.bytes ?? row.stored;
  const inDatabase = {
    storage: 'db',
    bytes: row.isNull ? 0 : bytes,
    leastBytes: row.isNull ? 0 : (row.leastBytes ?? Math.floor(row.stored / MOST_UNPACKED_A_BYTE)),
    exact: row.isNull || row.bytes !== null,
    byDesign: byDesign(row, major),
  } as const;
  if (row.text === null) return inDatabase;
  const spelling = spell(row.text, row, { taskInstanceId: row.taskInstanceId, isRun });
  switch (spelling.kind) {
    case 'own':
    case 'foreign': {
      const { kind, reference } = spelling;
      if (S3_SCHEMES.has(reference.scheme)) return { storage: 's3', reference, leaked: kind === 'foreign' };
      return kind === 'own'
        ? { storage: 'other', form: 'other_store', reference, bytes }
        : { storage: 'other', form: 'third_party', bytes };
    }
    case 'local':
    case 'third_party':
      return { storage: 'other', form: spelling.kind, bytes };
    case 'value':
      return inDatabase;
  }
}

/**
 * Recognises, by the key, rows that no worker's backend ever sees: operator extra links of Airflow 3
 * (`_xcom_push_to_db`), skip decisions that are kept out of the backend, and rows that the scheduler writes itself.
 * The scheduler notes that a task waited for its earlier run (`PAST_DEPENDS_MET`) and the decisions of loops
 * (`LOOP_XCOM_PREFIX` of 3.4). The value does not show who wrote a row: {@link isServerWritten} recognises rows
 * of the REST API or a trigger by their time.
 */
function byDesign({ key }: SampledRow, major: 2 | 3): ByDesign | null {
  if (key === 'skipmixin_key') return 'skip_decision';
  if (major === 3 && key.startsWith('_link_')) return 'extra_link';
  if (key === 'past_depends_met' || key.startsWith('_airflow_loop_')) return 'server_side';
  return null;
}

/**
 * Whether the task is in another language (`@task.stub`). Such tasks send their values themselves: backends are Python.
 */
export function isForeignTask(operator: string | null): boolean {
  return operator === '_StubOperator';
}

/**
 * Whether Airflow's server wrote a row after its task instance had ended or before the task instance began: for the
 * REST API, or for a trigger that ended the task. Both times come from Airflow's servers. If the clocks of two servers
 * differ, a row that a task wrote near its end can be mistaken for the server's. `idleSince`: when the task instance
 * last changed, if it is not at work; epoch ms. Airflow 2 writes through a backend even then.
 */
export function isServerWritten(
  { major, at }: { readonly major: 2 | 3; readonly at: number },
  idleSince: number | null,
): boolean {
  return major === 3 && idleSince !== null && at > idleSince;
}
