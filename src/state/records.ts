import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { Reference } from '../airflow/reference.ts';
import type { ClearedProblem } from '../diagnosis/cleared-problems.ts';
import type { ProblemMemory } from '../diagnosis/problem-memory.ts';
import type { Interner } from '../lib/interner.ts';
import type { KeptColumn, RowChunk } from '../window/columns.ts';
import { CHUNK_ROWS, columnBytes, keptColumns, newChunk } from '../window/columns.ts';
import type { LedgerState } from '../window/ledger-state.ts';
import { emptyState } from '../window/ledger-state.ts';
import type { Run, RunItem } from '../window/run.ts';
import { createRunSlots, newRun } from '../window/run.ts';
import { RUN_SWEEP_START } from '../window/run-sweep.ts';
import { SWEEP_START } from '../window/sweep-state.ts';

/** How many items of a list one record holds at most: this limits the text in memory. */
const ITEMS_A_RECORD = 500;
/** How many findings of a problem are kept. */
const FINDINGS_KEPT = 50;

/** All that one exporter leaves to the next: the window, the present problems, and the cleared problems. */
export interface State {
  readonly window: LedgerState;
  readonly problems: ProblemMemory;
  readonly cleared: readonly ClearedProblem[];
}

/** The heads of records, in the order of writing: a record that refers to others comes after them. */
type RecordHead =
  | { readonly kind: 'run' | 'name' | 'base' | 'worker' | 'odd'; readonly items: readonly unknown[] }
  /** One record of bytes for each column follows. */
  | {
      readonly kind: 'chunk';
      readonly first: number;
      /** How many rows there are of each column. */
      readonly rows: number;
      readonly columns: readonly KeptColumn[];
    }
  | ({ readonly kind: 'end' } & Pick<
      LedgerState,
      'lastRunId' | 'schema' | 'lastReading' | 'origin' | 'countsFrom'
    > &
      // A file of an earlier build has neither.
      Partial<Pick<LedgerState, 'sweep' | 'runSweep'>> &
      Pick<State, 'problems' | 'cleared'>);

/** Writes records: length and checksum, four bytes each, then the bytes. Columns are written as they are in memory. */
export async function writeState(file: FileHandle, { window, problems, cleared }: State): Promise<void> {
  const { rows } = window;
  const put = async (...records: readonly Uint8Array[]): Promise<void> => {
    // Unlike `writev`, `writeFile` goes on when a disk that is almost full took a part of the bytes only.
    await file.writeFile(Buffer.concat(records.flatMap((bytes) => [prefixOf(bytes), bytes])));
  };
  const headOf = (head: RecordHead) => Buffer.from(JSON.stringify(head));

  async function putList(
    kind: 'run' | 'name' | 'base' | 'worker' | 'odd',
    list: Iterable<unknown>,
  ): Promise<void> {
    let items: unknown[] = [];
    for (const item of list) {
      items.push(item);
      if (items.length < ITEMS_A_RECORD) continue;
      await put(headOf({ kind, items }));
      items = [];
    }
    if (items.length > 0) await put(headOf({ kind, items }));
  }

  await putList('run', runItems(window.runs));
  await putList('name', rows.names.entries());
  await putList('base', rows.bases.entries());
  await putList('worker', rows.workers.entries());
  await putList('odd', rows.verbatimReferences);
  for (const chunk of rows.chunks) {
    const columns = keptColumns(chunk);
    const used = Math.min(CHUNK_ROWS, rows.size() - chunk.first);
    const head = headOf({ kind: 'chunk', first: chunk.first, rows: used, columns });
    await put(head, ...columns.map((column) => columnBytes(chunk, column, used)));
  }
  const { lastRunId, schema, origin, lastReading, countsFrom, sweep, runSweep } = window;
  const known = { lastRunId, schema, origin, lastReading, countsFrom, sweep, runSweep };
  await put(headOf({ kind: 'end', ...known, problems: withFewFindings(problems), cleared }));
}

