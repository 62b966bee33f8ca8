/**
 * What becomes of `[common.io] xcom_objectstorage_compression`. The backend looks the name up, to the letter, among the
 * codecs that fsspec has a file extension for, and raises before it looks at the size of the value: see
 * `_get_compression_suffix` of common-io and fsspec/compression.py.
 */
export type Codec = 'none' | 'known' | 'installed' | 'unknown';

const KNOWN: ReadonlySet<string> = new Set(['zip', 'bz2', 'gzip', 'lzma', 'xz']);

/** Codecs that fsspec knows where a package is installed. */
const PACKAGES: ReadonlyMap<string, string> = new Map([
  ['lz4', 'lz4'],
  ['zstd', 'zstandard (or Python 3.14)'],
]);

/** `installed`: it works on those workers that have a package for it. */
export function codecOf(compression: string): Codec {
  if (compression === '') return 'none';
  if (KNOWN.has(compression)) return 'known';
  return PACKAGES.has(compression) ? 'installed' : 'unknown';
}

/** The package that a codec needs, or null when it needs none. */
export function packageOf(compression: string): string | null {
  return PACKAGES.get(compression) ?? null;
}
