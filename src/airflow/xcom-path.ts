import { splitBucket } from './bucket.ts';
import { withoutDots } from './object-key.ts';
import type { Reference } from './reference.ts';

/**
 * The path under which Airflow puts XCom objects, split as its `ObjectStoragePath` does: without percent-decoding. The
 * connection id is everything before the last `@` of the host part.
 */
export interface XComPath {
  /** The path without the line breaks and tabs that Airflow leaves out. */
  readonly raw: string;
  /** The scheme in lower case; '' when the path has none and is a folder on the worker's own disk. */
  readonly scheme: string;
  readonly connection: string | null;
  /** '' for a path on a disk. */
  readonly bucket: string;
  /**
   * The prefix without a slash at the end; '' when there is none. Slashes at the start and inside count:
   * `s3://b//a//c/` has `/a//c`. For a path on a disk, this is the whole path.
   */
  readonly prefix: string;
}

const s3Schemes: readonly string[] = ['s3', 's3a', 's3n'];
const diskSchemes: readonly string[] = ['', 'file', 'local'];

/** True when objects under this path are in S3; the exporter can only name other stores. */
export function isS3Path(path: XComPath): boolean {
  return s3Schemes.includes(path.scheme);
}

/**
 * Parses paths separated by commas; gives none for an empty text. A comma belongs to the path unless a URL follows.
 *
 * @throws {RangeError} when one path names no bucket, or has keys in place of a connection id.
 */
export function parseXComPaths(text: string): readonly XComPath[] {
  const parts = text.split(/,(?=\s*(?:[a-z][a-z0-9+.-]*:\/\/|$))/i).filter((part) => part.trim() !== '');
  // Airflow itself takes only one path, and a space at its end is part of the path.
  return parts.map((part) => parseXComPath(parts.length === 1 ? part : part.trim()));
}

/**
 * Leaves out the characters that Python's `urlsplit` leaves out, because Airflow passes its path through `urlsplit`.
 */
function asAirflowReads(text: string): string {
  return text.replace(/^[\x00-\x20]+/, '').replace(/[\t\r\n]/g, '');
}

/** @throws {RangeError} in the same cases as `parseXComPaths`. */
export function parseXComPath(text: string): XComPath {
  const raw = asAirflowReads(text);
  const [, givenScheme, rest = raw] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(raw) ?? [];
  const scheme = givenScheme?.toLowerCase() ?? '';
  if (diskSchemes.includes(scheme)) {
    if (/^s3[an]?:/i.test(raw)) throw new RangeError('is no URL: write s3:// with two slashes');
    return { raw, scheme, connection: null, bucket: '', prefix: withoutEndSlashes(rest) };
  }

  const [netloc = ''] = rest.split('/', 1);
  const at = netloc.lastIndexOf('@');
  const connection = at > 0 ? netloc.slice(0, at) : null;
  const { bucket, key } = splitBucket(rest.slice(at + 1));
  // No message of these repeats the text, because a part of it may be a secret key.
  if (connection !== null && isKeyAndSecret(connection)) {
    throw new RangeError(
      'what stands before the @ must be the id of an Airflow connection, not a key and its secret',
    );
  }
  if (bucket === '') throw new RangeError('names no bucket: write s3://[conn_id@]bucket[/prefix]');
  return { raw, scheme, connection, bucket, prefix: withoutEndSlashes(key) };
}

/** Whether a key and its secret stand in place of an id, as in `s3://KEY:SECRET@bucket`. */
export function isKeyAndSecret(connectionId: string): boolean {
  return /:|%3a/i.test(connectionId);
}

function withoutEndSlashes(text: string): string {
  return text.replace(/\/+$/, '');
}

export type InForceRule = (reference: Omit<Reference, 'key'>) => boolean;

/**
 * True for a reference that Airflow, as configured, can read back: one at or below a path (`is_relative_to` in the
 * backend's `_get_full_path`). Several paths belong to several pools of workers. If no path is known, every reference
 * passes.
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

function writtenPrefixes({ prefix }: Pick<XComPath, 'prefix'>): readonly string[] {
  const short = withoutDots(prefix);
  return short === prefix ? [prefix] : [prefix, short];
}

/**
 * How the place of a reference stands to Airflow as configured. `elsewhere`: workers have written there, and Airflow
 * cannot read the reference back. `open`: the place may just as well be a task's own. `untold`: no path is known, so
 * the place counts as good.
 */
export type Standing = 'in_force' | 'elsewhere' | 'open' | 'untold';

export type StandingRule = (base: Omit<Reference, 'key'>) => Standing;

/**
 * Judges places. A task may lay out its own files as the backend does, but has no reason to name a path's connection.
 */
export function standingRule(paths: readonly XComPath[] | null): StandingRule {
  if (paths === null || paths.length === 0) return () => 'untold';
  const isInForce = inForceRule(paths);
  return (base) => {
    if (isInForce(base)) return 'in_force';
    return paths.some((path) => isPlaceOf(path, base)) ? 'elsewhere' : 'open';
  };
}

type PlaceParts = 'scheme' | 'connection' | 'bucket' | 'prefix';

/** Whether a place is at this path or has its connection, so that a task has no reason to lay out its own files there. */
export function isPlaceOf(path: Pick<XComPath, PlaceParts>, base: Pick<Reference, PlaceParts>): boolean {
  return hasConnectionOf(path, base) || isAt(path, base);
}

function hasConnectionOf(
  path: Pick<XComPath, 'connection'>,
  { connection }: Pick<Reference, 'connection'>,
): boolean {
  return connection !== '' && connection === path.connection;
}

/** Compares without the connection, because it may have been changed, or Airflow 2.9.1 may have left it out. */
function isAt(
  path: Pick<XComPath, 'scheme' | 'bucket' | 'prefix'>,
  { scheme, bucket, prefix }: Pick<Reference, 'scheme' | 'bucket' | 'prefix'>,
): boolean {
  return scheme === path.scheme && bucket === path.bucket && writtenPrefixes(path).includes(prefix);
}
