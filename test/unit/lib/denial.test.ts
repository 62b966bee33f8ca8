import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { denial, explainRights } from '../../../src/lib/denial.ts';

const refused = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
const exporter = { uid: 65532, gid: 65532, groups: [65532, 2000] };

describe('what rights refuse', () => {
  test.each([
    [
      'a file of Airflow’s',
      { uid: 50000, gid: 0, mode: 0o100600 },
      'read',
      'let that user or group read it, or run the exporter as 50000:0',
    ],
    ['a file of root’s', { uid: 0, gid: 0, mode: 0o100400 }, 'read', 'let that user or group read it'],
    [
      'its own file without a right',
      { uid: 65532, gid: 0, mode: 0o100044 },
      'read',
      'let that user or group read it',
    ],
    ['a folder', { uid: 0, gid: 2000, mode: 0o40740 }, 'enter', 'let that user or group enter it'],
    [
      'a folder that it may only enter',
      { uid: 0, gid: 0, mode: 0o40755 },
      'write',
      'let that user or group write it',
    ],
  ] as const)('%s: whose it is, who asks, and what to do', (_, file, access, remedy) => {
    const mode = (file.mode & 0o7777).toString(8).padStart(4, '0');
    expect(explainRights(file, exporter, access)).toBe(
      `belongs to ${file.uid}:${file.gid} with mode ${mode}, and the exporter runs as 65532:65532: ${remedy}`,
    );
  });

  test.each([
    ['its own', { uid: 65532, gid: 0, mode: 0o100600 }],
    ['by a group of its own', { uid: 0, gid: 2000, mode: 0o100440 }],
    ['for all', { uid: 0, gid: 0, mode: 0o100644 }],
  ])('a file that is %s is refused by something else', (_, file) => {
    expect(explainRights(file, exporter, 'read')).toContain(
      'these rights are enough, so something else refuses',
    );
  });
});

describe('a path that is refused', () => {
  let folder = '';
  beforeAll(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'xcom-denial-')));
    writeFileSync(join(folder, 'airflow.cfg'), '');
    mkdirSync(join(folder, 'closed'));
    mkdirSync(join(folder, 'second'));
    symlinkSync(join(folder, 'closed', 'geheim'), join(folder, 'link.cfg'));
    symlinkSync('../link.cfg', join(folder, 'second', 'again.cfg'));
    symlinkSync('closed', join(folder, 'alias'));
    symlinkSync('circle', join(folder, 'circle'));
    for (const name of ['airflow.cfg', 'closed']) chmodSync(join(folder, name), 0o000);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test('is explained by the rights of the file, and those of this process', () => {
    const { uid, gid } = statSync(join(folder, 'airflow.cfg'));
    expect(denial(join(folder, 'airflow.cfg'), refused)).toBe(
      `permission denied: it belongs to ${uid}:${gid} with mode 0000, and the exporter runs as ${uid}:${gid}: let that user or group read it`,
    );
  });

  test('by a folder on its way names that folder, and nothing behind it', () => {
    const words = denial(join(folder, 'closed', 'geheim'), refused) ?? '';
    expect(words).toContain(`permission denied: the folder ${folder}/closed belongs to `);
    expect(words).toMatch(/: let that user or group enter it$/);
    expect(words).not.toContain('geheim');
  });

  test.each([
    ['a link into it', 'link.cfg'],
    ['a link to such a link', 'second/again.cfg'],
    ['a link to it', 'alias/geheim'],
  ])('by a folder behind %s names the folder, not the link', (_, path) => {
    const words = denial(join(folder, path), refused) ?? '';
    expect(words).toContain(`permission denied: the folder ${folder}/closed belongs to `);
    expect(words).toMatch(/: let that user or group enter it$/);
    expect(words).not.toContain('geheim');
  });

  test('by links in a circle is explained by their folder', () => {
    expect(denial(join(folder, 'circle'), refused)).toContain(`the folder ${folder} belongs to `);
  });

  test('for another cause is not explained', () => {
    expect(denial('/nowhere', Object.assign(new Error('no such file'), { code: 'ENOENT' }))).toBeNull();
    expect(denial('/nowhere', new Error('permission denied'))).toBeNull();
  });
});
