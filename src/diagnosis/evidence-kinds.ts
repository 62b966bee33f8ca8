/** Kinds of rows that a problem is said about. */
export const KINDS = [
  'missing',
  'empty',
  'unreadable',
  /** References that are not as configured, whatever became of their objects. */
  'path_mismatch',
  /** What a task may have returned as its own, and no object tells that it has. */
  'doubtful',
  'leaked',
  'local',
  'third_party',
  /** References under the key of a skip decision. */
  'skips',
  /** Values in the database that are at least `oversize` bytes, … */
  'oversize',
  /** … those of them that a worker with the backend in force would have put into object storage, … */
  'fallback',
  /** … of which these are of workers with a threshold of their own, … */
  'otherThreshold',
  /** … these are as large as what other workers had put there by then and of workers that may lack the backend, … */
  'bypassed',
  /** … and those that are at least the threshold. */
  'aboveThreshold',
  /** Objects that are smaller than the threshold. */
  'belowThreshold',
] as const;
export type Kind = (typeof KINDS)[number];
