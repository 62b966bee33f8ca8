import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Line } from './database-report.ts';

/** The pages of 8 kB that the server looks at for another build in the same measurement. */
export interface BaseLine extends Pick<Line, 'release' | 'rows' | 'what'> {
  readonly buffers: number;
}

/** A larger history takes an hour more, and the pages of a cycle hardly grow with it. */
const MOST_ROWS = 1_000_000;

/** Runs the benchmark of the build in a folder and reads what it prints. Gives no lines if the folder is ''. */
export async function measureBase(
  dir: string,
  { rows, releases }: { rows: readonly number[]; releases: readonly string[] },
): Promise<readonly BaseLine[]> {
  if (dir === '') return [];
  const few = rows.filter((one) => one <= MOST_ROWS);
  const child = spawn(
    'npm',
    ['run', 'bench:database', '--', '--rows', few.join(','), '--releases', releases.join(',')],
    { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines: BaseLine[] = [];
  for await (const text of createInterface(child.stdout)) {
    const [, release = '', count = '', what = '', buffers = ''] =
      /(\d+\.\d+\.\w+), (\d+) rows, (\w+): (\d+) buffers/.exec(text) ?? [];
    if (what !== '')
      lines.push({ release, rows: Number(count), what: what as Line['what'], buffers: Number(buffers) });
  }
  for (const release of few.length === 0 ? [] : releases)
    if (!lines.some((line) => line.release === release))
      throw new Error(`The benchmark of the build in ${dir} printed no figure of Airflow ${release}`);
  return lines;
}
