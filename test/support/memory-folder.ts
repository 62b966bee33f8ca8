import { accessSync, constants, readFileSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const shared = '/dev/shm';
/** Far more than the clusters take, which is some hundred MB for each worker: memory must not run short. */
const NEEDED_BYTES = 4 * 1024 ** 3;

/**
 * The folder in which the files of a Postgres cost the least CPU. Each database consists of hundreds of files, and a
 * file system on a disk has to find room for each. It is in memory if enough is free, otherwise where temporary files
 * go.
 */
export function memoryFolder(): string {
  return isOfUse() ? shared : tmpdir();
}

function isOfUse(): boolean {
  try {
    accessSync(shared, constants.W_OK);
    const { bavail, bsize } = statfsSync(shared);
    // A server that the account cannot run in its installed place is copied to this folder and runs there (no
    // `noexec`).
    const options = /^\S+ \/dev\/shm tmpfs (\S+)/m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1];
    return options?.split(',').includes('noexec') === false && bavail * bsize >= NEEDED_BYTES;
  } catch {
    return false;
  }
}
