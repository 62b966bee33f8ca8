import { accessSync, constants, readFileSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const shared = '/dev/shm';
/** Far more than the clusters take, which is some hundred MB for each worker: memory is not to run short. */
const NEEDED_BYTES = 4 * 1024 ** 3;

/**
 * Where the files of a Postgres cost least CPU: each database is made of hundreds of them, and a file system on a disk has
 * to find room for each. In memory, where there is enough of it; else where temporary files go.
 */
export function memoryFolder(): string {
  return isOfUse() ? shared : tmpdir();
}

function isOfUse(): boolean {
  try {
    accessSync(shared, constants.W_OK);
    const { bavail, bsize } = statfsSync(shared);
    // A server that the account cannot run where it is installed is copied to its folder, and runs there.
    const options = /^\S+ \/dev\/shm tmpfs (\S+)/m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1];
    return options?.split(',').includes('noexec') === false && bavail * bsize >= NEEDED_BYTES;
  } catch {
    return false;
  }
}
