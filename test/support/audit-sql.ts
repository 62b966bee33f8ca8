import { DuckDBInstance } from '@duckdb/node-api';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A row, each value as text. */
export type TextRow = readonly (string | null)[];

/** The statements of a file in docs/sql, without its comments. */
export function statementsOf(file: string): string[] {
  const path = fileURLToPath(new URL(`../../docs/sql/${file}`, import.meta.url));
  return readFileSync(path, 'utf8')
    .replaceAll(/^ *--.*\n/gm, '')
    .split(';\n')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

/** The rows of each statement, as DuckDB answers it. */
export async function runInDuck(statements: readonly string[]): Promise<TextRow[][]> {
  const instance = await DuckDBInstance.create(':memory:');
  const on = await instance.connect();
  try {
    // DuckDB has these functions under other names.
    await on.run('CREATE MACRO regexp_like(s, p) AS regexp_matches(s, p)');
    await on.run('CREATE MACRO array_join(l, s) AS array_to_string(l, s)');
    await on.run(`SET TimeZone = 'UTC'`);
    const answers: TextRow[][] = [];
    for (const statement of statements) {
      const reader = await on.runAndReadAll(statement);
      answers.push(
        reader.getRows().map((row) => row.map((value) => (value === null ? null : String(value)))),
      );
    }
    return answers;
  } finally {
    on.closeSync();
    instance.closeSync();
  }
}
