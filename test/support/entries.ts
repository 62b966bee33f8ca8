import { readRow } from '../../src/window/remembered-row.ts';
import type { RememberedRow } from '../../src/window/remembered-row.ts';
import type { Ledger } from '../../src/window/ledger.ts';

/** Every row that a ledger knows, read from its columns. */
export function entriesOf(ledger: Ledger): RememberedRow[] {
  const rows = ledger.rows();
  return [...ledger.runs().values()].flatMap((run) =>
    [...rows.slotsOf(run)].map((slot) => readRow(rows, run, slot)),
  );
}
