import { describe, expect, test } from 'vitest';
import { parseAuditFlags } from '../../../src/audit/flags.ts';
import { areInOrder, cutsOf, outermost } from '../../../src/audit/lanes.ts';
import { safeDays } from '../../../src/audit/lifecycle.ts';
import { parseManifest } from '../../../src/audit/manifest.ts';
import { monthsPicture } from '../../../src/audit/picture.ts';
import { namedObject } from '../../../src/audit/named-object.ts';
import type { RowSource } from '../../../src/audit/row-sources.ts';
import type { NamingRow } from '../../../src/audit/row-statements.ts';
import { ONE_LIVE } from '../../support/audit-references.ts';

const UUID = '3f4a5b6e-34c6-47ab-b759-7ca5bf8a6828';

describe('what a row names', () => {
  const source: RowSource = {
    table: 'xcom',
    kind: 'xcom',
    value: 'jsonb',
    key: [],
    isByRun: true,
    owner: 'dag_run_id',
    tries: 'none',
    hasPlace: true,
    at: 'timestamp',
    density: 1,
    pages: 1,
    hasRangeScan: true,
    file: '1',
    mayRead: true,
  };
  const row = (text: string, changes: Partial<NamingRow> = {}): NamingRow => ({
    owner: '1',
    dagId: 'etl',
    runId: 'a/b?c#d',
    taskId: 'load',
    at: 0,
    text,
    raw: null,
    ...changes,
  });
  const v2: RowSource = { ...source, table: 'xcom_v2', owner: 'task_instance_id', hasPlace: false };
  const state: RowSource = { ...source, table: 'task_state_store', kind: 'state', value: 'text' };
  const own = `s3://conn@bucket//old/etl/a/b?c#d/load/${UUID}.gz`;
  const base = { bucket: 'bucket', prefix: '/old', connection: 'conn' };
  const bases = [{ bucket: 'bucket', prefix: 'base' }];
  const ti = '01a20acf-a9fe-733b-b899-74edea1cfff5';

  test.each<[string, RowSource, NamingRow, ReturnType<typeof namedObject>]>([
    [
      'its own path',
      source,
      row(own),
      { location: own.slice('s3://conn@'.length), connection: 'conn', kind: 'row', base },
    ],
    [
      'in an archive',
      { ...source, kind: 'archive' },
      row(own),
      { location: own.slice('s3://conn@'.length), connection: 'conn', kind: 'archive', base },
    ],
    [
      'its own path, encoded again',
      source,
      row(JSON.stringify(own)),
      { location: own.slice('s3://conn@'.length), connection: 'conn', kind: 'foreign', base: null },
    ],
    [
      "another row's path",
      source,
      row(own, { taskId: 'other' }),
      { location: own.slice('s3://conn@'.length), connection: 'conn', kind: 'foreign', base: null },
    ],
    ['a path on a disk', source, row(`file:///tmp/etl/a/b?c#d/load/${UUID}`), null],
    ['no path', source, row('value'), null],
    [
      'its own task instance',
      v2,
      row(`s3://bucket/p/etl/run/load/ti-${ti}/k%2Fx.json`, { owner: ti }),
      {
        location: `bucket/p/etl/run/load/ti-${ti}/k%2Fx.json`,
        connection: '',
        kind: 'row',
        base: { bucket: 'bucket', prefix: 'p', connection: '' },
      },
    ],
    [
      'its own task instance in a run with a slash, below a place that is known',
      v2,
      row(`s3://bucket/base/etl/team/run/load/ti-${ti}/k.json`, { owner: ti }),
      {
        location: `bucket/base/etl/team/run/load/ti-${ti}/k.json`,
        connection: '',
        kind: 'row',
        base: { bucket: 'bucket', prefix: 'base', connection: '' },
      },
    ],
    [
      'its own task instance too near to a place that is known',
      v2,
      row(`s3://bucket/base/run/load/ti-${ti}/k.json`, { owner: ti }),
      {
        location: `bucket/base/run/load/ti-${ti}/k.json`,
        connection: '',
        kind: 'row',
        base: { bucket: 'bucket', prefix: '', connection: '' },
      },
    ],
    [
      'another task instance',
      v2,
      row(`s3://bucket/base/etl/run/load/ti-${ti}/k.json`, { owner: UUID }),
      { location: `bucket/base/etl/run/load/ti-${ti}/k.json`, connection: '', kind: 'foreign', base: null },
    ],
    [
      'the old layout in 3.4',
      v2,
      row(`s3://bucket/base/etl/run/load/${UUID}`, { owner: ti }),
      { location: `bucket/base/etl/run/load/${UUID}`, connection: '', kind: 'row', base: null },
    ],
    [
      'a state',
      state,
      row('{"__airflow_state_ref__": "s3://c@bucket/base/etl/run/load/-1/k"}'),
      { location: 'bucket/base/etl/run/load/-1/k', connection: 'c', kind: 'state', base: null },
    ],
    [
      'a state as text',
      state,
      row('"s3://bucket/base/k"'),
      { location: 'bucket/base/k', connection: '', kind: 'state', base: null },
    ],
    ['a state that is a value', state, row('{"url": "s3://bucket/base/k"}'), null],
  ])('%s', (_, from, given, expected) => {
    expect(namedObject(from, given, bases)).toEqual(expected);
  });
});

