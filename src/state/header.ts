import { closeSync, constants, openSync, readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Shard } from '../settings/shard.ts';
import { nameOf } from '../settings/shard.ts';
import { codeOf } from './failure.ts';

const FORMATS = 'airflow-xcom-exporter-state/';
/** The version of the format, which changes with every change of the form. A file of another version is set aside. */
const FORMAT = `${FORMATS}3`;
/** How many bytes the header takes; the first line of the file is shorter. */
export const HEADER_BYTES = 256;

/**
 * Names the writer of a file and the number of its write. This shows that another exporter wrote, even after a SIGKILL.
 */
export interface Header {
  readonly format: string;
  readonly owner: string;
  readonly written: number;
  /** The shard that the dags belong to: another shard must not continue counting from this file. */
  readonly shard: string;
}

/** The header of the next file that this exporter writes. */
export function headerOf({ shard, ...by }: Pick<Header, 'owner' | 'written'> & { shard: Shard }): Header {
  return { format: FORMAT, ...by, shard: nameOf(shard) };
}

export function headerText(header: Header): string {
  return `${JSON.stringify(header)}\n`.padEnd(HEADER_BYTES, ' ');
}

export const isSame = (one: Header, other: Header | null): boolean =>
  one.owner === other?.owner && one.written === other.written;

/** A shard of the same number is at work beside this one, so its file was given to this one by mistake. */
export const isOfNeighbour = ({ shard }: Header, own: Shard): boolean =>
  shard !== nameOf(own) && shard.endsWith(`/${own.count}`);

/** The kind of another exporter that left the file, whose counts are of other rows or in another form; null: none. */
export function otherKind({ format, shard }: Header, own: Shard): string | null {
  if (format !== FORMAT) return 'of another version of the exporter';
  return shard === nameOf(own) ? null : `of shard ${shard}, and this exporter is ${nameOf(own)}`;
}

/**
 * Reads the header of the file at a path, synchronously, so that a rename can follow before anything else runs. Null:
 * there is no header, e.g. because the file was cut short. Throws the error of the system. As long as the storage does
 * not answer, nothing else runs: whoever calls this has just had an answer.
 */
export function headerAt(path: string): Header | 'no file' | null {
  let fd: number;
  try {
    // Without O_NONBLOCK, opening a pipe would wait.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'no file';
    throw error;
  }
  try {
    const buffer = Buffer.alloc(HEADER_BYTES);
    return parsed(buffer.subarray(0, readSync(fd, buffer, 0, HEADER_BYTES, 0)));
  } finally {
    closeSync(fd);
  }
}

/** The same of an open file, and asynchronously. */
export async function headerIn(file: FileHandle): Promise<Header | null> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
  return parsed(buffer.subarray(0, bytesRead));
}

function parsed(bytes: Buffer): Header | null {
  try {
    const [line = ''] = bytes.toString('utf8').split('\n');
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
