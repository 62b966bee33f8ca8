import type { Fault } from '../window/flags.ts';
import * as is from '../window/flags.ts';
import type { ProblemCode } from './problem-catalogue.ts';
import { counted, undecided } from './problem.ts';
import type { Ruling } from './problem.ts';

/**
 * How many rows have a fault of which nobody knows if it matters, by fault: with Airflow 3.4 the role may not read whose
 * rows they are, and a later try may have taken their place.
 */
export type Unowned = Readonly<Record<Fault, number>>;

const CODES = {
  missing: 'objects_missing',
  empty: 'objects_empty',
  unreadable: 'objects_unreadable',
  path_mismatch: 'path_mismatch',
  leaked: 'path_leaked',
  skip: 'skip_decision_offloaded',
  disk: 'local_path',
} as const satisfies Record<Fault, ProblemCode>;

/** `ownersUnread`: the role may not read whose rows those of `xcom_v1` are. */
export function gatherUnowned(ownersUnread: boolean): {
  /** Gives the fault of a row that a task reads; null for another, which is counted. */
  certain<Seen extends Fault>(fault: Seen | null, flags: number): Seen | null;
  tell(): Unowned;
} {
  const counts = unownedTogether([]);
  return {
    certain(fault, flags) {
      if (fault === null || !ownersUnread || !is.hasOwner(flags)) return fault;
      counts[fault] += 1;
      return null;
    },
    tell: () => counts,
  };
}

/** Adds up what was counted in all parts of the window. */
export function unownedTogether(parts: readonly Unowned[]): Record<Fault, number> {
  const sums = is.FAULTS.map((fault) => [fault, parts.reduce((all, one) => all + one[fault], 0)] as const);
  return Object.fromEntries(sums) as Record<Fault, number>;
}

/** A problem is not clear while such a row has its fault. Another row that certainly has it raises it. */
export function unlessUnowned<Code extends ProblemCode>(
  rulings: Record<Code | (typeof CODES)[Fault], Ruling>,
  unowned: Unowned,
): Record<Code | (typeof CODES)[Fault], Ruling> {
  const ruled = { ...rulings };
  for (const fault of is.FAULTS) {
    const rows = unowned[fault];
    if (rows > 0 && ruled[CODES[fault]] === 'clear')
      ruled[CODES[fault]] = undecided(
        `${counted(rows, 'row')} from before Airflow 3.4 ${rows === 1 ? 'has' : 'have'} this fault, and the role may not read legacy_task_data_owner, so nobody knows if a task still reads ${rows === 1 ? 'it' : 'them'} (run docs/sql/role.sql again)`,
      );
  }
  return ruled;
}
