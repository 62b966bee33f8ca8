import { expect, test } from 'vitest';
import { diagnose } from '../../../src/diagnosis/diagnose.ts';
import { readConfig } from '../../../src/settings/read-config.ts';

test('a negative threshold is certain without the database, what it costs is not known then', () => {
  const env = {
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://bucket/xcom',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '-1',
  };
  const config = readConfig({ argv: [], env, readFile: () => '' });
  const { problems } = diagnose({ config, sampled: null, probe: null });
  expect(problems).toEqual([
    {
      code: 'threshold_disabled',
      evidence: 'The threshold is -1 although s3://bucket/xcom is configured.',
      where: [],
      findings: [],
    },
  ]);
});
