import { REFERENCE_HINT } from './reference.ts';
import type { XComSource } from './shape.ts';

/** Stored size up to which a value is looked into at once: longer ones are never references. */
const SHORT_BYTES = 4096;

/** Length in Python's `json.dumps`: every character that is not printable ASCII is six long, an astral one twelve. */
function measured(text: string): string {
  const rest = `regexp_replace(${text}, '[ -~]+', '', 'g')`;
  return `(CASE WHEN octet_length(${text}) = char_length(${text}) AND position(chr(127) IN ${text}) = 0
      THEN char_length(${text})
      ELSE char_length(${text}) + 5 * char_length(${rest})
        + 6 * char_length(regexp_replace(${rest}, '[\\u0001-\\uFFFF]+', '', 'g')) END)`;
}

/**
 * What jsonb cannot tell: a tuple inside a value was measured as a list but is stored in an envelope, and a
 * float was measured as `1e+300` but is stored with all its digits. The least that Airflow may have measured.
 * A number follows a space, a bracket or its sign: digits in a text, and those behind a point, are as they were.
 */
function leastMeasured(text: string): string {
  const envelope = `'\\{"__data__": |, "__version__": 1, "__classname__": "builtins.tuple"\\}'`;
  const number = `'[[ -](?:\\d{17,}|0\\.0{4,}\\d*)'`;
  return `(${measured(text)} - char_length(${text})
      + char_length(regexp_replace(' ' || regexp_replace(${text}, ${envelope}, '', 'g'), ${number}, ' 1e+22', 'g')) - 1)`;
}

/** What says how large a value is and, for short ones only, what it may be. */
export interface ValueColumns {
  readonly columns: string;
  /** To be joined to `x`: the text of a value that is looked into, unpacked once and not by every function anew. */
  readonly join: string;
}

/** Which values are unpacked: all, or those that are stored as they are, which before Postgres 14 nothing tells. */
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
      false AS "encodedAgain",
      NULL::text AS "text",
      CASE WHEN octet_length(x.value) BETWEEN 20 AND ${SHORT_BYTES} AND get_byte(x.value, 0) IN (34, 128)
        AND (encode(x.value, 'escape') ~ '-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-|s3_xcom_|xcom_s3://') THEN x.value END AS "raw"`,
    };
  const small = options.deep
    ? 'true'
    : options.knowsCompression
      ? `pg_column_size(x.value) <= ${SHORT_BYTES} AND pg_column_compression(x.value) IS NULL`
      : // Before Postgres 14 nothing tells a compressed value, but nothing below 2 kB is compressed.
        `pg_column_size(x.value) <= 1500`;
  const isString = `left(v.text, 1) = '"'`;
  return {
    join: `CROSS JOIN LATERAL (SELECT CASE WHEN ${small} THEN x.value::text END AS text OFFSET 0) v`,
    // In a string there is neither a tuple nor a float, whatever it looks like. And as NULL is not false, only a WHEN of
    // its own keeps Postgres from unpacking a value that is not looked into.
    columns: `
      (x.value IS NULL) AS "isNull",
      pg_column_size(x.value)::float8 AS "stored",
      ${measured('v.text')}::float8 AS "bytes",
      (CASE WHEN ${isString} THEN ${measured('v.text')} ELSE ${leastMeasured('v.text')} END)::float8 AS "leastBytes",
      (${isString} AND substr(v.text, 2, 1) IN ('{', '[') OR left(v.text, 3) = '"\\"') AS "encodedAgain",
      CASE WHEN v.text IS NULL THEN NULL WHEN ${isString} AND octet_length(v.text) <= ${SHORT_BYTES} AND (x.value #>> '{}') ~ $hint$${REFERENCE_HINT}$hint$
        THEN x.value #>> '{}' END AS "text",
      NULL::bytea AS "raw"`,
  };
}
