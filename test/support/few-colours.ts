import { execFileSync } from 'node:child_process';

/** A picture of text and flat areas is a third as large with 32 colours. Needs pngquant, a package of Debian. */
export function withFewColours(path: string): void {
  execFileSync('pngquant', ['--force', '--strip', '--output', path, '32', '--', path]);
}
