import { readPickledString } from './pickle.ts';

/** Where an XCom row points: an object, and the connection that Airflow would use to read it. */
export interface Reference {
  readonly scheme: string;
  /** The `conn_id@` of the netloc; '' when there is none. */
  readonly connection: string;
  readonly bucket: string;
  readonly key: string;
  /** The part of the key before `<dag_id>/<run_id>/<task_id>/…`, without slash at the end. */
  readonly prefix: string;
  /** The compression suffix with its dot, or ''. */
  readonly suffix: string;
}

/** The coordinates of a row, which the path of its own reference repeats. */
export interface RowPlace {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
}

/** What a short string in a row is. */
export type Spelling =
  | { readonly kind: 'own'; readonly reference: Reference }
  /** Shaped like a reference, but of another row: the path leaked into a task. */
  | { readonly kind: 'foreign'; readonly reference: Reference }
  /** A path without a scheme, or file://: written to the worker's disk. */
  | { readonly kind: 'local' }
  /** A reference in the form of a backend that is not Airflow's. */
  | { readonly kind: 'third_party' }
  | { readonly kind: 'value' };

export const UUID4 = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
export const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
/** What fsspec appends for a compression that Airflow accepts: a path that ends otherwise is a task's own file. */
export const SUFFIX = '(\\.(?:gz|zip|bz2|xz|lzma|lz4|zst))?';
const THIRD_PARTY = '^(?:s3_xcom_|xcom_s3://)';

/** Leaf up to Airflow 3.3: `<task_id>/<uuid4>[.suffix]` (common-io `XComObjectStorageBackend._get_key`). */
const LEAF_UUID = new RegExp(`^${UUID4}${SUFFIX}$`);
/** Leaf from Airflow 3.4 with common-io 1.11: `ti-<task instance id>/<quoted key>.json[.suffix]`. */
const LEAF_KEYED = new RegExp(`^(?:ti|write)-${UUID}/[^/]+\\.json${SUFFIX}$`);

/** Pages, not objects: fsspec reads them and never writes them, so a backend cannot have made such a path. */
const PAGE_SCHEMES: ReadonlySet<string> = new Set(['http', 'https']);

/**
 * A pattern for Postgres that every string {@link spell} could call anything but a value matches. It keeps
 * other values from leaving the database. Quotes and backslashes at the end are those of JSON text in JSON text.
 */
export const REFERENCE_HINT = [
  `(^|/)${UUID4}(\\.[a-z0-9]+)?[\\\\"]*$`,
  `/(ti|write)-${UUID}/[^/]+\\.json(\\.[a-z0-9]+)?[\\\\"]*$`,
  '^[\\\\"]*(s3_xcom_|xcom_s3://)',
].join('|');

/**
 * Splits a path as Airflow stores it. No URL parser: `?` and `#` may stand in a run_id and the key is
 * verbatim, without percent-encoding (airflow `task-sdk/src/airflow/sdk/io/path.py`).
 */
export function splitPath(text: string): { scheme: string; connection: string; bucket: string; key: string } | null {
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/]*)\/(.+)$/s.exec(text);
  if (match === null) return null;
  const [, scheme = '', netloc = '', key = ''] = match;
  const at = netloc.lastIndexOf('@');
  return { scheme, connection: at < 0 ? '' : netloc.slice(0, at), bucket: netloc.slice(at + 1), key };
}

/** Finds `/<dag_id>/<run_id>/<task_id>/` in the key, as the row has them, followed by a leaf of the backend. */
function ownTail(key: string, row: RowPlace): { prefix: string; suffix: string } | null {
  const middle = `/${row.dagId}/${row.runId}/${row.taskId}/`;
  const whole = `/${key}`;
  const start = whole.lastIndexOf(middle);
  if (start < 0) return null;
  const leaf = whole.slice(start + middle.length);
  const match = LEAF_UUID.exec(leaf) ?? LEAF_KEYED.exec(leaf);
  if (match === null) return null;
  return { prefix: whole.slice(1, Math.max(start, 1)), suffix: match[1] ?? '' };
}

