import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const docs = readFileSync(new URL('../../../docs/audit.md', import.meta.url), 'utf8');

test('the loop of the docs deletes by the lists of one audit, and not by those of earlier ones', () => {
  const [, loop = ''] = /```sh\n([^`]*delete-objects[^`]*)```/.exec(docs) ?? [];
  const [, newest = ''] = /audit-(\d{4}-\d{2}-\d{2}T\d{6}Z)/.exec(loop) ?? [];
  const folder = mkdtempSync(join(tmpdir(), 'delete-loop-'));
  const partOf = (time: string) => `xcom-audit/audit-${time}/delete-objects/my-bucket/000001.json`;
  try {
    for (const time of ['2026-11-01T000000Z', newest]) {
      mkdirSync(join(folder, partOf(time), '..'), { recursive: true });
      writeFileSync(join(folder, partOf(time)), '{}');
    }
    const run = execFileSync('sh', ['-c', `aws() { echo "$@"; }\n${loop}`], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(run).toBe(`s3api delete-objects --bucket my-bucket --delete file://${partOf(newest)}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
