import { splitBucket } from './bucket.ts';
import type { TaskIds } from './object-key.ts';
import {
  isShortenedRun,
  OBJECT_KEY_HINTS,
  parseObjectKey,
  prefixOf,
  prefixOfShortened,
  UUID4,
} from './object-key.ts';
import { readPickledString } from './pickle.ts';

/** The target of an XCom row: an object, and the connection that Airflow would use to read it. */
export interface Reference {
  readonly scheme: string;
  /** The `conn_id@` of the netloc; '' when there is none. */
  readonly connection: string;
  readonly bucket: string;
  readonly key: string;
  /** The part of the key before `<dag_id>/<run_id>/<task_id>/…`, without a slash at the end. */
  readonly prefix: string;
  /** The compression suffix with its dot, or ''. */
  readonly suffix: string;
}

/** A path split into its parts, whatever its key means. */
type Path = Pick<Reference, 'scheme' | 'connection' | 'bucket' | 'key'>;

/** The kind of a short string in a row. */
export type Spelling =
  | { readonly kind: 'own'; readonly reference: Reference }
  /** A string shaped like a reference, but of another row: the path leaked into a task. */
  | { readonly kind: 'foreign'; readonly reference: Reference }
  /** A path without a scheme, or with file://: the value is on the worker's disk. */
  | { readonly kind: 'local' }
  /** A reference in the form of a backend that is not Airflow's. */
  | { readonly kind: 'third_party' }
  | { readonly kind: 'value' };

/**
 * References of the S3 backend of astronomer-providers (`s3_xcom_<uuid4>[_dataframe][.gz]`) and of the backend in
 * Astronomer's guide (`xcom_s3://[<run_id>/<task_id>/]data_<uuid4>[.csv]`). Postgres reads the pattern as well.
 */
const THIRD_PARTY_FORM = `(s3_xcom_|xcom_s3://([^ ]*[/_])?)${UUID4}[A-Za-z0-9_.]*`;
const THIRD_PARTY = new RegExp(`^${THIRD_PARTY_FORM}$`);

/** Schemes of web pages: fsspec reads pages but never writes them, so no backend can have made such a path. */
const PAGE_SCHEMES: ReadonlySet<string> = new Set(['http', 'https']);

/**
 * A pattern for Postgres. It matches every string that {@link spell} may call something other than a value, and keeps
 * other values in the database. Quotes and backslashes at the end come from JSON text inside JSON text.
 */
export const REFERENCE_HINT = [...OBJECT_KEY_HINTS, `^[\\\\"]*${THIRD_PARTY_FORM}[\\\\"]*$`].join('|');

/**
 * Splits a path as Airflow stores it. A URL parser would be wrong: a run_id may contain `?` and `#`, and the key is
 * verbatim, without percent-encoding (airflow `task-sdk/src/airflow/sdk/io/path.py`).
 */
export function splitPath(text: string): Path | null {
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/]*)\/(.+)$/s.exec(text);
  if (match === null) return null;
  const [, scheme = '', netloc = '', rest = ''] = match;
  const at = netloc.lastIndexOf('@');
  const host = netloc.slice(at + 1);
  // universal-pathlib before 0.3 (Airflow 3.2) gives s3n no host: it writes `s3n://conn_id@/bucket/key`.
  const { bucket, key } = splitBucket(host === '' && scheme === 's3n' ? rest : `${host}/${rest}`);
  return { scheme, connection: at < 0 ? '' : netloc.slice(0, at), bucket, key };
}

/** Whether a run with these ids exists. */
export type IsRun = (dagId: string, runId: string) => boolean;

/**
 * Tells the kind of a short string. A string is a reference only if it has the whole form that the backend writes, with
 * the dag, run and task of its own row: tasks may return S3 URIs as values. With the ids of another run that exists,
 * the string is a reference of another row.
 */
