import { randomUUID } from 'node:crypto';
import { constants, existsSync, renameSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { access, open, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { denial } from '../lib/denial.ts';
import { messageOf } from '../lib/message-of.ts';
import type { Shard } from '../settings/shard.ts';
import { nameOf } from '../settings/shard.ts';
import { codeOf, StateConflict, StateFileError } from './failure.ts';
import type { Header } from './header.ts';
import { HEADER_BYTES, headerAt, headerIn, headerOf, headerText } from './header.ts';
import { isOfNeighbour, isSame, otherKind } from './header.ts';
import type { State } from './records.ts';
import { readState, writeState } from './records.ts';

/** The memory that one exporter leaves to the next. Only one exporter at a time writes it. */
export interface StateFile {
  /**
   * Gives the state that the last exporter left, or null when there is no file yet, or one that no exporter like this
   * can go on from. The next write keeps such a file under another name.
   *
   * @throws {StateFileError} when the file cannot be used, or could not be written later.
   */
  read(): Promise<State | null>;
  /** Why this exporter does not go on from the file that it read; null: it does, or there is none. */
  unused(): string | null;
  /**
   * Whether somebody else has written the file since it was read or written here, or it was damaged.
   *
   * @throws {StateFileError} when it cannot be read.
   */
  changed(): Promise<boolean>;
  /** How long ago an unchanged file was first seen here. Infinity: this exporter wrote it itself. */
  seenMs(): number;
  /**
   * Writes to another file and renames it: a crash leaves the old state or the new one, never half of one. The state
   * must not change meanwhile.
   *
   * `written` is called as soon as the new state is in force, before anything else can run.
   *
   * @throws {StateConflict} when another exporter has written the file since: the counts of that state would be lost.
   * @throws {StateFileError} when what is there cannot be used, so that nothing is written over it.
   * @throws the error of the system when the new one cannot be written.
   */
  write(state: State, written?: () => void): Promise<void>;
}

type HeaderThere = Header | 'no file' | null;

/** Gives access to a state file; touches nothing yet. */
export function openStateFile(path: string, shard: Shard): StateFile {
  const owner = randomUUID();
  const beside = `${path}.${owner}.tmp`;
  const old = `${path}.old`;
  let last: Header | null = null;
  /** When `last` was read first, on the clock of `performance`. */
  let seenAt = 0;
  let written = 0;
  let unused: string | null = null;
  /** Why the state of `last` could not be read; null: it was read, or written here. */
  let fault: StateFileError | null = null;

  const damaged = (how: string, cause?: unknown) =>
    new StateFileError(
      `Cannot use the state file ${path}: it is ${how}: the window then forms the baseline`,
      {
        cause,
      },
    );

  /** Asynchronous, because a storage in the network may not answer for a long time. */
  async function headerThere(): Promise<HeaderThere> {
    const file = await openIfThere(path);
    if (file === null) return 'no file';
    try {
      return await headerIn(file);
    } catch (error) {
      throw unreadable(path, error);
    } finally {
      await file.close();
    }
  }

  function headerAtOnce(): HeaderThere {
    try {
      return headerAt(path);
    } catch (error) {
      throw unreadable(path, error);
    }
  }

  /** Refuses to write over anything but an earlier state of this exporter, or one that it goes on from. */
  function refuseOther(there: HeaderThere): void {
    if (there === 'no file') return;
    if (there === null) throw damaged(NO_STATE);
    if (isSame(there, last)) {
      if (fault !== null) throw fault;
      return;
    }
    if (there.shard !== nameOf(shard)) throw new StateFileError(wrongShard(path, there, shard));
    throw conflict(path);
  }

  /** All at once: another exporter cannot write between the last look and the rename but in that very instant. */
  function putInPlace(): void {
    refuseOther(headerAtOnce());
    if (unused !== null) renameIfThere(path, old);
    unused = null;
    try {
      renameSync(beside, path);
    } catch (error) {
      // The first write of another leader removes what is half-written.
      throw isAbsence(error) && existsSync(dirname(path)) ? conflict(path) : error;
    }
  }

  return {
    async read() {
      await checkFolder(path);
      unused = null;
      fault = null;
      const file = await openIfThere(path);
      if (file === null) {
        last = null;
        return null;
      }
      try {
        const header = await headerIn(file);
        if (header === null) throw damaged(NO_STATE);
        if (isOfNeighbour(header, shard)) throw new StateFileError(wrongShard(path, header, shard));
        if (!isSame(header, last)) seenAt = performance.now();
        const other = otherKind(header, shard);
        if (other !== null) {
          last = header;
          unused = `The state file ${path} is ${other}. It will be set aside as ${old}, and what is then in the window forms the baseline`;
          return null;
        }
        last = header;
        try {
          return await readState(file, HEADER_BYTES);
        } catch (error) {
          // Kept for the writer, which must leave such a file as it is.
          fault = damaged('damaged. Move it away to start anew', error);
          throw fault;
        }
      } catch (error) {
        throw error instanceof StateFileError ? error : unreadable(path, error);
      } finally {
        await file.close();
      }
    },

    unused: () => unused,

    async changed() {
      const there = await headerThere();
      // If somebody has moved the file away by hand, a new one is to be written.
      return there !== 'no file' && (there === null || !isSame(there, last));
    },

    seenMs() {
      if (last === null) return 0;
      return last.owner === owner ? Infinity : performance.now() - seenAt;
    },

    async write(state, whenWritten) {
      refuseOther(await headerThere());
      const next = headerOf({ owner, written: written + 1, shard });
      try {
        // Not when reading: a command that only reads may run beside the exporter that writes just now.
        if (written === 0) await removeHalfWritten(path);
        const file = await open(beside, 'w', 0o600);
        try {
          await file.write(headerText(next));
          await writeState(file, state);
          await file.sync();
        } finally {
          await file.close();
        }
        putInPlace();
      } catch (error) {
        await rm(beside, { force: true }).catch(() => undefined);
        throw error;
      }
      written += 1;
      fault = null;
      last = next;
      // Synchronous since the rename, so that a SIGKILL comes before both or after both.
      whenWritten?.();
      await syncFolder(path);
    },
  };
}

const NO_STATE = 'damaged, or no state file. Move it away, or name another';

function conflict(path: string): StateConflict {
  return new StateConflict(
    `Cannot write the state file ${path}: another exporter writes to it. Give each its own, or run two with ha=lock`,
  );
}

function wrongShard(path: string, { shard }: Header, own: Shard): string {
  return `Cannot use the state file ${path}: it is of shard ${shard}, and this exporter is ${nameOf(own)}. Give each shard its own`;
}

function unreadable(path: string, error: unknown): StateFileError {
  return new StateFileError(
    `Cannot read the state file ${path}: ${denial(path, error) ?? messageOf(error)}`,
    {
      cause: error,
    },
  );
}

/** Removes half-written files that a crash left in the folder; a neighbour's, as of `state.1` beside `state`, stay. */
async function removeHalfWritten(path: string): Promise<void> {
  const prefix = `${basename(path)}.`;
  for (const name of await readdir(dirname(path)))
    if (name.startsWith(prefix) && /^[0-9a-f-]{36}\.tmp$/.test(name.slice(prefix.length)))
      await rm(join(dirname(path), name), { force: true });
}

async function checkFolder(path: string): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK);
  } catch (error) {
    throw new StateFileError(`Cannot write the state file ${path}: ${wordsForFolder(dirname(path), error)}`, {
      cause: error,
    });
  }
}

function wordsForFolder(folder: string, error: unknown): string {
  if (isAbsence(error)) return `its folder ${folder} is not there`;
  return `its folder ${folder} takes no files: ${denial(folder, error, 'write') ?? messageOf(error)}`;
}

/** Somebody may have moved the file away by hand. */
function renameIfThere(path: string, other: string): void {
  try {
    renameSync(path, other);
  } catch (error) {
    if (!isAbsence(error)) throw error;
  }
}

const isAbsence = (error: unknown): boolean => codeOf(error) === 'ENOENT';

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    // Without O_NONBLOCK, opening a pipe would wait.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    if (isAbsence(error)) return null;
    throw unreadable(path, error);
  }
  throw new StateFileError(`Cannot use the state file ${path}: it is no file. Name one in state.file`);
}

/** Keeps a power cut from undoing the rename. Ignores errors, because not every system can open a folder. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r').catch(() => null);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}
