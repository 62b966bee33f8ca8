import fs, { readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { openStateFile } from '../../../src/state/file.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { WHOLE } from '../../support/whole.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xcom-state-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

test('a write removes what a crash left half-written, and nothing of a neighbour', async () => {
  const crashed = 'state.00000000-0000-4000-8000-000000000000.tmp';
  const neighbours = [
    // The exporter of `state.1` writes this one just now.
    'state.1',
    'state.1.00000000-0000-4000-8000-000000000001.tmp',
    'state.backup.tmp',
  ];
  for (const name of [crashed, ...neighbours]) await writeFile(join(folder, name), '');
  const file = openStateFile(join(folder, 'state'), WHOLE);
  await file.read();
  await file.write({ window: emptyState(), problems: {}, cleared: [] });
  expect(readdirSync(folder).toSorted()).toEqual(['state', ...neighbours].toSorted());
});

test('nobody but its owner may read the file', async () => {
  const path = join(folder, 'private');
  const file = openStateFile(path, WHOLE);
  await file.read();
  await file.write({ window: emptyState(), problems: {}, cleared: [] });
  expect((statSync(path).mode & 0o777).toString(8)).toBe('600');
});

test('a write that fails half-way leaves the old file and nothing beside it', async () => {
  const path = join(folder, 'full');
  const file = openStateFile(path, WHOLE);
  await file.read();
  await file.write({ window: { ...emptyState(), lastRunId: 1 }, problems: {}, cleared: [] });
  const full = {
    window: { ...emptyState(), lastRunId: 2 },
    cleared: [],
    get problems(): never {
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    },
  };
  await expect(file.write(full)).rejects.toThrow('no space left');
  expect(readdirSync(folder).filter((name) => name.startsWith('full'))).toEqual(['full']);
  expect((await openStateFile(path, WHOLE).read())?.window.lastRunId).toBe(1);
});

test('a storage that does not answer holds up nothing but the work on the file', async () => {
  const path = join(folder, 'silent');
  const file = openStateFile(path, WHOLE);
  const state = { window: emptyState(), problems: {}, cleared: [] };
  await file.read();
  await file.write(state);
  // Each synchronous opening stops the whole process until the storage answers.
  const stops = vi.spyOn(fs, 'openSync');
  syncBuiltinESMExports();
  onTestFinished(() => {
    stops.mockRestore();
    syncBuiltinESMExports();
  });
  const work = [file.changed(), file.write(state)];
  expect(stops).not.toHaveBeenCalled();
  expect((await Promise.all(work))[0]).toBe(false);
  // The look just before the rename is synchronous, so that nobody writes in between.
  expect(stops.mock.calls.map(([at]) => at)).toEqual([path]);
});
