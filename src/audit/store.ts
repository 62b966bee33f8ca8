import type { Duck } from './duck.ts';

/** The tables that the audit keeps on disk between its steps, and the progress of each step. */
export const TABLES = /* SQL */ `
  CREATE TABLE IF NOT EXISTS progress (step VARCHAR PRIMARY KEY, state VARCHAR NOT NULL);
  CREATE TABLE IF NOT EXISTS named (location VARCHAR, connection VARCHAR, kind VARCHAR, source VARCHAR, owner VARCHAR, at_ms DOUBLE)`;

/**
 * The table keeps only objects below the places that were listed. With an inventory, a table or a view over its files
 * has the same name and columns.
 */
export const NO_OBJECTS = /* SQL */ `
  CREATE OR REPLACE TABLE objects (location VARCHAR, bytes DOUBLE, at_ms DOUBLE, class VARCHAR)`;

export async function createTables(duck: Duck): Promise<void> {
  for (const statement of TABLES.split(';')) await duck.run(statement);
}

/** The state that a step left behind; null when the step has not begun. */
export async function progressOf<State>(duck: Duck, step: string): Promise<State | null> {
  const [row] = await duck.run<{ state: string }>('SELECT state FROM progress WHERE step = $1', [step]);
  return row === undefined ? null : (JSON.parse(row.state) as State);
}

export async function setProgress(duck: Duck, step: string, state: unknown): Promise<void> {
  await duck.run('INSERT OR REPLACE INTO progress VALUES ($1, $2)', [step, JSON.stringify(state)]);
}

/** Keeps the answer of a step, so that the step does not run again when the audit continues. */
export async function once<Answer>(duck: Duck, step: string, work: () => Promise<Answer>): Promise<Answer> {
  const earlier = await progressOf<Answer>(duck, step);
  if (earlier !== null) return earlier;
  const answer = await work();
  await setProgress(duck, step, answer);
  return answer;
}
