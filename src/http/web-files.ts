import { readFileSync, statSync } from 'node:fs';
import { denial } from '../lib/denial.ts';
import { messageOf } from '../lib/message-of.ts';

/** The text of a file. Throws an error that names the file and the fault. */
export function readGuarded(path: string, what: string): string {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`Cannot read ${what} ${path}: ${denial(path, error) ?? messageOf(error)}`, {
      cause: error,
    });
  }
  // Whoever may write the file decides who gets in.
  if (mayAll('write', path))
    throw new Error(`Cannot use ${what} ${path}: everybody may write it; take that away with chmod o-w`);
  return content;
}

/** Only a warning, because Kubernetes mounts a secret with this mode by default. */
export function exposure(path: string, what: string): string[] {
  return mayAll('read', path)
    ? [`${what} ${path} can be read by everybody: chmod o-r, or defaultMode: 0440 of the volume`]
    : [];
}

function mayAll(access: 'read' | 'write', path: string): boolean {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & (access === 'read' ? 0o004 : 0o002)) !== 0;
}

/**
 * Changes when any of the files changes. Follows links, because Kubernetes renews a mounted secret by moving a link.
 * Never throws: it runs at each connection, where an error would end the process.
 */
export function fingerprint(files: readonly string[]): string {
  return files.map(fingerprintOf).join(' ');
}

function fingerprintOf(file: string): string {
  try {
    const { ino, mtimeMs, size } = statSync(file);
    return `${ino}:${mtimeMs}:${size}`;
  } catch (error) {
    // A folder that may not be entered is a state of the file as well, which the next reading tells.
    return messageOf(error);
  }
}
