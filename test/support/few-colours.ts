import { execFileSync } from 'node:child_process';

/**
 * Reduces a picture to 32 colours: with text and flat areas it becomes a third as large. Needs pngquant, a Debian
 * package.
 */
export function withFewColours(path: string): void {
  execFileSync('pngquant', ['--force', '--strip', '--output', path, '32', '--', path]);
}
