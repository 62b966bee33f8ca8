import { bareEnvelopes, jsonLength, leastUnwritten, numbersShrink } from './measured-size.ts';
import { REFERENCE_HINT } from './reference.ts';
import type { XComSource } from './shape.ts';
import { mayBeWritten, WRITTEN_BYTES } from './written-out.ts';

/** The size up to which a value is looked into at once; longer values are never references. */
const SHORT_BYTES = 4096;

/** Postgres compresses nothing that is shorter than 2 kB. A longer value may be stored in less than this. */
const STORED_BYTES = 1500;

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
  const { value, unpacked, small } = lookedInto(options);
  const isString = `left(v.text, 1) = '"'`;
  return {
    join: `${unpacked} CROSS JOIN LATERAL (SELECT CASE WHEN ${small} THEN ${value}::text END AS text OFFSET 0) v
      CROSS JOIN LATERAL (SELECT CASE WHEN octet_length(v.text) <= ${WRITTEN_BYTES}
        THEN ${jsonLength('v.text')} - ${bareEnvelopes({ value, text: 'v.text' })} END AS bytes OFFSET 0) m`,
    // A string contains no float, whatever it looks like. NULL is not false, so only a separate WHEN keeps Postgres
    // from unpacking a value that is not looked into.
    columns: `
      (x.value IS NULL) AS "isNull",
      pg_column_size(${options.deep ? value : 'x.value'})::float8 AS "stored",
      m.bytes::float8 AS "bytes",
      (CASE WHEN m.bytes IS NULL THEN ${options.deep ? leastUnwritten(value) : 'NULL'} WHEN ${isString} THEN m.bytes ELSE m.bytes - ${numbersShrink('v.text')} END)::float8 AS "leastBytes",
      CASE WHEN v.text IS NULL THEN NULL WHEN ${isString} AND octet_length(v.text) <= ${SHORT_BYTES} AND (${value} #>> '{}') ~ $hint$${REFERENCE_HINT}$hint$
        THEN ${value} #>> '{}' END AS "text",
      NULL::bytea AS "raw"`,
  };
}

/**
 * The value that the other columns use, the join that unpacks it, and the values that are written out. Functions take a
 * `jsonb` that `#>` has unpacked as it is; each would unpack a stored one for itself.
 */
function lookedInto(options: Depth): { value: string; unpacked: string; small: string } {
  const unpack = (value: string) => `CROSS JOIN LATERAL (SELECT ${value} AS value OFFSET 0) u`;
  if (options.deep)
    return { value: 'u.value', unpacked: unpack(`x.value #> '{}'`), small: mayBeWritten('u.value') };
  if (options.knowsCompression)
    return {
      value: 'x.value',
      unpacked: '',
      small: `pg_column_size(x.value) <= ${SHORT_BYTES} AND pg_column_compression(x.value) IS NULL`,
    };
  // The stored size may be that of a compressed value: only the unpacked one tells how long the value is.
  return {
    value: 'u.value',
    unpacked: unpack(`CASE WHEN pg_column_size(x.value) <= ${STORED_BYTES} THEN x.value #> '{}' END`),
    small: `pg_column_size(u.value) <= ${SHORT_BYTES}`,
  };
}
