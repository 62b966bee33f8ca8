import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startProgress } from '../../../src/commands/terminal.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function run(stderrIsTty: boolean, ms: number): string {
  let written = '';
  const stderr = (text: string) => {
    written += text;
  };
  const progress = startProgress({ stderr, stderrIsTty }, () => 'reading');
  vi.advanceTimersByTime(ms);
  progress.stop();
  vi.advanceTimersByTime(5_000);
  return written;
}

test('work that is done within a second leaves no line', () => {
  expect(run(true, 900)).toBe('');
});

test('longer work has one that renews itself, and is wiped at the end', () => {
  const line = (seconds: number) => `\r\u001b[Kreading (${seconds} s)`;
  expect(run(true, 2_100)).toBe(`${line(1).repeat(4)}${line(2)}\r\u001b[K`);
});

test('what is no terminal gets nothing', () => {
  expect(run(false, 10_000)).toBe('');
});
