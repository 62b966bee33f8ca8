import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configCommand } from '../../../src/commands/config.ts';
import { parseShard } from '../../../src/settings/shard.ts';
import { openStateFile } from '../../../src/state/file.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
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

test('a state file that run would set aside is warned of, and stays', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  const path = join(folder, 'state');
  await openStateFile(path, parseShard('0/3')).write({ window: emptyState(), problems: {}, cleared: [] });
  const env = {
    XCOM_EXPORTER_DATABASE_URL: 'postgresql://u@h/db',
    XCOM_EXPORTER_STATE_FILE: path,
    XCOM_EXPORTER_SHARD: '0/4',
  };
  const { stderr } = await callCommand(configCommand, { env });
  expect(stderr).toContain('is of shard 0/3, and this exporter is 0/4. It will be set aside as');
  expect([existsSync(path), existsSync(`${path}.old`)]).toEqual([true, false]);
  rmSync(folder, { recursive: true });
});
