/**
 * The audit from the moment at which the rows have been read: `node audit-inventory-run.js FOLDER BYTES`. Prints its own peak and
 * the CPU of each step, so that it is a process of its own.
 */
import { readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { openDuck } from '../../src/audit/duck.ts';
import { figuresOf } from '../../src/audit/figures.ts';
import { holdBack } from '../../src/audit/held.ts';
import { loadInventory, openInventory } from '../../src/audit/inventory.ts';
import { join } from '../../src/audit/join.ts';
import { writeResults } from '../../src/audit/results.ts';

const [folder = '', memoryBytes = ''] = process.argv.slice(2);
const { signal } = new AbortController();
const refuse = () => {
  throw new Error('Nobody is to be asked');
};
const bases = [{ bucket: 'xcom', prefix: 'base', connection: '' }];
let before = 0;
const steps: Record<string, number> = {};
function note(step: string): void {
  const { user, system } = process.cpuUsage();
  const now = (user + system) / 1e6;
  steps[step] = Math.round((now - before) * 100) / 100;
  before = now;
}
const duck = await openDuck({
  file: joinPath(folder, 'work', 'audit.duckdb'),
  temporary: joinPath(folder, 'work', 'spill'),
  memoryBytes: Number(memoryBytes),
});
note('start');
const options = {
  connectionOf: refuse,
  isKnown: () => true,
  folder: joinPath(folder, 'work', 'inventory'),
  signal,
};
const inventory = await openInventory(joinPath(folder, 'inventory', 'manifest.json'), options);
const report = () => undefined;
const { places } = await loadInventory(inventory, { ...options, duck, configured: bases, seen: [], report });
note('check the files');
await duck.reopen();
const judgedUpTo = inventory.createdAt;
await join({ duck, work: joinPath(folder, 'work'), places, bases, judgedUpTo, rowsUpTo: judgedUpTo });
await holdBack({
  duck,
  database: { read: refuse },
  bases,
  held: [],
  deletedUpTo: judgedUpTo,
  hasTaskInstances: false,
  pages: refuse,
  signal,
});
note('compare');
const figures = await figuresOf(duck, { places, bases, isApart: 'false', hasPrices: true });
note('count');
await writeResults({ duck, folder: joinPath(folder, 'result'), documents: {} });
await duck.close();
note('write the lists');
const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0);
console.log(
  JSON.stringify({
    peakMb: Math.round((peak * 1024) / 1e6),
    orphaned: figures.objects.orphaned.objects,
    missing: figures.references.absent,
    steps,
  }),
);
