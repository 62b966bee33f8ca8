/** Kinds of rows that a problem is said about. */
export const KINDS = [
  'missing',
  'empty',
  'unreadable',
  /** References that are not as configured, whatever became of their objects. */
  'path_mismatch',
  /** References that a task may have returned as its own value; no object shows that it has. */
  'doubtful',
  'leaked',
  'local',
  'third_party',
  /** References under the key of a skip decision. */
  'skips',
  /** Values in the database of at least `oversize` bytes. */
  'oversize',
  /** Oversize values that a worker with the backend in force would have put into object storage. */
  'fallback',
  /** Values of the kind `fallback` from workers with a threshold of their own. */
  'otherThreshold',
  /**
   * Values of the kind `fallback`, as large as values that other workers had put there by then. Their own workers may
   * lack the backend.
   */
  'bypassed',
  /** Measured values of tasks in the database of at least the threshold, except those of workers that are `over` it. */
  'aboveThreshold',
  /** Objects that are smaller than the threshold. */
  'belowThreshold',
] as const;
export type Kind = (typeof KINDS)[number];
