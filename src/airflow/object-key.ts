import { createHash } from 'node:crypto';

/**
 * The grammar of the keys that the object storage backend writes, for reading and for building them.
 *
 * Up to Airflow 3.3 `<prefix>/<dag_id>/<run_id>/<task_id>/<uuid4>[.suffix]` (common-io
 * `XComObjectStorageBackend.serialize_value`). From 3.4 with common-io 1.11
 * `<prefix>/<dag_id>/<run_id>/<task_id>/<ti-|write-><uuid>/<quoted key>.json[.suffix]` (`XComCoordinate.build_path` in
 * the Task SDK). Only the quoted key is encoded; a run_id may hold slashes where `allowed_run_id_pattern` lets it.
 */
export interface ObjectKey {
  /** The part before the name that the backend generates: `<prefix>/<dag_id>/<run_id>/<task_id>`. */
  readonly folder: string;
  /** The text before the uuid: nothing up to Airflow 3.3, `ti-` or `write-` from 3.4 on. */
  readonly owner: '' | 'ti-' | 'write-';
  readonly uuid: string;
  /** The quoted key, or its digest; '' up to Airflow 3.3. */
  readonly name: string;
  /** The compression suffix with its dot, or ''. */
  readonly suffix: string;
}

/** The task that an object belongs to. */
export interface TaskIds {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
}

export const UUID4 = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
export const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
/** The suffix that fsspec appends for a compression that Airflow accepts. Another ending means a task's own file. */
export const SUFFIX = '(\\.(?:gz|zip|bz2|xz|lzma|lz4|zst))?';

const LEAF_UUID = new RegExp(`^(${UUID4})${SUFFIX}$`);
const LEAF_NAMED = new RegExp(`^(.*?)\\.json${SUFFIX}$`, 's');
const OWNER = new RegExp(`^(ti-|write-)(${UUID})$`);

/**
 * Patterns for Postgres. Every text that ends in such a key matches one of them, whatever quotes JSON put around it.
 */
export const OBJECT_KEY_HINTS: readonly string[] = [
  `(^|/)${UUID4}(\\.[a-z0-9]+)?[\\\\"]*$`,
  `/(ti|write)-${UUID}/[^/]*\\.json(\\.[a-z0-9]+)?[\\\\"]*$`,
];

/** Null: no backend writes such a key. */
export function parseObjectKey(key: string): ObjectKey | null {
  const leafAt = key.lastIndexOf('/');
  if (leafAt <= 0) return null;
  const leaf = key.slice(leafAt + 1);
  const plain = LEAF_UUID.exec(leaf);
  if (plain !== null) {
    const [, uuid = '', suffix = ''] = plain;
    return { folder: key.slice(0, leafAt), owner: '', uuid, name: '', suffix };
  }
  const ownerAt = key.lastIndexOf('/', leafAt - 1);
  if (ownerAt <= 0) return null;
  const owned = OWNER.exec(key.slice(ownerAt + 1, leafAt));
  const named = LEAF_NAMED.exec(leaf);
  if (owned === null || named === null) return null;
  const [, owner = '', uuid = ''] = owned;
  const [, name = '', suffix = ''] = named;
  return { folder: key.slice(0, ownerAt), owner: owner as ObjectKey['owner'], uuid, name, suffix };
}

export function formatObjectKey({ folder, owner, uuid, name, suffix }: ObjectKey): string {
  return owner === '' ? `${folder}/${uuid}${suffix}` : `${folder}/${owner}${uuid}/${name}.json${suffix}`;
}

export function folderOf(prefix: string, { dagId, runId, taskId }: TaskIds): string {
  return `${prefix === '' ? '' : `${prefix}/`}${dagId}/${runId}/${taskId}`;
}

/**
 * The prefix before the ids at the end of a folder; null: the folder belongs to another task, or the ids are shortened.
 */
export function prefixOf(folder: string, { dagId, runId, taskId }: TaskIds): string | null {
  const ids = `${dagId}/${runId}/${taskId}`;
  return prefixBefore(folder, ids) ?? (hasDot.test(ids) ? prefixBefore(folder, withoutDots(ids)) : null);
}