/** The length and the checksum of a record. */
function prefixOf(bytes: Uint8Array): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32LE(bytes.length, 0);
  prefix.writeUInt32LE(crc32(bytes), 4);
  return prefix;
}

/**
 * Cuts the findings of each problem. All findings would be many times the rest of a small file, in each cycle, and the
 * next cycle finds them again.
 */
function withFewFindings(problems: ProblemMemory): ProblemMemory {
  return Object.fromEntries(
    Object.entries(problems).map(([code, remembered]) => {
      const { problem } = remembered;
      const findings = problem.findings.slice(0, FINDINGS_KEPT);
      return [code, { ...remembered, problem: { ...problem, findings } }];
    }),
  );
}

/** @throws {Error} when a record is cut short or altered. */
export async function readState(file: FileHandle, start: number): Promise<State> {
  const state = emptyState();
  const runs: Run[] = [];
  const verbatim: [number, Reference][] = [];
  const chunks: RowChunk[] = [];
  const { size } = await file.stat();
  let position = start;

  async function fill(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesRead } = await file.read(bytes, at, bytes.length - at, position + at);
      if (bytesRead === 0) throw new Error(`The file ends at ${position + at}`);
      at += bytesRead;
    }
    position += bytes.length;
  }
  async function take(into: Uint8Array | null): Promise<Uint8Array> {
    const prefix = Buffer.alloc(8);
    await fill(prefix);
    const length = prefix.readUInt32LE(0);
    if (into !== null && into.length !== length) throw new Error(`A column has ${length} bytes`);
    if (position + length > size) throw new Error(`A record at ${position} is longer than the file`);
    const bytes = into ?? Buffer.alloc(length);
    await fill(bytes);
    if (crc32(bytes) !== prefix.readUInt32LE(4)) throw new Error(`The record before ${position} was altered`);
    return bytes;
  }

  for (;;) {
    const head = JSON.parse(Buffer.from(await take(null)).toString('utf8')) as RecordHead;
    switch (head.kind) {
      case 'run':
        for (const item of head.items as RunItem[]) runs.push(newRun(item.slot, item));
        break;
      case 'name':
        restore(state.rows.names, head.items);
        break;
      case 'base':
        restore(state.rows.bases, head.items);
        break;
      case 'worker':
        restore(state.rows.workers, head.items);
        break;
      case 'odd':
        for (const item of head.items as [number, Reference][]) verbatim.push(item);
        break;
      case 'chunk': {
        const chunk = newChunk(head.first, head.columns);
        for (const column of head.columns) await take(columnBytes(chunk, column, head.rows));
        chunks.push(chunk);
        break;
      }
      case 'end': {
        if (position !== size) throw new Error(`The file goes on at ${position}`);
        for (const run of runs) state.runs.set(run.id, run);
        const runSlots = createRunSlots(runs);
        await state.rows.load({ chunks, verbatim, runOf: (slot) => runSlots.at(slot) });
        const { lastRunId, schema, origin, lastReading, countsFrom, problems, cleared } = head;
        const { sweep = SWEEP_START } = head;
        // How far the first round had come is not known, so a run that is found late may be from before the first start.
        const { runSweep = { ...RUN_SWEEP_START, baselineUntil: lastReading?.at ?? 0 } } = head;
        const known = { lastRunId, schema, origin, lastReading, countsFrom, sweep, runSweep };
        return { window: { ...state, runSlots, ...known }, problems, cleared };
      }
    }
  }
}

/** Gives the runs without what follows from the rows, and without what a process alone counts. */
function* runItems(runs: LedgerState['runs']): Generator<RunItem> {
  for (const run of runs.values()) {
    const { changes, rows, rowsOnTasks, references, unverified, oldest, firstLink, ...item } = run;
    yield item;
  }
}

function restore<Value>(interner: Interner<Value>, items: readonly unknown[]): void {
  for (const [id, name, value] of items as [number, string, Value][]) interner.restore(id, name, value);
}
