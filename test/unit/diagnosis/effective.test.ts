import { describe, expect, test } from 'vitest';
import { observedOf, pathWords, thresholdWords } from '../../../src/diagnosis/observed.ts';
import type { Survey } from '../../../src/diagnosis/survey.ts';

const NOTHING = {
  objects: { count: 0, smallest: Infinity },
  values: { count: 0, largest: 0 },
  paths: [],
  references: 0,
};

function effective(seen: Partial<Pick<Survey, 'objects' | 'values' | 'paths' | 'references'>>) {
  return observedOf({ ...NOTHING, ...seen });
}

describe('the threshold that the sizes tell', () => {
  const values = { count: 1_200, largest: 1_000 };
  const objects = { count: 4, smallest: 1_024 };

  test.each<[string, Parameters<typeof effective>[0]]>([
    [
      'between 1,001 and 1,024 bytes, by the sizes of 4 objects and 1,200 values in the database',
      { values, objects },
    ],
    [
      '1,001 bytes, by the sizes of 1 object and 1,200 values in the database',
      { values, objects: { count: 1, smallest: 1_001 } },
    ],
    [
      'no single one: an object of 1,000 bytes and a value in the database of 1,000 bytes, by the sizes of 4 objects and 1,200 values in the database',
      { values, objects: { count: 4, smallest: 1_000 } },
    ],
    ['at most 1,024 bytes, by the sizes of 4 objects', { objects }],
    [
      'more than 1,000 bytes, if one is in force everywhere, by the sizes of 1,200 values in the database',
      { values },
    ],
    [
      'more than 1 byte, if one is in force everywhere, by the sizes of 1 value in the database',
      { values: { count: 1, largest: 1 } },
    ],
    ['not known yet', {}],
  ])('%s', (words, seen) => {
    expect(thresholdWords(effective(seen))).toBe(words);
  });

  test('what has not been seen is not 0', () => {
    expect(effective({}).threshold).toEqual({ above: null, atMost: null });
    expect(thresholdWords(null)).toBe('not known yet');
  });
});

describe('the paths that the references tell', () => {
  const path = 's3://aws_xcom@airflow-xcom/xcom';

  test.each<[string, Parameters<typeof effective>[0]]>([
    [`${path} (1 reference)`, { paths: [{ path, rows: 1 }], references: 1 }],
    [
      `${path} (1,200 references), s3://old (3 references)`,
      {
        paths: [
          { path, rows: 1_200 },
          { path: 's3://old', rows: 3 },
        ],
        references: 1_203,
      },
    ],
    [`${path} (5 references), elsewhere (2 references)`, { paths: [{ path, rows: 5 }], references: 7 }],
    ['not known yet', {}],
  ])('%s', (words, seen) => {
    expect(pathWords(effective(seen))).toBe(words);
  });

  test('what could not be read is not known', () => {
    expect(pathWords(null)).toBe('not known yet');
  });
});
