import { randomUUID } from 'node:crypto';
import { constants, renameSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { access, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { denial } from '../lib/denial.ts';
import { messageOf } from '../lib/message-of.ts';
import type { Shard } from '../settings/shard.ts';
import { nameOf } from '../settings/shard.ts';
import type { State } from './records.ts';
import { readState, writeState } from './records.ts';

const FORMATS = 'airflow-xcom-exporter-state/';
/** The version of the format, which changes with every change of the form. A file of another version is set aside. */
const FORMAT = `${FORMATS}3`;
/** How many bytes the header takes; the first line of the file is shorter. */
const HEADER_BYTES = 256;

/** The state file cannot be used. Nothing was overwritten. */
export class StateFileError extends Error {
  override readonly name = 'StateFileError';
}

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
  /** Whether somebody else has written the file since it was read or written here. */
  changed(): Promise<boolean>;
  /** How long ago an unchanged file was first seen here. Infinity: this exporter wrote it itself. */
  seenMs(): number;
  /**
   * Writes to another file and renames it: a crash leaves the old state or the new one, never half of one. The state
   * must not change meanwhile.
   *
   * `written` is called as soon as the new state is in force, before anything else can run.
   *
   * @throws {StateFileError} when somebody else has written the file since: the counts of that state would be lost.
   */
  write(state: State, written?: () => void): Promise<void>;
}

/**
 * Names the writer of a file and the number of its write. This shows that another exporter wrote, even after a SIGKILL.
 */
interface Header {
  readonly format: string;
  readonly owner: string;
  readonly written: number;
  /** The shard that the dags belong to: another shard must not continue counting from this file. */
  readonly shard: string;
}

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

  async function changed(): Promise<boolean> {
    const there = await openIfThere(path);
    // If somebody has moved the file away by hand, a new one is to be written.
    if (there === null) return false;
    try {
      const header = await readHeader(there);
      return header === null || !isSame(header, last);
    } finally {
      await there.close();
    }
  }

  return {
    async read() {
      await checkFolder(path);
      unused = null;
      const file = await openIfThere(path);
      if (file === null) {
        last = null;
        return null;
      }
      try {
        const header = await readHeader(file);
        if (header === null)
          throw new StateFileError(
            `Cannot use the state file ${path}: it is damaged, or no state file. Move it away, or name another: the window then forms the baseline`,
          );
        if (header.shard !== nameOf(shard) && isOfSameNumber(header, shard))
          throw new StateFileError(
            `Cannot use the state file ${path}: it is of shard ${header.shard}, and this exporter is ${nameOf(shard)}. Give each shard its own`,
          );
        if (!isSame(header, last)) seenAt = performance.now();
        const other = otherKind(header, shard);
        if (other !== null) {
          last = header;
          unused = `The state file ${path} is ${other}. It will be set aside as ${old}, and what is then in the window forms the baseline`;
          return null;
        }
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

    unused: () => unused,

    changed,

    seenMs() {
      if (last === null) return 0;
      return last.owner === owner ? Infinity : performance.now() - seenAt;
    },

    async write(state, whenWritten) {
      if (await changed())
        throw new StateFileError(
          `Cannot write the state file ${path}: another exporter writes to it. Give each its own, or run two with ha=lock`,
        );
      const next = { format: FORMAT, owner, written: written + 1, shard: nameOf(shard) };
      try {
        // Not when reading: a command that only reads may run beside the exporter that writes just now.
        if (written === 0) await removeHalfWritten(path);
        const file = await open(beside, 'w', 0o600);
        try {
          await file.write(`${JSON.stringify(next)}\n`.padEnd(HEADER_BYTES, ' '));
          await writeState(file, state);
          await file.sync();
        } finally {
          await file.close();
        }
        if (unused !== null) await renameIfThere(path, old);
        unused = null;
        // The rename and the next call are synchronous, so that a SIGKILL comes before both or after both.
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

/** A shard of the same number is at work beside this one, so its file was given to this one by mistake. */
const isOfSameNumber = ({ shard }: Header, { count }: Shard): boolean => shard.endsWith(`/${count}`);

/** The kind of another exporter that left the file, whose counts are of other rows or in another form; null: none. */
function otherKind({ format, shard }: Header, own: Shard): string | null {
  if (format !== FORMAT) return 'of another version of the exporter';
  return shard === nameOf(own) ? null : `of shard ${shard}, and this exporter is ${nameOf(own)}`;
}

const isSame = (one: Header, other: Header | null): boolean =>
  one.owner === other?.owner && one.written === other.written;

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
async function renameIfThere(path: string, other: string): Promise<void> {
  await rename(path, other).catch((error: unknown) => {
    if (!isAbsence(error)) throw error;
  });
}

const isAbsence = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    // Without O_NONBLOCK, opening a pipe would wait.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    if (isAbsence(error)) return null;
    throw new StateFileError(`Cannot read the state file ${path}: ${denial(path, error) ?? String(error)}`, {
      cause: error,
    });
  }
  throw new StateFileError(`Cannot use the state file ${path}: it is no file. Name one in state.file`);
}

/** Reads the header. Null: there is none, e.g. because the file was cut short. */
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
    value.format.startsWith(FORMATS) &&
    'owner' in value &&
    typeof value.owner === 'string' &&
    'written' in value &&
    typeof value.written === 'number' &&
    'shard' in value &&
    typeof value.shard === 'string'
  );
}

/** Keeps a power cut from undoing the rename. Ignores errors, because not every system can open a folder. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r').catch(() => null);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}

/** The reasons why a state was not written; the values of a label. `conflict`: another exporter writes to the file. */
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
