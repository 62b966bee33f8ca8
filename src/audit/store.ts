import type { Duck } from './duck.ts';

/** What the audit keeps on disk between its steps, and how far it is with each. */
export const TABLES = /* SQL */ `
  CREATE TABLE IF NOT EXISTS progress (step VARCHAR PRIMARY KEY, state VARCHAR NOT NULL);
  CREATE TABLE IF NOT EXISTS named (location VARCHAR, kind VARCHAR, source VARCHAR, owner VARCHAR, at_ms DOUBLE)`;

/** Objects are below the places that were listed, and no others are kept. An inventory is such a table as it stands. */
export const NO_OBJECTS = /* SQL */ `
  CREATE OR REPLACE TABLE objects (location VARCHAR, bytes DOUBLE, at_ms DOUBLE, class VARCHAR)`;

export async function createTables(duck: Duck): Promise<void> {
  for (const statement of TABLES.split(';')) await duck.run(statement);
}

/** What a step left behind; null: it has not begun. */
export async function progressOf<State>(duck: Duck, step: string): Promise<State | null> {
  const [row] = await duck.run<{ state: string }>('SELECT state FROM progress WHERE step = $1', [step]);
  return row === undefined ? null : (JSON.parse(row.state) as State);
}

export async function setProgress(duck: Duck, step: string, state: unknown): Promise<void> {
  await duck.run('INSERT OR REPLACE INTO progress VALUES ($1, $2)', [step, JSON.stringify(state)]);
}

/** Its answer is kept: it is not asked again when the audit goes on. */
export async function once<Answer>(duck: Duck, step: string, work: () => Promise<Answer>): Promise<Answer> {
  const earlier = await progressOf<Answer>(duck, step);
  if (earlier !== null) return earlier;
  const answer = await work();
  await setProgress(duck, step, answer);
  return answer;
}
