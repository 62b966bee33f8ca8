import { expect, test } from 'vitest';
import { configCommand } from '../../../src/commands/config.ts';
import { callCommand } from '../../support/call-command.ts';

test('a value with a line break has one line of the table', async () => {
  const env = {
    XCOM_EXPORTER_DATABASE_URL: 'postgresql://u@h/db',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws@bucket/xcom\nmore',
  };
  const { stdout } = await callCommand(configCommand, { env });
  const lines = stdout.split('\n').filter((line) => line.includes('s3://aws@bucket'));
  expect(lines).toEqual([expect.stringContaining('s3://aws@bucket/xcom\\u{a}more')]);
});
