import { readShortBytes, spell, splitPath, unwrap } from '../airflow/reference.ts';
import type { RowSource } from './row-sources.ts';
import type { NamingRow } from './row-statements.ts';

/**
 * `row`: Airflow reads it. `foreign`: a path that is another row's, or a user's own. `archive`: nothing reads it. `state`:
 * of a state store. An object that any of them names is no orphan; only of the first and the last it matters when it is gone.
 */
export type NamingKind = 'row' | 'foreign' | 'archive' | 'state';

export interface NamedObject {
  /** `<bucket>/<key>`: a bucket's name has no slash. */
  readonly location: string;
  readonly kind: NamingKind;
  /** Where Airflow was writing, if the row proves it. */
  readonly base: Base | null;
}

export interface Base {
  readonly bucket: string;
  /** Without slashes at its end. */
  readonly prefix: string;
  readonly connection: string;
}

const S3_SCHEMES: readonly string[] = ['s3', 's3a', 's3n'];

/** What a row names; null: nothing in S3. `bases`: where Airflow is configured to write. */
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
  const location = `${path.bucket}/${path.key}`;
  if (source.value === 'text')
    return { location, kind: source.kind === 'archive' ? 'archive' : 'state', base: null };
  const prefix = plain === stored ? ownPrefix(source, { row, stored, key: path.key }) : null;
  const base = prefix === null ? null : { bucket: path.bucket, prefix, connection: path.connection };
  if (source.kind === 'archive') return { location, kind: 'archive', base };
  const isBelow = bases.some(
    ({ bucket, prefix: of }) => bucket === path.bucket && (of === '' || path.key.startsWith(`${of}/`)),
  );
  // The row of 3.4 does not say its dag: with a path that names no task instance its place below a base has to do.
  const namesNone =
    !source.hasPlace && plain === stored && path.key.split('/').at(-2)?.startsWith('ti-') !== true;
  const isOwn = base !== null || (namesNone && isBelow);
  return { location, kind: isOwn ? 'row' : 'foreign', base };
}

/** The prefix before the row's own dag, run and task; null: the path is not proved to be this row's. */
function ownPrefix(
  source: RowSource,
  { row, stored, key }: { row: NamingRow; stored: string; key: string },
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
  const segments = key.split('/');
  return segments.at(-2) === `ti-${row.owner}` && segments.length >= 5
    ? segments.slice(0, -5).join('/')
    : null;
}

/** JSON, of the reference in an envelope; releases before 3.3.0 had it without. */
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

/** Text of JSON in text of JSON, as the API stores what a backend returned as text. */
function unwrapJson(text: string): string {
  if (!text.startsWith('"')) return text;
  const inner = JSON.parse(text) as unknown;
  return typeof inner === 'string' && /^\s*[{"]/.test(inner) ? inner : text;
}
