import { createHash } from 'node:crypto';

/**
 * The grammar of the keys that the object storage backend writes, for both directions.
 *
 * Up to Airflow 3.3 `<prefix>/<dag_id>/<run_id>/<task_id>/<uuid4>[.suffix]` (common-io
 * `XComObjectStorageBackend.serialize_value`). From 3.4 with common-io 1.11
 * `<prefix>/<dag_id>/<run_id>/<task_id>/<ti-|write-><uuid>/<quoted key>.json[.suffix]` (`XComCoordinate.build_path` in the
 * Task SDK). Only the quoted key is encoded; a run_id may hold slashes where `allowed_run_id_pattern` lets it.
 */
export interface ObjectKey {
  /** What stands before the part that the backend makes up: `<prefix>/<dag_id>/<run_id>/<task_id>`. */
  readonly folder: string;
  /** Before the uuid: nothing up to Airflow 3.3, `ti-` or `write-` from 3.4 on. */
  readonly owner: '' | 'ti-' | 'write-';
  readonly uuid: string;
  /** The quoted key, or its digest; '' up to Airflow 3.3. */
  readonly name: string;
  /** The compression suffix with its dot, or ''. */
  readonly suffix: string;
}

/** Whose object it is. */
export interface TaskIds {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
}

export const UUID4 = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
export const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
/** What fsspec appends for a compression that Airflow accepts: a path that ends otherwise is a task's own file. */
export const SUFFIX = '(\\.(?:gz|zip|bz2|xz|lzma|lz4|zst))?';

const LEAF_UUID = new RegExp(`^(${UUID4})${SUFFIX}$`);
const LEAF_NAMED = new RegExp(`^(.*?)\\.json${SUFFIX}$`, 's');
const OWNER = new RegExp(`^(ti-|write-)(${UUID})$`);

/** Patterns for Postgres that every text which ends in such a key matches, with whatever quotes JSON put around it. */
export const OBJECT_KEY_HINTS: readonly string[] = [
  `(^|/)${UUID4}(\\.[a-z0-9]+)?[\\\\"]*$`,
  `/(ti|write)-${UUID}/[^/]*\\.json(\\.[a-z0-9]+)?[\\\\"]*$`,
];

/** Null: no backend has written such a key. */
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

/** The prefix before the ids, where a folder ends in them; null: it is another's, or they are shortened. */
export function prefixOf(folder: string, { dagId, runId, taskId }: TaskIds): string | null {
  const ids = `${dagId}/${runId}/${taskId}`;
  return prefixBefore(folder, ids) ?? (hasDot.test(ids) ? prefixBefore(folder, withoutDots(ids)) : null);
}

function prefixBefore(folder: string, ids: string): string | null {
  if (folder === ids) return '';
  return folder.endsWith(`/${ids}`) ? folder.slice(0, -ids.length - 1) : null;
}

const hasDot = /(?:^|\/)\.(?:\/|$)/;

/** As a path is written before universal-pathlib 0.3 (Airflow 3.2): its segments of one dot are lost, and nothing else is. */
export function withoutDots(path: string): string {
  return path
    .split('/')
    .filter((segment) => segment !== '.')
    .join('/');
}

/** From 3.4 on a whole path has so many bytes at most, and ids that make it longer are cut, … */
const MAX_PATH_BYTES = 1024;
/** … but not below so many. */
const LEAST_ID_BYTES = 8;

/**
 * The prefix before ids that were shortened: where the backend, given the ids, makes the very same key of it. Null: there
 * is none. `host`: what stands before the key in the path, `s3://conn_id@bucket`.
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

/** A character has four bytes at most, and a path in the root of a bucket one less than all others. */
const LEAST_SHORTENED_BYTES = MAX_PATH_BYTES - 4;

/** Whether a folder can be that of another task of the same run, in a path that is as long as one whose ids were cut. */
export function isShortenedRun(
  folder: string,
  { path, ids: { dagId, runId } }: { readonly path: string; readonly ids: TaskIds },
): boolean {
  if (Buffer.byteLength(path) < LEAST_SHORTENED_BYTES) return false;
  const [dag = '', run = ''] = folder.split('/').slice(-3);
  return dag !== '' && dagId.startsWith(dag) && run !== '' && runId.startsWith(run);
}

/** As `build_path` does: the longest of the ids, the first of them, loses the character at its end until all fits. Null: it never does. */
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

/** What an object of this key is called (`_build_object_name` in the Task SDK). */
export function nameOfKey(key: string): string {
  const quoted = /^\.*$/.test(key) ? key.replaceAll('.', '%2E') : quote(key);
  if (quoted.length <= LONGEST_QUOTED) return quoted;
  return createHash('sha256').update(key).digest('hex');
}

/** Python's `urllib.parse.quote(…, safe='')`. */
function quote(text: string): string {
  if (/^[\w.~-]*$/.test(text)) return text;
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