/**
 * From 3.4 on, ids are shortened where the path would exceed 1,024 bytes; the leaf then still names the
 * task instance (`ti-<id>`), which is proof enough.
 */
function ownByTaskInstance(
  key: string,
  taskInstanceId: string | null,
): { prefix: string; suffix: string } | null {
  if (taskInstanceId === null) return null;
  const at = key.lastIndexOf(`/ti-${taskInstanceId}/`);
  if (at < 0) return null;
  const match = LEAF_KEYED.exec(key.slice(at + 1));
  if (match === null) return null;
  const segments = key.slice(0, at).split('/');
  return { prefix: segments.slice(0, -3).join('/'), suffix: match[1] ?? '' };
}

function isForeignShape(key: string): boolean {
  const segments = key.split('/');
  const leaf = segments.at(-1) ?? '';
  if (segments.length >= 4 && LEAF_UUID.test(leaf)) return true;
  return segments.length >= 5 && LEAF_KEYED.test(segments.slice(-2).join('/'));
}

export interface SpellOptions {
  readonly taskInstanceId?: string | null;
  /** Where Airflow is configured to write. */
  readonly bases: readonly { readonly bucket: string; readonly prefix: string }[];
}

/**
 * Says what a short string is. A string is a reference only if dag, run and task in its path are its own
 * row's and the leaf is the backend's; tasks legitimately return S3 URIs.
 */
export function spell(text: string, row: RowPlace, options: SpellOptions): Spelling {
  const unwrapped = unwrap(text);
  if (new RegExp(THIRD_PARTY).test(unwrapped)) return { kind: 'third_party' };
  const path = splitPath(unwrapped);
  if (path === null) {
    const relative = unwrapped.replace(/^\//, '');
    return ownTail(relative, row)?.prefix !== undefined && !/\s*:\/\//.test(unwrapped)
      ? { kind: 'local' }
      : { kind: 'value' };
  }
  if (PAGE_SCHEMES.has(path.scheme)) return { kind: 'value' };
  const own = ownTail(path.key, row) ?? ownByTaskInstance(path.key, options.taskInstanceId ?? null);
  if (path.scheme === 'file' || path.scheme === 'local')
    return own === null ? { kind: 'value' } : { kind: 'local' };
  // Encoded once more (REST PATCH before 3.2), Airflow hands the path on for a value whoever's it is.
  if (own !== null) return { kind: unwrapped === text ? 'own' : 'foreign', reference: { ...path, ...own } };
  const base = options.bases.find(
    ({ bucket, prefix }) => bucket === path.bucket && (prefix === '' || path.key.startsWith(`${prefix}/`)),
  );
  // Elsewhere a path that ends in a uuid may be a user's own, unless it names the row's own run.
  const sameRun = `/${path.key}`.includes(`/${row.dagId}/${row.runId}/`);
  if ((base !== undefined || sameRun) && isForeignShape(path.key))
    return { kind: 'foreign', reference: { ...path, prefix: base?.prefix ?? '', suffix: '' } };
  return { kind: 'value' };
}

/** JSON text of a JSON string, twice at most: rows set by the REST API before 3.2 are encoded again. */
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

/** The string that a `bytea` value of Airflow 2 holds: JSON text, or a pickled string (never unpickled). */
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
 * True for the keys under `<base>/<dag_id>/<run_id>/` that the backend itself writes: a task id, which holds no
 * slash, and a leaf. What lies deeper is of another run, or of the task state store of 3.3 (`<task_id>/<map_index>/<key>`).
 */
export function isBackendKey(keyBelowRun: string): boolean {
  const leaf = keyBelowRun.replace(/^[^/]*\//, '');
  return leaf !== keyBelowRun && (LEAF_UUID.test(leaf) || LEAF_KEYED.test(leaf));
}
