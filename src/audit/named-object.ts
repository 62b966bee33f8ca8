import { readShortBytes, spell, splitPath, unwrap } from '../airflow/reference.ts';
import type { RowSource } from './row-sources.ts';
import type { NamingRow } from './row-statements.ts';

/**
 * `row`: Airflow reads the row. `foreign`: the path is another row's, or a user's own. `archive`: nothing reads it.
 * `state`: the row is of a state store. An object that any of them names is no orphan. A missing object matters only
 * for `row` and `state`.
 */
export type NamingKind = 'row' | 'foreign' | 'archive' | 'state';

export interface NamedObject {
  /** `<bucket>/<key>`. A bucket's name has no slash, but the ARN of an access point has one. */
  readonly location: string;
  /** The connection that Airflow would read it with; '' when the path names none. */
  readonly connection: string;
  readonly kind: NamingKind;
  /** The place that Airflow was writing to; null when the row does not prove it. */
  readonly base: Base | null;
}

export interface Base {
  readonly bucket: string;
  /** Without slashes at its end. */
  readonly prefix: string;
  readonly connection: string;
}

const S3_SCHEMES: readonly string[] = ['s3', 's3a', 's3n'];

/** The object in S3 that a row names, or null. `bases`: the places that Airflow writes or wrote to. */
export function namedObject(
  source: RowSource,
  row: NamingRow,
  bases: readonly Omit<Base, 'connection'>[],
): NamedObject | null {
  const text = row.raw === null ? row.text : readShortBytes(row.raw);
  if (text === null) return null;
  const stored = source.value === 'text' ? stateReference(text) : text;
  const plain = stored === null ? null : unwrap(stored);
  const path = plain === null ? null : splitPath(plain);
  if (path === null || stored === null || !S3_SCHEMES.includes(path.scheme)) return null;
  const { connection } = path;
  const location = `${path.bucket}/${path.key}`;
  if (source.value === 'text')
    return { location, connection, kind: source.kind === 'archive' ? 'archive' : 'state', base: null };
  const around = bases.filter((one) => one.bucket === path.bucket && isBelow(one, path.key));
  const prefix = plain === stored ? ownPrefix(source, { row, stored, key: path.key, around }) : null;
  const base = prefix === null ? null : { bucket: path.bucket, prefix, connection };
  if (source.kind === 'archive') return { location, connection, kind: 'archive', base };
  // A row of 3.4 does not hold its dag. If its path names no task instance either, a place below a base is enough.
  const namesNone =
    !source.hasPlace && plain === stored && path.key.split('/').at(-2)?.startsWith('ti-') !== true;
  const isOwn = base !== null || (namesNone && around.length > 0);
  return { location, connection, kind: isOwn ? 'row' : 'foreign', base };
}

/** The prefix before the row's own dag, run and task; null when nothing proves that the path is this row's. */
function ownPrefix(
  source: RowSource,
  {
    row,
    stored,
    key,
    around,
  }: { row: NamingRow; stored: string; key: string; around: readonly Pick<Base, 'prefix'>[] },
): string | null {
  if (source.hasPlace) {
    const { dagId, runId, taskId } = row;
    if (dagId === null || runId === null || taskId === null) return null;
    const spelling = spell(
      stored,
      { dagId, runId, taskId },
      {
        taskInstanceId: null,
        isRun: (dag, run) => dag === dagId && run === runId,
      },
    );
    return spelling.kind === 'own' ? spelling.reference.prefix : null;
  }
  if (key.split('/').at(-2) !== `ti-${row.owner}`) return null;
  // The run may hold slashes, so a place that is known comes before one that ends where a plain run would begin.
  const known = around.filter(({ prefix }) => segmentsBelow(prefix, key) >= LEAST_SEGMENTS);
  const [innermost] = known.toSorted((a, b) => b.prefix.length - a.prefix.length);
  if (innermost !== undefined) return innermost.prefix;
  return segmentsBelow('', key) >= LEAST_SEGMENTS ? key.split('/').slice(0, -LEAST_SEGMENTS).join('/') : null;
}

/** Dag, run, task, task instance and name. */
const LEAST_SEGMENTS = 5;

function segmentsBelow(prefix: string, key: string): number {
  return key.split('/').length - (prefix === '' ? 0 : prefix.split('/').length);
}

function isBelow({ prefix }: Pick<Base, 'prefix'>, key: string): boolean {
  return prefix === '' || key.startsWith(`${prefix}/`);
}

/** Reads a reference from JSON with an envelope; releases before 3.3.0 stored the reference without the envelope. */
function stateReference(text: string): string | null {
  try {
    const value = JSON.parse(unwrapJson(text)) as unknown;
    if (typeof value === 'string') return value;
    const reference = Object(value) as { __airflow_state_ref__?: unknown };
    const { __airflow_state_ref__: path } = reference;
    return typeof path === 'string' ? path : null;
  } catch {
    return null;
  }
}

/** Unwraps JSON text inside JSON text, which the API stores when a backend returned text. */
function unwrapJson(text: string): string {
  if (!text.startsWith('"')) return text;
  const inner = JSON.parse(text) as unknown;
  return typeof inner === 'string' && /^\s*[{"]/.test(inner) ? inner : text;
}
