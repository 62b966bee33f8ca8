import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BASE, dumps, stringOf, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { listShapes, openStage } from '../../support/seed.ts';
import type { Stage } from '../../support/seed.ts';

/** Every statement of docs/runbook.md, run on the recorded tables with the rows that it must find. */

const postgres = usePostgres();
const text = readFileSync(new URL('../../../docs/runbook.md', import.meta.url), 'utf8');
const LABELS = ['any Airflow', 'Airflow 2', 'Airflow 3.0 – 3.3', 'Airflow 3.4'] as const;
type Label = (typeof LABELS)[number];

interface Statement {
  /** The heading above the statement. */
  readonly title: string;
  readonly label: string;
  readonly sql: string;
}

const STATEMENTS: readonly Statement[] = text.split(/^##+ /m).flatMap((section) => {
  const title = section.slice(0, section.indexOf('\n'));
  return [...section.matchAll(/```sql\n(?:-- ([^\n]+)\n)?(.*?)```/gs)].map(([, label = '', sql = '']) => ({
    title,
    label,
    sql,
  }));
});

describe('every statement', () => {
  test('says for which Airflow it is, and there is one for each or one for all', () => {
    const labels = new Map<string, string[]>();
    for (const { title, label } of STATEMENTS) labels.set(title, [...(labels.get(title) ?? []), label]);
    expect(Object.fromEntries(labels)).toEqual({
      schema_unsupported: ['any Airflow'],
      'The exporter itself': ['any Airflow'],
      'Large values in the database': LABELS.slice(1),
      'By worker': LABELS.slice(1),
      References: LABELS.slice(1),
    });
  });

  test('is found: no block of SQL is written in another way', () => {
    expect(STATEMENTS).toHaveLength([...text.matchAll(/^```sql/gm)].length);
    expect(text.match(/^[ \t]+```|~~~/gm)).toBeNull();
  });

  test('that a problem sends to is there', () => {
    for (const [, anchor = ''] of text.matchAll(/\]\(#([^)]+)\)/g))
      expect(text.toLowerCase().replaceAll(' ', '-')).toMatch(new RegExp(`^##+-${anchor}$`, 'm'));
  });
});

describe.each(listShapes())('on the tables of $release', ({ release }) => {
  let stage: Stage;
  const label: Label = release.startsWith('2.')
    ? 'Airflow 2'
    : release.startsWith('3.4')
      ? 'Airflow 3.4'
      : 'Airflow 3.0 – 3.3';

  async function ask(title: string): Promise<readonly Record<string, unknown>[]> {
    const statement = STATEMENTS.find(
      (one) => one.title === title && (one.label === 'any Airflow' || one.label === label),
    );
    if (statement === undefined) throw new Error(`There is no statement for ${label} in ${title}`);
    return stage.writer.query(statement.sql.replaceAll('1048576', '1000'));
  }

  beforeAll(async () => {
    stage = await openStage(postgres(), release);
    await stage.writer.query(
      `DO $$ BEGIN CREATE ROLE xcom_exporter; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    );
    await stage.writer.query('GRANT SELECT (id, dag_id) ON dag_run TO xcom_exporter');
    const run = await stage.addRun({ dagId: 'orders', runId: 'manual__1+00:00' });
    const encode = (value: unknown) =>
      stage.source.value === 'bytea' ? Buffer.from(dumps(value)) : JSON.stringify(value);
    const push = (taskId: string, value: unknown, place: { key?: string; queue?: string } = {}) =>
      stage.push({ run, taskId, stored: encode(value), ...place });
    const path = (base: string, taskId: string) => `${base}/orders/manual__1+00:00/${taskId}/${uuid4()}`;

    await push('large', stringOf(2_000, 'x'), { queue: 'legacy' });
    await push('small', stringOf(900, 'x'));
    await push('whole', path(BASE, 'whole'));
    await push('moved', path('s3://aws_xcom@airflow-xcom/old', 'moved'));
    await push('handed', path(BASE, 'whole'));
    await push('branch', path(BASE, 'branch'), { key: 'skipmixin_key' });
    await push('local', path('', 'local'));
    await push('third', `s3_xcom_${uuid4()}`);
    await push('url', `https://example.com/report.csv`);
  });
  afterAll(async () => {
    await stage.close();
  });

  test('large values come with who wrote them', async () => {
    expect(await ask('Large values in the database')).toEqual([
      {
        dag_id: 'orders',
        task_id: 'large',
        key: 'return_value',
        queue: 'legacy',
        hostname: 'worker-1',
        operator: 'PythonOperator',
        rows: '1',
        largest: 2_000,
      },
    ]);
  });

  test('by worker: who lacks the setting has large values and no references', async () => {
    expect(await ask('By worker')).toEqual([
      { queue: 'legacy', hostname: 'worker-1', references: '0', large: '1', largest: 2_000 },
      { queue: 'default', hostname: 'worker-1', references: '4', large: '0', largest: 900 },
    ]);
  });

  test('references come with their base, and with whose they are', async () => {
    const rows = await ask('References');
    const found = rows.map(({ task_id, key, base, of, reference, map_index }) => {
      expect([typeof reference, map_index]).toEqual(['string', -1]);
      return [task_id, key, base, of];
    });
    expect(found.sort((a, b) => String(a[0]).localeCompare(String(b[0])))).toEqual([
      ['branch', 'skipmixin_key', BASE, 'its own row'],
      ['handed', 'return_value', BASE, 'another row'],
      ['local', 'return_value', '', 'its own row'],
      ['moved', 'return_value', 's3://aws_xcom@airflow-xcom/old', 'its own row'],
      ['third', 'return_value', expect.stringMatching(/^s3_xcom_/), 'another row'],
      ['whole', 'return_value', BASE, 'its own row'],
    ]);
  });

  test('the tables are told by their columns', async () => {
    const rows = await ask('schema_unsupported');
    const tables = rows.map(({ relname }) => relname);
    for (const table of ['dag_run', 'task_instance', stage.source.table]) expect(tables).toContain(table);
    for (const { columns } of rows) expect(columns).toMatch(/^\w+(, \w+)+$/);
  });

  test('what the role may read is told', async () => {
    const granted = await ask('The exporter itself');
    expect(granted).toEqual([
      { table: 'dag_run', column: 'id' },
      { table: 'dag_run', column: 'dag_id' },
    ]);
  });
});