describe('lanes', () => {
  const at = (bucket: string, prefix: string) => ({ bucket, prefix, connection: '' });

  test('a place within another one is listed with it', () => {
    const places = [at('b', 'x'), at('b', 'x/y'), at('b', 'xy'), at('c', 'x/y'), at('d', ''), at('d', 'x')];
    expect(outermost(places)).toEqual([at('b', 'x'), at('b', 'xy'), at('c', 'x/y'), at('d', '')]);
  });

  test('cuts are keys in the order of their bytes', () => {
    const keys = Array.from({ length: 100 }, (_, index) => `k${String(index).padStart(2, '0')}`);
    expect(cutsOf([...keys, ...keys].reverse(), 4)).toEqual(['k25', 'k50', 'k75']);
    expect(cutsOf(keys.slice(0, 3), 4)).toEqual([]);
    // U+FFFD comes after U+1F600 in UTF-16, and before it in UTF-8.
    expect(cutsOf(['\u{1F600}', '\uFFFD', 'a', 'b', 'c', 'd', 'e', 'f'], 2)).toEqual(['e']);
    expect(areInOrder(['a', '\uFFFD', '\u{1F600}'], null)).toBe(true);
    expect(areInOrder(['a', 'B'], null)).toBe(false);
    expect(areInOrder(['b'], 'b')).toBe(false);
  });
});

describe('the manifest of an inventory', () => {
  const manifest = {
    sourceBucket: 'xcom',
    destinationBucket: 'arn:aws:s3:::inventories',
    version: '2016-11-30',
    creationTimestamp: '1795910400000',
    fileFormat: 'CSV',
    fileSchema: 'Bucket, Key, Size, LastModifiedDate, StorageClass',
    files: [{ key: 'a/data/1.csv.gz', size: 3, MD5checksum: 'F11166069F1990ABEB9C97ACE9CDFABC' }],
  };

  test('is taken apart', () => {
    expect(parseManifest(JSON.stringify(manifest))).toEqual({
      sourceBucket: 'xcom',
      bucket: 'inventories',
      createdAt: 1_795_910_400_000,
      format: 'CSV',
      columns: ['Bucket', 'Key', 'Size', 'LastModifiedDate', 'StorageClass'],
      files: [{ key: 'a/data/1.csv.gz', bytes: 3, md5: 'f11166069f1990abeb9c97ace9cdfabc' }],
    });
  });

  test.each([
    [
      { ...manifest, fileFormat: 'ORC' },
      'The inventory is in ORC, which the audit cannot read: configure one in Parquet or CSV',
    ],
    [
      { ...manifest, files: [{ key: 'a', size: 1 }] },
      /^Cannot read the manifest of the inventory: files\.0\.MD5checksum/,
    ],
    [{ ...manifest, creationTimestamp: 'yesterday' }, /creationTimestamp/],
  ])('is refused: %#', (given, words) => {
    expect(() => parseManifest(JSON.stringify(given))).toThrow(words);
  });
});

