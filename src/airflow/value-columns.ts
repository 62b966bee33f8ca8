import { bareEnvelopes, jsonLength, leastUnwritten, numbersShrink } from './measured-size.ts';
import { REFERENCE_HINT } from './reference.ts';
import type { XComSource } from './shape.ts';

/** The stored size up to which a value is looked into at once; longer values are never references. */
const SHORT_BYTES = 4096;

/**
 * The most that is written out as text to be measured, in unpacked bytes and in bytes of text. To measure takes up to
 * thirteen times the memory: 210 MB for 16 MB. No larger value is written out: its measured size is not known.
 */
const WRITTEN_BYTES = 16 * 1024 * 1024;

/** The columns that give the size of a value and, for a short one only, its text. */
export interface ValueColumns {
  readonly columns: string;
  /** To be joined to `x`: the text of a value that is looked into, unpacked once instead of once per function. */
  readonly join: string;
}

/**
 * The values that are unpacked: all, or only those that are stored uncompressed. `knowsCompression` false: Postgres is
 * older than 14 and cannot tell which those are.
 */
export type Depth = { readonly deep: true } | { readonly deep: false; readonly knowsCompression: boolean };

export function valueColumns(source: XComSource, options: Depth): ValueColumns {
  if (source.value === 'bytea')
    return {
      join: '',
      columns: `
      (x.value IS NULL) AS "isNull",
      octet_length(x.value)::float8 AS "stored",
      octet_length(x.value)::float8 AS "bytes",
      octet_length(x.value)::float8 AS "leastBytes",
      NULL::text AS "text",
      CASE WHEN octet_length(x.value) BETWEEN 20 AND ${SHORT_BYTES} AND get_byte(x.value, 0) IN (34, 128)
        AND encode(x.value, 'escape') ~ '-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-' THEN x.value END AS "raw"`,
    };
  // Functions take a `jsonb` that `#>` has unpacked as it is; each would unpack a stored one for itself.
  const value = options.deep ? 'u.value' : 'x.value';
  const unpacked = options.deep ? `CROSS JOIN LATERAL (SELECT x.value #> '{}' AS value OFFSET 0) u` : '';
  const small = options.deep
    ? `pg_column_size(u.value) <= ${WRITTEN_BYTES}`
    : options.knowsCompression
      ? `pg_column_size(x.value) <= ${SHORT_BYTES} AND pg_column_compression(x.value) IS NULL`
      : // Before release 14, Postgres cannot tell a compressed value, but it compresses nothing below 2 kB.
        `pg_column_size(x.value) <= 1500`;
  const isString = `left(v.text, 1) = '"'`;
  return {
    join: `${unpacked} CROSS JOIN LATERAL (SELECT CASE WHEN ${small} THEN ${value}::text END AS text OFFSET 0) v
      CROSS JOIN LATERAL (SELECT CASE WHEN octet_length(v.text) <= ${WRITTEN_BYTES}
        THEN ${jsonLength('v.text')} - ${bareEnvelopes({ value, text: 'v.text' })} END AS bytes OFFSET 0) m`,
    // A string contains no float, whatever it looks like. NULL is not false, so only a separate WHEN keeps Postgres
    // from unpacking a value that is not looked into.
    columns: `
      (x.value IS NULL) AS "isNull",
      pg_column_size(${value})::float8 AS "stored",
      m.bytes::float8 AS "bytes",
      (CASE WHEN m.bytes IS NULL THEN ${options.deep ? leastUnwritten(value) : 'NULL'} WHEN ${isString} THEN m.bytes ELSE m.bytes - ${numbersShrink('v.text')} END)::float8 AS "leastBytes",
      CASE WHEN v.text IS NULL THEN NULL WHEN ${isString} AND octet_length(v.text) <= ${SHORT_BYTES} AND (${value} #>> '{}') ~ $hint$${REFERENCE_HINT}$hint$
        THEN ${value} #>> '{}' END AS "text",
      NULL::bytea AS "raw"`,
  };
}
