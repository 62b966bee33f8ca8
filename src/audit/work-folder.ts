import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The name of the folder that the audit makes in `--out` for what is kept during the work. */
export const WORK_FOLDER = '.airflow-xcom-exporter-audit';
/** The file that shows that the audit made a folder, so that the audit may remove the folder with all that is in it. */
const MARKER = 'made-by-airflow-xcom-exporter';
const MARKED = 'The audit keeps its work here, and removes this folder when it is complete.\n';

/**
 * Makes the folder, or takes one that an earlier audit made.
 *
 * @throws {Error} when somebody else made it: the audit would remove files that are not its own.
 */
export function claimWork(work: string): void {
  // DuckDB takes what follows for options, and looks for its write-ahead log elsewhere.
  if (work.includes('?'))
    throw new Error(`${work} has a question mark in its path: give another folder with --out`);
  mkdirSync(work, { recursive: true });
  const names = readdirSync(work);
  if (names.includes(MARKER)) return;
  // An empty folder holds nothing to lose: a run may have been killed before it wrote the marker, or after removing it.
  if (names.length > 0)
    throw new Error(
      `${work} is not a folder that the audit made: move it away, or give another folder with --out`,
    );
  writeFileSync(join(work, MARKER), MARKED);
}

export function databaseIn(work: string): string {
  return join(work, 'audit.duckdb');
}

/**
 * Forgets the work that was done so far. The write-ahead log goes first: without it the database is an earlier state of
 * itself, but a log without its database would be taken for that of the next one.
 */
export function forgetWork(work: string): void {
  for (const name of [`${databaseIn(work)}.wal`, databaseIn(work)]) rmSync(name, { force: true });
}

/**
 * Removes a folder that {@link claimWork} made. If this is killed, the next run finds no database that lacks its files,
 * and the marker as long as there is any file.
 */
export function removeWork(work: string): void {
  forgetWork(work);
  for (const name of readdirSync(work))
    if (name !== MARKER) rmSync(join(work, name), { recursive: true, force: true });
  rmSync(work, { recursive: true, force: true });
}
