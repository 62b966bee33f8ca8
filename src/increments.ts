import type { Reference } from './airflow/reference.ts';
import { isOversize } from './classify.ts';
import { brokenReason } from './ledger.ts';
import type { Entry, ReferenceEntry } from './ledger.ts';
import type { Increment } from './report.ts';

/** What new rows add to the counters. References add their bytes when S3 has told them: {@link objectIncrements}. */
export function rowIncrements(entries: readonly Entry[], oversize: number): Increment[] {
  return entries
    .filter(({ baseline }) => !baseline)
    .flatMap(({ row: { dagId }, placement, worker }) => {
      const { storage } = placement;
      const increments: Increment[] = [{ metric: 'rows_total', dagId, storage, by: 1 }];
      if (placement.storage === 's3') {
        if (placement.leaked)
          increments.push({ metric: 'references_broken_total', dagId, reason: 'leaked', by: 1 });
        return increments;
      }
      const { bytes } = placement;
      increments.push(
        { metric: 'bytes_total', storage, by: bytes },
        { metric: 'value_bytes', storage, bytes },
      );
      if (isOversize(placement, oversize))
        increments.push(
          { metric: 'oversize_in_db_total', dagId, queue: worker?.queue ?? '', by: 1 },
          { metric: 'oversize_in_db_bytes_total', dagId, by: bytes },
        );
      return increments;
    });
}

/** What the first answer about a reference, or a worse one later, adds to the counters. */
export function objectIncrements(
  entry: ReferenceEntry,
  options: { first: boolean; inForce: (reference: Reference) => boolean },
): Increment[] {
  if (entry.baseline) return [];
  const increments: Increment[] = [];
  const { dagId } = entry.row;
  if (options.first) increments.push({ metric: 'references_checked_total', by: 1 });
  if (options.first && entry.objectBytes !== null)
    increments.push(
      { metric: 'bytes_total', storage: 's3', by: entry.objectBytes },
      { metric: 'value_bytes', storage: 's3', bytes: entry.objectBytes },
    );
  const reason = brokenReason(entry, options.inForce);
  if (reason !== null && !entry.said.includes(reason)) {
    entry.said.push(reason);
    increments.push({ metric: 'references_broken_total', dagId, reason, by: 1 });
    // An object that was whole at first was written well: what happened later is no failed write.
    if (options.first && (reason === 'missing' || reason === 'empty'))
      increments.push({ metric: 'write_failures_total', reason, by: 1 });
  }
  return increments;
}
