import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { leastUnwritten, MOST_UNPACKED_A_BYTE } from '../../../src/airflow/measured-size.ts';
import { valueColumns } from '../../../src/airflow/value-columns.ts';
import { openWriter } from '../../../src/postgres/writer.ts';
import { usePostgres } from '../../support/postgres.ts';

const postgres = usePostgres();
const folder = new URL('../../fixtures/airflow-sizes/', import.meta.url);
const releases = readdirSync(folder).filter((name) => name.endsWith('.json'));

/** The size that a release measured of a value, and the text that it stored; or the reason why the push fails. */
type Recorded = { readonly measured: number; readonly stored: string } | { readonly fails: string };

/** The file lists the places in which a value stands, and the kinds of values in each place. */
function readSizes(file: string): { name: string; measured: number; stored: string }[] {
  const places = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Record<
    string,
    Record<string, Recorded>
  >;
  return Object.entries(places).flatMap(([place, kinds]) =>
    Object.entries(kinds).flatMap(([kind, row]) =>
      'fails' in row ? [] : [{ name: `${kind} ${place}`, ...row }],
    ),
  );
}

/** A jsonb writes out all digits of such a number: the length that Airflow measured is only known within bounds. */
const GREY = /^(float_large|float_small|numpy_float64_large|numpy_float64_small|long_int) /;
/** A jsonb has no -0.0: Airflow measured each one byte longer than the exporter can know. */
const UNSEEN = /^float_negative_zero /;

async function measure(
  url: string,
  type: 'bytea' | 'jsonb',
  stored: readonly string[],
): Promise<readonly { stored: number; bytes: number; leastBytes: number }[]> {
  const writer = await openWriter({ url, connections: 1 });
  try {
    await writer.query(`CREATE TEMP TABLE xcom (at int, value ${type})`);
    for (const [at, text] of stored.entries())
      await writer.query(
        `INSERT INTO xcom VALUES ($1, ${type === 'bytea' ? `convert_to($2, 'UTF8')` : '$2::jsonb'})`,
        [at, text],
      );
    const { columns, join } = valueColumns(
      { table: 'xcom', value: type, keyedBy: 'dag_run' },
      { deep: true },
    );
    return await writer.query(`SELECT ${columns} FROM xcom x ${join} ORDER BY x.at`);
  } finally {
    await writer.close();
  }
}

describe.each(releases)('values of every type that serde knows, as %s', (file) => {
  test('are measured as that release measured them', async () => {
    const sizes = readSizes(file);
    expect(sizes.length).toBeGreaterThan(300);
    const type = file.startsWith('2.') ? 'bytea' : 'jsonb';
    const found = await measure(
      postgres().url,
      type,
      sizes.map(({ stored }) => stored),
    );
    for (const [at, { name, measured }] of sizes.entries()) {
      const { bytes, leastBytes } = found[at] ?? { bytes: 0, leastBytes: 0 };
      if (type === 'jsonb' && UNSEEN.test(name)) {
        expect.soft(measured - bytes, name).toBeGreaterThan(0);
        expect.soft(measured, name).toBeGreaterThan(leastBytes);
      } else if (type === 'jsonb' && GREY.test(name)) {
        expect.soft(leastBytes, name).toBeLessThanOrEqual(measured);
        expect.soft(bytes, name).toBeGreaterThanOrEqual(measured);
      } else expect.soft([leastBytes, bytes], name).toEqual([measured, measured]);
    }
  });
});

