import { accessSync, constants, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { LedgerState } from './ledger.ts';

/** Changes whenever what is written changes its form: a file of another version is refused, not guessed at. */
const FORMAT = 'airflow-xcom-exporter-state/1';

/** The state file cannot be used. Nothing was overwritten. */
export class StateFileError extends Error {
  override readonly name = 'StateFileError';
}

/**
 * What was remembered when the exporter ended, or null when there is no file yet.
 *
 * @throws {StateFileError} when it cannot be used, or could not be written later.
 */
export function readStateFile(path: string): LedgerState | null {
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (error) {
    throw new StateFileError(`Cannot write the state file ${path}: its folder is not there or not writable`, {
      cause: error,
    });
  }
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new StateFileError(`Cannot read the state file ${path}: ${String(error)}`, { cause: error });
  }
  let state: unknown;
  try {
    state = JSON.parse(text);
  } catch (error) {
    throw new StateFileError(
      `Cannot use the state file ${path}: it is damaged. Move it away to start anew: the window then forms the baseline`,
      { cause: error },
    );
  }
  if (!isState(state))
    throw new StateFileError(
      `Cannot use the state file ${path}: it was not written by this version of the exporter. Move it away, or name another`,
    );
  return state.ledger;
}

/** Writes beside the file and renames: a crash leaves the old state or the new one, never half of one. */
export function writeStateFile(path: string, ledger: LedgerState): void {
  const beside = `${path}.tmp`;
  writeFileSync(beside, JSON.stringify({ format: FORMAT, ledger }), { mode: 0o600, flush: true });
  renameSync(beside, path);
}

function isState(value: unknown): value is { format: string; ledger: LedgerState } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'format' in value &&
    value.format === FORMAT &&
    'ledger' in value &&
    typeof value.ledger === 'object' &&
    value.ledger !== null &&
    'runs' in value.ledger &&
    Array.isArray(value.ledger.runs)
  );
}
