import { entryOf } from '../../src/entry.ts';
import type { Entry } from '../../src/entry.ts';
import type { Ledger } from '../../src/ledger.ts';

/** Every row that a ledger knows, read out of its columns. */
export function entriesOf(ledger: Ledger): Entry[] {
  const rows = ledger.rows();
  return [...ledger.runs().values()].flatMap((run) =>
    [...rows.slotsOf(run)].map((slot) => entryOf(rows, run, slot)),
  );
}
