import type { Histogram } from '../lib/histogram.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';
import type { RememberedRow } from '../window/remembered-row.ts';
import type { PathOwner } from './leaked-paths.ts';

/** A place that stands out, e.g. `{label: 'queue', value: 'legacy', rows: 12}`. */
export interface Place {
  readonly label: string;
  readonly value: string;
  readonly rows: number;
}

/** Rows of one kind: how many, where most of them are, and the latest. */
export interface Evidence {
  readonly rows: number;
  readonly where: readonly Place[];
  readonly findings: readonly Finding[];
  /** When the first and the last of the rows were written, epoch ms; null: there is no row. */
  readonly written: Written | null;
}

export interface Written {
  readonly first: number;
  readonly last: number;
}

/** The most rows that are named for one problem: the API gives them all in one answer. */
export const MAX_FINDINGS = 500;
/** The most places of each kind that are named. */
const MAX_PLACES = 3;

export const NO_EVIDENCE: Evidence = { rows: 0, where: [], findings: [], written: null };

/** The names that most rows have. Rows without a name do not count. */
export function topPlaces(
  label: string,
  { counts, nameOf }: { counts: Pick<Histogram, 'each'>; nameOf: (number: number) => string | null },
): readonly Place[] {
  const rows = new Map<string, number>();
  counts.each((number, count) => {
    const name = nameOf(number);
    if (name !== null && name !== '') rows.set(name, (rows.get(name) ?? 0) + count);
  });
  return [...rows]
    .map(([value, count]) => ({ label, value, rows: count }))
    .sort((a, b) => b.rows - a.rows || inOrder(a.value, b.value))
    .slice(0, MAX_PLACES);
}

/** The latest first. Findings of one moment are ordered by their names, since a database returns rows in no order. */
export function byTime(a: Finding, b: Finding): number {
  return (
    b.at - a.at ||
    inOrder(a.dagId, b.dagId) ||
    inOrder(a.runId, b.runId) ||
    inOrder(a.taskId, b.taskId) ||
    a.mapIndex - b.mapIndex ||
    inOrder(a.key, b.key)
  );
}

function inOrder(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

export function finding(
  { row, worker, placement, objectBytes }: RememberedRow,
  pathOf: PathOwner | null,
): Finding {
  return {
    dagId: row.dagId,
    runId: row.runId,
    taskId: row.taskId,
    mapIndex: row.mapIndex,
    key: row.key,
    bytes: placement.storage === 's3' ? objectBytes : placement.bytes,
    queue: worker?.queue ?? null,
    executor: worker?.executor ?? null,
    hostname: worker?.hostname ?? null,
    operator: worker?.operator ?? null,
    at: row.at,
    object: objectOf(placement),
    pathOf,
  };
}

/** The connection is left out: a row may hold a key and its secret in its place. */
function objectOf(
  placement: RememberedRow['placement'],
): { readonly bucket: string; readonly key: string } | null {
  if (placement.storage !== 's3') return null;
  const reference = placement.leaked ? placement.path : placement.reference;
  if (reference === null) return null;
  return { bucket: withoutPasswords(reference.bucket), key: withoutPasswords(reference.key) };
}

/** One row behind a problem. Never holds the value. */
export interface Finding {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
  readonly mapIndex: number;
  readonly key: string;
  readonly bytes: number | null;
  readonly queue: string | null;
  readonly executor: string | null;
  readonly hostname: string | null;
  readonly operator: string | null;
  /** The row's own timestamp, epoch ms. */
  readonly at: number;
  /** The object that the row points at; null: the row points at none. Absent in the state files of older versions. */
  readonly object?: { readonly bucket: string; readonly key: string } | null;
  /** The row whose path this one holds; null: it holds no path of another row. */
  readonly pathOf?: PathOwner | null;
}
