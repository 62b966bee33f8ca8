/**
 * How the backend treats `[common.io] xcom_objectstorage_compression`. The backend looks up the exact name among the
 * codecs for which fsspec has a file extension. For an unknown name the backend raises before it looks at the size of
 * the value: see `_get_compression_suffix` of common-io and fsspec/compression.py.
 */
export type Codec = 'none' | 'known' | 'installed' | 'unknown';

const KNOWN: ReadonlySet<string> = new Set(['zip', 'bz2', 'gzip', 'lzma', 'xz']);

/** The codecs that fsspec knows only if a package is installed, with that package. */
const PACKAGES: ReadonlyMap<string, string> = new Map([
  ['lz4', 'lz4'],
  ['zstd', 'zstandard (or Python 3.14)'],
]);

/** `installed`: the codec works only on workers that have its package installed. */
export function codecOf(compression: string): Codec {
  if (compression === '') return 'none';
  if (KNOWN.has(compression)) return 'known';
  return PACKAGES.has(compression) ? 'installed' : 'unknown';
}

/** The package that a codec needs, or null when it needs none. */
export function packageOf(compression: string): string | null {
  return PACKAGES.get(compression) ?? null;
}
