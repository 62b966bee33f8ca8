import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { asAWhole } from '../../../src/audit/results.ts';
import { claimWork, databaseIn, removeWork, WORK_FOLDER } from '../../../src/audit/work-folder.ts';

let out: string;
let work: string;
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), 'work-folder-'));
  work = join(out, WORK_FOLDER);
});
afterEach(() => {
  execFileSync('rm', ['-rf', out]);
});

describe('the folder of the work', () => {
  test('is refused where somebody else made it, and their files stay', () => {
    mkdirSync(work);
    writeFileSync(join(work, 'thesis.txt'), 'mine');
    expect(() => {
      claimWork(work);
    }).toThrow(
      `${work} is not a folder that the audit made: move it away, or give another folder with --out`,
    );
    expect(readdirSync(work)).toEqual(['thesis.txt']);
  });

  test('is refused where DuckDB could not keep a database', () => {
    expect(() => {
      claimWork(join(out, 'a?b'));
    }).toThrow('has a question mark in its path: give another folder with --out');
    expect(readdirSync(out)).toEqual([]);
  });

  test('is taken again as long as it is there, and removed with all that is in it', () => {
    claimWork(work);
    writeFileSync(databaseIn(work), 'rows');
    mkdirSync(join(work, 'inventory'));
    claimWork(work);
    expect(readFileSync(databaseIn(work), 'utf8')).toBe('rows');
    removeWork(work);
    expect(readdirSync(out)).toEqual([]);
  });

  test('keeps no database that lacks its files, and its marker, when the removal ends halfway', () => {
    claimWork(work);
    writeFileSync(databaseIn(work), 'reads other files');
    // A path that is too long for Node to remove: the removal fails there.
    const half = Array.from({ length: 10 }, () => 'a'.repeat(250));
    mkdirSync(join(work, ...half), { recursive: true });
    mkdirSync(join(out, ...half), { recursive: true });
    renameSync(join(out, half[0] ?? ''), join(work, ...half, 'rest'));
    expect(() => {
      removeWork(work);
    }).toThrow();
    expect(existsSync(databaseIn(work))).toBe(false);
    claimWork(work);
  });

  test('is taken where a run was killed before it wrote its marker', () => {
    mkdirSync(work);
    claimWork(work);
    writeFileSync(databaseIn(work), 'rows');
    claimWork(work);
    expect(existsSync(databaseIn(work))).toBe(true);
  });
});

test('of what ends in .unfinished, only what the audit itself left is removed', async () => {
  const left = ['audit-2026-01-02T030405Z.unfinished', 'references-2026-01-02T030405Z.unfinished'];
  const others = ['audit-report.unfinished', 'book.unfinished'];
  for (const name of [...left, ...others]) mkdirSync(join(out, name));
  await asAWhole(join(out, 'audit-2026-01-02T030406Z'), () => Promise.resolve());
  expect(readdirSync(out).sort()).toEqual(['audit-2026-01-02T030406Z', ...others]);
});