function prefixBefore(folder: string, ids: string): string | null {
  if (folder === ids) return '';
  return folder.endsWith(`/${ids}`) ? folder.slice(0, -ids.length - 1) : null;
}

const hasDot = /(?:^|\/)\.(?:\/|$)/;

/** Writes a path as universal-pathlib before 0.3 (Airflow 3.2) does: it drops segments of one dot, and nothing else. */
export function withoutDots(path: string): string {
  return path
    .split('/')
    .filter((segment) => segment !== '.')
    .join('/');
}

/** How many bytes a whole path has at most, from 3.4 on. Airflow cuts the ids of a longer path. */
const MAX_PATH_BYTES = 1024;
/** How many bytes Airflow leaves of an id at least when it cuts. */
const LEAST_ID_BYTES = 8;

/**
 * The prefix before shortened ids: the one with which the backend would build this very key from the ids. Null: no
 * prefix does. `host`: the part of the path before the key, `s3://conn_id@bucket`.
 */
export function prefixOfShortened(
  key: ObjectKey,
  { host, ids }: { readonly host: string; readonly ids: TaskIds },
): string | null {
  if (key.owner === '') return null;
  const segments = key.folder.split('/');
  for (let at = segments.length - 3; at >= 0; at -= 1) {
    const prefix = segments.slice(0, at).join('/');
    const shortened = shortenIds(ids, { host, prefix, key });
    if (shortened !== null && folderOf(prefix, shortened) === key.folder) return prefix;
  }
  return null;
}

/** The least length of a shortened path. A character has at most 4 bytes; a path in a bucket's root is one shorter. */
const LEAST_SHORTENED_BYTES = MAX_PATH_BYTES - 4;

/**
 * Whether a folder may belong to another task of the same run, and the path is long enough for ids to have been cut.
 */
export function isShortenedRun(
  folder: string,
  { path, ids: { dagId, runId } }: { readonly path: string; readonly ids: TaskIds },
): boolean {
  if (Buffer.byteLength(path) < LEAST_SHORTENED_BYTES) return false;
  const [dag = '', run = ''] = folder.split('/').slice(-3);
  return dag !== '' && dagId.startsWith(dag) && run !== '' && runId.startsWith(run);
}

/**
 * Shortens ids as `build_path` does: while the path is too long, the longest id (the first of equals) loses its last
 * character. Null: the path never fits.
 */
export function shortenIds(
  { dagId, runId, taskId }: TaskIds,
  { host, prefix, key }: { readonly host: string; readonly prefix: string; readonly key: ObjectKey },
): TaskIds | null {
  const ids = [dagId, runId, taskId].map((text) => ({ text, bytes: Buffer.byteLength(text) }));
  const rest = formatObjectKey({ ...key, folder: '' });
  const room = MAX_PATH_BYTES - Buffer.byteLength(`${host}/${prefix}`) - 1;
  let bytes = Buffer.byteLength(rest) + ids.reduce((sum, id) => sum + id.bytes, 0) + ids.length - 1;
  while (bytes > room) {
    const longest = ids.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    if (longest.bytes <= LEAST_ID_BYTES) return null;
    const isPair = (longest.text.codePointAt(longest.text.length - 2) ?? 0) > 0xffff;
    const cut = longest.text.slice(isPair ? -2 : -1);
    longest.text = longest.text.slice(0, -cut.length);
    longest.bytes -= Buffer.byteLength(cut);
    bytes -= Buffer.byteLength(cut);
  }
  const [dag, run, task] = ids.map(({ text }) => text);
  return { dagId: dag ?? '', runId: run ?? '', taskId: task ?? '' };
}

const LONGEST_QUOTED = 200;

/** The name of the object for an XCom key (`_build_object_name` in the Task SDK). */
export function nameOfKey(key: string): string {
  const quoted = /^\.*$/.test(key) ? key.replaceAll('.', '%2E') : quote(key);
  if (quoted.length <= LONGEST_QUOTED) return quoted;
  return createHash('sha256').update(key).digest('hex');
}

/** Does the same as Python's `urllib.parse.quote(…, safe='')`. */
function quote(text: string): string {
  if (/^[\w.~-]*$/.test(text)) return text;
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
