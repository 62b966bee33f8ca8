/** The state file cannot be used. Nothing was overwritten. */
export class StateFileError extends Error {
  override readonly name: string = 'StateFileError';
}

/** Another exporter of this shard has written the file since: it leads or led, and has counted the same rows. */
export class StateConflict extends StateFileError {
  override readonly name = 'StateConflict';
}

/** The reasons why a state was not written; the values of a label. `conflict`: another exporter writes to the file. */
export const STATE_REASONS = ['conflict', 'denied', 'no_space', 'write_failed'] as const;

type StateReason = (typeof STATE_REASONS)[number];

const REASON_OF_CODE: Readonly<Record<string, StateReason>> = {
  EACCES: 'denied',
  EPERM: 'denied',
  EROFS: 'denied',
  EDQUOT: 'no_space',
  ENOSPC: 'no_space',
};

export function reasonFor(error: unknown): StateReason {
  if (error instanceof StateConflict) return 'conflict';
  // A refusal to use the file names the file, and the error of the system below it why.
  const code = codeOf(error) ?? (error instanceof StateFileError ? codeOf(error.cause) : null);
  return REASON_OF_CODE[code ?? ''] ?? 'write_failed';
}

/** The code of an error of the system, such as ENOENT; null: it has none. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error ? String(error.code) : null;
}
