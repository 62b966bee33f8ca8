import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { TextRow } from '../support/audit-sql.ts';
import { runInDuck, statementsOf } from '../support/audit-sql.ts';

const UUID = '3f4a5b6e-34c6-47ab-b759-7ca5bf8a68';
const TI = '01a20acf-a9fe-733b-b899-74edea1cfff5';
const CLASSES = ['STANDARD', 'GLACIER', 'STANDARD_IA'];
const AT = ['2026-11-01 00:00:00', '2026-11-27 12:00:00', '2026-11-28 00:30:00'];

/** Every form of a key below every place: each object with and without a row, old and young. */
function world(): string[] {
  const starts = [
    'xcom/base/',
    'xcom/base/inner/',
    'xcom/old/',
    'xcom/elsewhere/',
    'whole/',
    'nowhere/base/',
  ];
  const forms = [
    ...['', '.gz', '.zst', '.txt'].map((suffix) => `d/r/t/UUID${suffix}`),
    'Ä😀/r/with/slash/t/UUID',
    'd/r/t/3/UUID',
    'assets/d/UUID',
    'd/assets/x/y/UUID',
    `d/r/t/ti-${TI}/k%2Fx.json`,
    `d/r/t/write-${TI}/k.json.gz`,
    `d/r/t/ti-${TI}/k.txt`,
    'd/t/UUID',
    'x/y/UUID',
    'notes.csv',
    "it's/r/t/UUID",
  ];
  const references: string[] = [];
  const objects: string[] = [];
  let n = 0;
  for (const start of starts)
    for (const form of forms)
      for (const kind of ['none', 'row', 'state', 'archive', 'foreign', 'twice', 'lost', 'otherwise']) {
        n += 1;
        const [bucket = '', ...rest] = start.split('/');
        const key = `${rest.join('/')}${form.replace('UUID', `${UUID}${(n % 256).toString(16).padStart(2, '0')}`)}`;
        const quoted = (path: string) => `'${path.replaceAll("'", "''")}'`;
        const name = quoted(key);
        const rowsName = quoted(kind === 'otherwise' ? `/${key.replaceAll('/', '//')}` : key);
        const at = AT[n % 3] ?? '';
        const row = (of: string) =>
          `('${bucket}', ${rowsName}, '${of}', 'xcom', TIMESTAMP '${AT[(n * 7) % 3] ?? ''}')`;
        if (kind === 'twice') references.push(row('row'), row('row'));
        else if (kind !== 'none') references.push(row(['lost', 'otherwise'].includes(kind) ? 'row' : kind));
        if (kind !== 'lost' && bucket !== 'nowhere')
          objects.push(
            `('${bucket}', ${name}, ${n}, TIMESTAMP '${at}', '${CLASSES[n % 3] ?? ''}', TIMESTAMP '2026-11-28 01:00:00')`,
          );
      }
  const table = (name: string, columns: string, rows: readonly string[]) =>
    `CREATE TABLE ${name} AS SELECT DISTINCT * FROM (VALUES ${rows.join(',\n')}) AS t (${columns})`;
  return [
    // A row that appears twice counts as two references.
    table('xcom_references', 'bucket, key, kind, in_table, written', references).replace(' DISTINCT', ''),
    table('inventory_objects', 'bucket, key, size, last_modified_date, storage_class, made', objects),
    table('xcom_places', 'bucket, prefix, rows_as_of', [
      ...['base', 'base/inner', 'old'].map(
        (prefix) => `('xcom', '${prefix}', TIMESTAMP '2026-11-28 00:45:00')`,
      ),
      `('whole', '', TIMESTAMP '2026-11-28 00:45:00')`,
      `('nowhere', 'base', TIMESTAMP '2026-11-28 00:45:00')`,
    ]),
  ];
}

async function runInTrino(statements: readonly string[]): Promise<TextRow[][]> {
  const folder = mkdtempSync(join(tmpdir(), 'trino-'));
  try {
    const file = join(folder, 'statements.sql');
    writeFileSync(file, statements.map((statement) => `${statement};\n`).join(''));
    const { stdout } = await promisify(execFile)(
      'java',
      ['-Xmx1g', '-cp', process.env['TRINO_CLASSPATH'] ?? '', 'Trino', file],
      { maxBuffer: 1e8 },
    );
    return stdout
      .split('\n')
      .filter((line) => line.startsWith('['))
      .map((line) => JSON.parse(line) as TextRow[]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('docs/sql/audit-join.sql says the same in Trino as in DuckDB', async () => {
  const statements = [
    ...world(),
    ...statementsOf('audit-join.sql'),
    'SELECT bucket, key, dag_id, verdict FROM audit_objects ORDER BY bucket, key, size',
    'SELECT bucket, key, kind, verdict FROM audit_references ORDER BY bucket, key, kind, verdict',
  ];
  const [duck, trino] = [await runInDuck(statements), await runInTrino(statements)];
  const [objects, references] = [duck.at(-2) ?? [], duck.at(-1) ?? []];
  expect(new Set(objects.map((row) => row.at(-1)))).toEqual(
    new Set(['named', 'named otherwise', 'orphaned', 'other', 'young']),
  );
  expect(new Set(references.map((row) => row.at(-1)))).toEqual(
    new Set(['archive', 'foreign', 'live', 'missing', 'outside', 'unreadable', 'young']),
  );
  expect(trino.slice(-2)).toEqual([objects, references]);
  expect(trino.at(3 + 2)).toEqual(duck.at(3 + 2));
  expect(trino.at(3 + 3)).toEqual(duck.at(3 + 3));
});
