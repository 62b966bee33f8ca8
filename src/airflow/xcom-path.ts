import { splitBucket } from './bucket.ts';
import { withoutDots } from './object-key.ts';
import type { Reference } from './reference.ts';

/**
 * Where Airflow is told to put XCom objects, taken apart as its `ObjectStoragePath` does: no percent-decoding, the
 * connection id is all that stands before the last `@` of the host part.
 */
export interface XComPath {
  /** Without the line breaks and tabs that Airflow leaves out. */
  readonly raw: string;
  /** In lower case; '' when the path has none, which is a folder on the worker's own disk. */
  readonly scheme: string;
  readonly connection: string | null;
  /** '' for a path on a disk. */
  readonly bucket: string;
  /**
   * No slash at the end; '' when there is none. Slashes at the start and inside count: `s3://b//a//c/` has `/a//c`. For
   * a path on a disk the whole of it.
   */
  readonly prefix: string;
}

const s3Schemes: readonly string[] = ['s3', 's3a', 's3n'];
const diskSchemes: readonly string[] = ['', 'file', 'local'];

/** True when objects under this path are in S3; the exporter can only name anything else. */
export function isS3Path(path: XComPath): boolean {
  return s3Schemes.includes(path.scheme);
}

/**
 * Paths separated by commas; none for an empty text. A comma that is no start of another URL belongs to the path.
 *
 * @throws {RangeError} when one of them names no bucket, or names keys where a connection id belongs.
 */
export function parseXComPaths(text: string): readonly XComPath[] {
  const parts = text.split(/,(?=\s*(?:[a-z][a-z0-9+.-]*:\/\/|$))/i).filter((part) => part.trim() !== '');
  // Airflow takes one path alone, and a space at its end is part of it.
  return parts.map((part) => parseXComPath(parts.length === 1 ? part : part.trim()));
}

/** As Python's `urlsplit`, which Airflow's path goes through, leaves out what it does not take for a part of a URL. */
function asAirflowReads(text: string): string {
  return text.replace(/^[\x00-\x20]+/, '').replace(/[\t\r\n]/g, '');
}

/** @throws {RangeError} as `parseXComPaths`. */
export function parseXComPath(text: string): XComPath {
  const raw = asAirflowReads(text);
  const [, givenScheme, rest = raw] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(raw) ?? [];
  const scheme = givenScheme?.toLowerCase() ?? '';
  if (diskSchemes.includes(scheme)) {
    if (/^s3[an]?:/i.test(raw))
      throw new RangeError(`${JSON.stringify(raw)} is no URL: write s3:// with two slashes`);
    return { raw, scheme, connection: null, bucket: '', prefix: withoutEndSlashes(rest) };
  }

  const [netloc = ''] = rest.split('/', 1);
  const at = netloc.lastIndexOf('@');
  const connection = at > 0 ? netloc.slice(0, at) : null;
  const { bucket, key } = splitBucket(rest.slice(at + 1));
  // Does not repeat the text: what stands there is likely a secret key.
  if (connection !== null && /:|%3a/i.test(connection)) {
    throw new RangeError(
      'what stands before the @ must be the id of an Airflow connection, not a key and its secret',
    );
  }
  if (bucket === '')
    throw new RangeError(`${JSON.stringify(raw)} names no bucket: write s3://[conn_id@]bucket[/prefix]`);
  return { raw, scheme, connection, bucket, prefix: withoutEndSlashes(key) };
}

function withoutEndSlashes(text: string): string {
  return text.replace(/\/+$/, '');
}

export type InForceRule = (reference: Omit<Reference, 'key'>) => boolean;

/**
 * True for a reference that Airflow, as configured, can read back: what lies at or below a path (`is_relative_to` in the
 * backend's `_get_full_path`). Several paths are those of several pools of workers. Nothing is known against a reference
 * while no path is.
 */
export function inForceRule(paths: readonly XComPath[] | null): InForceRule {
  if (paths === null || paths.length === 0) return () => true;
  return (reference) => paths.some((path) => isBelow(path, reference));
}

function isBelow(path: XComPath, { scheme, connection, bucket, prefix }: Omit<Reference, 'key'>): boolean {
  return (
    scheme === path.scheme &&
    connection === (path.connection ?? '') &&
    bucket === path.bucket &&
    writtenPrefixes(path).some((one) => one === '' || `${prefix}/`.startsWith(`${one}/`))
  );
}

function writtenPrefixes({ prefix }: XComPath): readonly string[] {
  const short = withoutDots(prefix);
  return short === prefix ? [prefix] : [prefix, short];
}

/**
 * What the place of a reference is to Airflow as configured. `elsewhere`: workers have written there, and it cannot be
 * read back. `open`: it may as well be a place of a task's own. `untold`: no path is known, so nothing is held against it.
 */
export type Standing = 'in_force' | 'elsewhere' | 'open' | 'untold';

export type StandingRule = (base: Omit<Reference, 'key'>) => Standing;

/** A task may lay out files of its own as the backend does; the connection of a path it has no cause to name. */
export function standingRule(paths: readonly XComPath[] | null): StandingRule {
  if (paths === null || paths.length === 0) return () => 'untold';
  const isInForce = inForceRule(paths);
  return (base) => {
    if (isInForce(base)) return 'in_force';
    return paths.some((path) => hasConnectionOf(path, base) || isAt(path, base)) ? 'elsewhere' : 'open';
  };
}

function hasConnectionOf(path: XComPath, { connection }: Pick<Reference, 'connection'>): boolean {
  return connection !== '' && connection === path.connection;
}

/** But for the connection: one that was changed, or that Airflow 2.9.1 left out. */
function isAt(path: XComPath, { scheme, bucket, prefix }: Omit<Reference, 'key'>): boolean {
  return scheme === path.scheme && bucket === path.bucket && writtenPrefixes(path).includes(prefix);
}
