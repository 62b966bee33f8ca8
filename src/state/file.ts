import { randomUUID } from 'node:crypto';
import { constants, renameSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { access, open, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Shard } from '../settings/shard.ts';
import { nameOf } from '../settings/shard.ts';
import type { State } from './records.ts';
import { readState, writeState } from './records.ts';

/** Changes whenever what is written changes its form: a file of another version is refused, not guessed at. */
const FORMAT = 'airflow-xcom-exporter-state/2';
/** The first line of the file is shorter. */
const HEADER_BYTES = 256;

/** The state file cannot be used. Nothing was overwritten. */
export class StateFileError extends Error {
  override readonly name = 'StateFileError';
}

/** The memory that one exporter leaves to the next. One of them at a time writes it. */
export interface StateFile {
  /**
   * Gives what was remembered when the last exporter ended, or null when there is no file yet.
   *
   * @throws {StateFileError} when it cannot be used, or could not be written later.
   */
  read(): Promise<State | null>;
  /** Whether somebody else has written it since it was read or written here. */
  changed(): Promise<boolean>;
  /**
   * Writes beside the file and renames: a crash leaves the old state or the new one, never half of one. The state
   * must not change meanwhile.
   *
   * `written` is called in the very moment in which the new state is in force, before anything else can run.
   *
   * @throws {StateFileError} when somebody else has written the file since: what was counted there would be lost.
   */
  write(state: State, written?: () => void): Promise<void>;
}

/** Who wrote a file, and which time it was: another exporter's writing shows by it, also after a SIGKILL. */
interface Header {
  readonly format: string;
  readonly owner: string;
  readonly written: number;
  /** The shard whose dags they are: another one must not count on from here. */
  readonly shard: string;
}

/** Touches nothing yet. */
export function openStateFile(path: string, shard: Shard): StateFile {
  const owner = randomUUID();
  const beside = `${path}.${owner}.tmp`;
  let last: Header | null = null;
  let written = 0;

  async function changed(): Promise<boolean> {
    const there = await openIfThere(path);
    // Somebody moved it away by hand: then it is to be written anew.
    if (there === null) return false;
    try {
      const header = await readHeader(there);
      return header === null || header.owner !== last?.owner || header.written !== last.written;
    } finally {
      await there.close();
    }
  }

  return {
    async read() {
      await prepare(path);
      const file = await openIfThere(path);
      if (file === null) {
        last = null;
        return null;
      }
      try {
        const header = await readHeader(file);
        if (header?.format !== FORMAT)
          throw new StateFileError(
            `Cannot use the state file ${path}: it was not written by this version of the exporter. Move it away, or name another`,
          );
        if (header.shard !== nameOf(shard))
          throw new StateFileError(
            `Cannot use the state file ${path}: it is of shard ${header.shard}, and this exporter is ${nameOf(shard)}. Give each shard its own; when their number changes, move the old ones away`,
          );
        try {
          const state = await readState(file, HEADER_BYTES);
          last = header;
          return state;
        } catch (error) {
          throw new StateFileError(
            `Cannot use the state file ${path}: it is damaged. Move it away to start anew: the window then forms the baseline`,
            { cause: error },
          );
        }
      } finally {
        await file.close();
      }
    },

    changed,

    async write(state, whenWritten) {
      if (await changed())
        throw new StateFileError(
          `Cannot write the state file ${path}: another exporter writes to it. Give each its own, or run two with ha=lock`,
        );
      const next = { format: FORMAT, owner, written: written + 1, shard: nameOf(shard) };
      try {
        const file = await open(beside, 'w', 0o600);
        try {
          await file.write(`${JSON.stringify(next)}\n`.padEnd(HEADER_BYTES, ' '));
          await writeState(file, state);
          await file.sync();
        } finally {
          await file.close();
        }
        // Synchronous, as what follows it: a SIGKILL comes before both or after both.
        renameSync(beside, path);
        whenWritten?.();
      } catch (error) {
        await rm(beside, { force: true }).catch(() => undefined);
        throw error;
      }
      written += 1;
      last = next;
      await syncFolder(path);
    },
  };
}

/** The folder must take a new file, and what a crash left half-written there goes. */
async function prepare(path: string): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK);
    for (const name of await readdir(dirname(path)))
      if (name.startsWith(`${basename(path)}.`) && /\.[0-9a-f-]{36}\.tmp$/.test(name))
        await rm(join(dirname(path), name), { force: true });
  } catch (error) {
    throw new StateFileError(`Cannot write the state file ${path}: its folder is not there or not writable`, {
      cause: error,
    });
  }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    // A pipe would be waited for.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new StateFileError(`Cannot read the state file ${path}: ${String(error)}`, { cause: error });
  }
  throw new StateFileError(`Cannot use the state file ${path}: it is no file. Name one in state.file`);
}

/** Null: this is no state file of any version since the second. */
async function readHeader(file: FileHandle): Promise<Header | null> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
  try {
    const [line = ''] = buffer.toString('utf8', 0, bytesRead).split('\n');
    const header: unknown = JSON.parse(line);
    return isHeader(header) ? header : null;
  } catch {
    return null;
  }
}

function isHeader(value: unknown): value is Header {
  return (
    typeof value === 'object' &&
    value !== null &&
    'format' in value &&
    typeof value.format === 'string' &&
    'owner' in value &&
    typeof value.owner === 'string' &&
    'written' in value &&
    typeof value.written === 'number' &&
    'shard' in value &&
    typeof value.shard === 'string'
  );
}

/** Keeps a power cut from undoing the rename. Not every system lets a folder be opened. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r').catch(() => null);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}

/** Why a state was not written; the values of a label. `conflict`: another exporter writes to the same file. */
export const STATE_REASONS = ['conflict', 'denied', 'no_space', 'write_failed'] as const;

const REASON_OF_CODE: Readonly<Record<string, (typeof STATE_REASONS)[number]>> = {
  EACCES: 'denied',
  EPERM: 'denied',
  EROFS: 'denied',
  EDQUOT: 'no_space',
  ENOSPC: 'no_space',
};

export function reasonFor(error: unknown): (typeof STATE_REASONS)[number] {
  if (error instanceof StateFileError) return 'conflict';
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASON_OF_CODE[code] ?? 'write_failed';
}