describe('flags', () => {
  test('are taken from among the settings', () => {
    const { own, rest } = parseAuditFlags([
      '--xcom.path',
      's3://b',
      '--json',
      '--state',
      '--older-than=30d',
      '--memory',
      '2GiB',
      '--out',
      'there',
    ]);
    expect(rest).toEqual(['--xcom.path', 's3://b']);
    expect(own).toMatchObject({
      asJson: true,
      leavesState: true,
      olderThanMs: 30 * 86_400_000,
      memoryBytes: 2 ** 31,
      out: 'there',
      inventory: null,
    });
  });

  test.each([
    [['--older-than', '10m'], '--older-than: 10m is too young: give an hour at least'],
    [['--older-than', 'week'], /--older-than: what is given is not a duration/],
    [['--memory', '100MB'], '--memory: 100MB is too little: give 512MiB at least'],
    [['--memory', 'much'], '--memory: "much" is not a size: write it as 1GiB or 800MiB'],
    [['--pages-per-second', '0'], '--pages-per-second: "0" is not a whole number from 1 on'],
    [['--out', '--json'], '--out: needs a value'],
  ])('are refused: %j', (argv, words) => {
    expect(() => parseAuditFlags(argv)).toThrow(words);
  });
});

test.each([['--inventory', ''], ['--inventory='], ['--out', '', '--json']])(
  'the audit does not take an empty value for none: %s',
  (...argv) => {
    expect(() => parseAuditFlags(argv)).toThrow('needs a value');
  },
);

describe('the days of a lifecycle rule', () => {
  const oldest = { location: 'b/k', at: Date.UTC(2026, 0, 1), kind: 'row', source: 'xcom' };
  const now = Date.UTC(2026, 0, 31, 12);
  const moment = { rowsAsOf: now, now };

  test('are more than the age of the oldest object that is named', () => {
    expect(safeDays({ oldest, references: ONE_LIVE }, moment)).toMatchObject({ days: 32 });
  });

  test('count up to now, though the rows are of days ago', () => {
    const behind = { rowsAsOf: now - 3 * 86_400_000, now };
    expect(safeDays({ oldest, references: ONE_LIVE }, behind)).toMatchObject({ days: 32 });
  });

  test('are not known where a standby does not say how far it is', () => {
    expect(safeDays({ oldest, references: ONE_LIVE }, { rowsAsOf: null, now })).toEqual({
      days: null,
      reason: 'the standby does not say how far it is, so the age of what its rows name is not known',
    });
  });

  test('are not known where not all was listed, or nothing is named', () => {
    expect(safeDays({ oldest, references: { ...ONE_LIVE, outside: 2 } }, moment)).toEqual({
      days: null,
      reason: '2 references point to places that were not listed, so their age is not known',
    });
    expect(safeDays({ oldest: null, references: ONE_LIVE }, moment).days).toBeNull();
  });

  test.each(['unjudged', 'undated'] as const)('are not known where references are %s', (what) => {
    const { days, reason } = safeDays({ oldest, references: { ...ONE_LIVE, [what]: 2 } }, moment);
    expect(days).toBeNull();
    expect(reason).toMatch(/^2 references .* so (the age of their objects|their age) is not known$/);
  });
});

test('the picture has a bar for every month, those without an object too', () => {
  const amount = (bytes: number) => ({ objects: 1, bytes, dollars: null });
  const svg = monthsPicture([
    { month: '2025-11', all: amount(1_000), orphaned: amount(250) },
    { month: '2026-02', all: amount(500), orphaned: amount(0) },
  ]);
  expect([...svg.matchAll(/<g><title>([^<]+)/g)].map(([, title]) => title)).toEqual([
    '2025-11: 750 B not orphaned, 250 B orphaned',
    '2025-12: 0 B not orphaned, 0 B orphaned',
    '2026-01: 0 B not orphaned, 0 B orphaned',
    '2026-02: 500 B not orphaned, 0 B orphaned',
  ]);
  // The bar of the largest month fills the available height.
  expect(svg).toContain('height="180.0" fill="#2a78d6"');
  expect(svg).toContain('y="40.0" width="164.0" height="60.0" fill="#d9822b"');
  expect(monthsPicture([])).toContain('</svg>');
});