export function spell(
  text: string,
  row: TaskIds,
  { taskInstanceId, isRun }: { readonly taskInstanceId: string | null; readonly isRun: IsRun },
): Spelling {
  const unwrapped = unwrap(text);
  if (THIRD_PARTY.test(unwrapped)) return { kind: 'third_party' };
  const path = splitPath(unwrapped);
  if (path === null) {
    const key = parseObjectKey(unwrapped.replace(/^\//, ''));
    return key !== null && prefixOf(key.folder, row) !== null && !unwrapped.includes('://')
      ? { kind: 'local' }
      : { kind: 'value' };
  }
  if (PAGE_SCHEMES.has(path.scheme)) return { kind: 'value' };
  const key = parseObjectKey(path.key);
  if (key === null) return { kind: 'value' };
  const host = `${path.scheme}://${path.connection === '' ? '' : `${path.connection}@`}${path.bucket}`;
  const prefix =
    prefixOf(key.folder, row) ??
    prefixOfShortened(key, { host, ids: row }) ??
    // The ids may be shortened in an unknown way: the id of the task instance is proof enough.
    (key.owner === 'ti-' && key.uuid === taskInstanceId ? prefixBeforeThree(key.folder) : null);
  const isDisk = path.scheme === 'file' || path.scheme === 'local';
  if (prefix !== null) {
    if (isDisk) return { kind: 'local' };
    // Airflow passes a path that is encoded once more (REST PATCH before 3.2) on as a value, even the row's own path.
    const kind = unwrapped === text ? 'own' : 'foreign';
    return { kind, reference: referenceOf(path, { prefix, suffix: key.suffix }) };
  }
  if (isDisk) return { kind: 'value' };
  const isOther = (dagId: string, runId: string) =>
    (dagId === row.dagId && runId === row.runId) || isRun(dagId, runId);
  const other =
    prefixOfRun(key.folder, isOther) ??
    (key.owner !== '' && isShortenedRun(key.folder, { path: unwrapped, ids: row })
      ? prefixBeforeThree(key.folder)
      : null);
  return other === null
    ? { kind: 'value' }
    : { kind: 'foreign', reference: referenceOf(path, { prefix: other, suffix: key.suffix }) };
}

/** The fields are written out, without a spread, because there may be a million references. */
function referenceOf(
  { scheme, connection, bucket, key }: Path,
  { prefix, suffix }: Pick<Reference, 'prefix' | 'suffix'>,
): Reference {
  return { scheme, connection, bucket, key, prefix, suffix };
}

function prefixBeforeThree(folder: string): string {
  return folder.split('/').slice(0, -3).join('/');
}

/** Finds `<dag_id>/<run_id>/<task_id>` of a run that exists at the end of a folder; a run_id may hold slashes. */
function prefixOfRun(folder: string, isRun: IsRun): string | null {
  const segments = folder.split('/');
  for (let dagAt = segments.length - 3; dagAt >= 0; dagAt -= 1)
    if (isRun(segments[dagAt] ?? '', segments.slice(dagAt + 1, -1).join('/')))
      return segments.slice(0, dagAt).join('/');
  return null;
}

/** Decodes JSON text of a JSON string, twice at most: the REST API before 3.2 encodes the rows that it sets again. */
export function unwrap(text: string): string {
  let current = text;
  for (let depth = 0; depth < 2 && current.startsWith('"'); depth += 1) {
    try {
      const parsed: unknown = JSON.parse(current);
      if (typeof parsed !== 'string') return current;
      current = parsed;
    } catch {
      return current;
    }
  }
  return current;
}

/** The string in a `bytea` value of Airflow 2: JSON text, or a pickled string (never unpickled). */
export function readShortBytes(bytes: Uint8Array): string | null {
  if (bytes[0] === 0x80) return readPickledString(bytes);
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof parsed === 'string' ? parsed : null;
  } catch {
    return null;
  }
}

/**
 * True for the keys under `<base>/<dag_id>/<run_id>/` that the backend itself writes: a task id, which has no slash,
 * and a leaf. A deeper key belongs to another run, or to the task state store of 3.3 (`<task_id>/<map_index>/<key>`).
 */
export function isBackendKey(keyBelowRun: string): boolean {
  const key = parseObjectKey(keyBelowRun);
  return key !== null && !key.folder.includes('/');
}