test('a value takes at most so many bytes in Postgres for each byte that Airflow measured', async () => {
  const tuple = (inner: string) =>
    `{"__data__": [${inner}], "__version__": 1, "__classname__": "builtins.tuple"}`;
  const float = '{"__data__": 1.0, "__version__": 1, "__classname__": "numpy.float64"}';
  const nested = (depth: number): string => (depth === 0 ? '' : tuple(nested(depth - 1)));
  const many = (one: string) => `[${Array.from({ length: 1_000 }, () => one).join(', ')}]`;
  const found = await measure(postgres().url, 'jsonb', [
    `[${nested(200)}]`,
    many(nested(5)),
    many(float),
    `{"a": ${many(tuple('1'))}}`,
  ]);
  for (const { stored, leastBytes } of found) {
    expect(stored / leastBytes).toBeGreaterThan(10);
    expect(stored / leastBytes).toBeLessThan(MOST_UNPACKED_A_BYTE);
  }
});

test('the least size of a value that is not written out is below what Airflow measured', async () => {
  const least = async (values: readonly string[]) => {
    const writer = await openWriter({ url: postgres().url, connections: 1 });
    try {
      return await writer.query<{ least: number | null }>(
        `SELECT ${leastUnwritten('value')} AS least FROM unnest($1::jsonb[]) WITH ORDINALITY AS t(value, at) ORDER BY at`,
        [values],
      );
    } finally {
      await writer.close();
    }
  };
  const many = (one: string) => `[${Array.from({ length: 1_000 }, () => one).join(', ')}]`;
  const values = ['1', '0.5', '""', '[]', '{}', '[[[[[1]]]]]', '[1]', '["a", 1, "b", 2]', 'true', 'null'];
  const all = [...values, ...values.map(many), ...values.map((one) => `{"": ${one}}`), many('{"a": 1}')];
  const found = await least(all);
  for (const [at, text] of all.entries()) {
    expect.soft(found[at]?.least, text).not.toBeNull();
    expect.soft(found[at]?.least ?? Infinity, text.slice(0, 40)).toBeLessThanOrEqual(text.length);
  }
  // A list of digits shows that hardly any larger bound would hold.
  expect(found[values.length]?.least).toBe(2_998);
  expect(await least([`[[{"a": [{"__classname__": "builtins.tuple"}]}]]`])).toEqual([{ least: null }]);
});

test('a value of more than 16 MB is not written out, and neither is one that would be as long as text', async () => {
  const writer = await openWriter({ url: postgres().url, connections: 1 });
  try {
    await writer.query('CREATE TEMP TABLE xcom (at int, value jsonb)');
    await writer.query(`INSERT INTO xcom VALUES (1, to_jsonb(repeat('x', 1000000))), (2, to_jsonb(repeat('x', 17000000))),
      (3, to_jsonb(repeat(chr(1), 3000000))), (4, NULL)`);
    const { columns, join } = valueColumns(
      { table: 'xcom', value: 'jsonb', keyedBy: 'dag_run' },
      { deep: true },
    );
    const found = await writer.query(`SELECT ${columns} FROM xcom x ${join} ORDER BY x.at`);
    expect(found).toMatchObject([
      { bytes: 1_000_002, leastBytes: 1_000_002, stored: 1_000_012 },
      { bytes: null, leastBytes: 4_249_999, stored: 17_000_012 },
      { bytes: null, leastBytes: 749_999, stored: 3_000_012 },
      { isNull: true, bytes: null, leastBytes: null },
    ]);
  } finally {
    await writer.close();
  }
});

test('in a database that is not of UTF-8, characters are as long as Airflow measured them', async () => {
  const admin = await openWriter({ url: postgres().url, connections: 1 });
  await admin.query(`CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`);
  const url = new URL(postgres().url);
  url.pathname = '/latin';
  try {
    const object = '{"ü": "ß", "a": ["é", "é"]}';
    const texts = ['"abc"', '"é"', object];
    const found = await measure(url.href, 'jsonb', texts);
    expect(found.map(({ leastBytes, bytes }) => [leastBytes, bytes])).toEqual([
      [5, 5],
      [8, 8],
      [object.length + 20, object.length + 20],
    ]);
  } finally {
    await admin.query('DROP DATABASE latin');
    await admin.close();
  }
});
