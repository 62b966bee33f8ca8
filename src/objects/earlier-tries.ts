import type { Shape } from '../airflow/shape.ts';
import { createPace } from '../lib/pace.ts';
import type { Query } from '../postgres/client.ts';
import type { Bases } from '../window/bases.ts';
import { CHUNK_ROWS } from '../window/columns.ts';
import type { BrokenReason } from '../window/flags.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';
import { readRow } from '../window/remembered-row.ts';
import { flagsAt } from '../window/row-fields.ts';
import { confirm } from './confirm.ts';
import { createDraw } from './recheck.ts';

/** Rows of one kind of fault that are asked about together. */
const TOGETHER = 1_000;

interface Options {
  readonly ledger: Ledger;
  readonly bases: Pick<Bases, 'brokenReason'>;
  readonly random: () => number;
}

/**
 * Notes which rows with a fault are of an earlier try: Airflow 3.4 keeps these when a task is cleared, and no task reads them any
 * more. Some of each kind are asked about, and more of them only while all turn out to be of earlier tries: so none of
 * these alone makes a problem, and each is asked about once.
 */
export async function noteEarlierTries(
  query: Query,
  shape: Shape,
  { ledger, bases, random }: Options,
): Promise<void> {
  if (!shape.keepsTries) return;
  const rows = ledger.rows();
  let kinds: Iterable<Fault> = FAULTS;
  for (;;) {
    const drawn = await drawFaults(ledger, { bases, random, kinds });
    const suspects = [...drawn.values()].flat();
    if (suspects.length === 0) return;
    const confirmed = await confirm(query, shape, {
      suspects,
      entryOf: (slot) => readRow(rows, ledger.runOf(slot), slot),
    });
    const isEarlier = (slot: number) => confirmed.get(slot)?.archived === true;
    for (const slot of suspects) if (isEarlier(slot)) rows.setArchived(slot);
    kinds = [...drawn].filter(([, slots]) => slots.every(isEarlier)).map(([kind]) => kind);
  }
}

type Fault = BrokenReason | 'skip' | 'disk';
const FAULTS: readonly Fault[] = [...is.BROKEN_REASONS, 'skip', 'disk'];

/** Slots of rows with these faults, each as likely as any other of its kind. */
async function drawFaults(
  ledger: Ledger,
  { bases, random, kinds }: Pick<Options, 'bases' | 'random'> & { readonly kinds: Iterable<Fault> },
): Promise<ReadonlyMap<Fault, readonly number[]>> {
  const pace = createPace();
  const draws = new Map(Array.from(kinds, (kind) => [kind, createDraw(TOGETHER, random)]));
  if (draws.size > 0)
    for (const chunk of ledger.rows().chunks) {
      for (let index = 0; index < CHUNK_ROWS; index += 1) {
        const flags = flagsAt(chunk, index);
        const slot = chunk.first + index;
        const fault = is.isOnDisk(flags)
          ? 'disk'
          : (bases.brokenReason(slot) ?? (is.isSkipDecision(flags) ? 'skip' : null));
        if (fault !== null) draws.get(fault)?.offer(slot);
      }
      await pace.rest();
    }
  return new Map([...draws].flatMap(([kind, { drawn }]) => (drawn.length === 0 ? [] : [[kind, drawn]])));
}
