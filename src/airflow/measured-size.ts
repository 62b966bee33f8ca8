/**
 * SQL expressions for the size that Airflow 3 measured, `len(json.dumps(value, cls=XComEncoder))`. They work on the
 * stored JSON of `serde.serialize(value)`. For the types that serde knows, the two differ only in the points handled
 * here. test/fixtures/airflow-sizes has the sizes that real releases give for each type.
 */

/** The length in Python's `json.dumps`: a character that is not printable ASCII counts six, an astral one twelve. */
export function jsonLength(text: string): string {
  const rest = `regexp_replace(${text}, '[ -~]+', '', 'g')`;
  // octet_length alone is not enough: the encoding of the database may not be UTF-8.
  return `(CASE WHEN octet_length(convert_to(${text}, 'UTF8')) = char_length(${text}) AND position(chr(127) IN ${text}) = 0
      THEN char_length(${text})
      ELSE char_length(${text}) + 5 * char_length(${rest})
        + 6 * char_length(regexp_replace(${rest}, '[\\u0001-\\uFFFF]+', '', 'g')) END)`;
}

/**
 * By how much the floats may be shorter: Airflow may have measured `1e+300`, and Postgres stores all the digits. A
 * number follows a space, a bracket or its sign. Digits inside a text or after a point were measured as they are
 * stored.
 */
export function numbersShrink(text: string): string {
  const number = `'[[ -](?:\\d{17,}|0\\.0{4,}\\d*)'`;
  return `(char_length(${text}) + 1 - char_length(regexp_replace(' ' || ${text}, ${number}, ' 1e+22', 'g')))`;
}

/**
 * Types that are measured without an envelope, because `json.dumps` knows them, but are stored in one. They are a tuple
 * inside a value (`XComEncoder.encode` handles a whole value) and, from 3.1, a `numpy.float64`, which is a float.
 */
const TUPLE = 'builtins.tuple';
const FLOAT64 = 'numpy.float64';

const OPENING = '{"__data__": ';
const NAMED = '"__classname__": "';
const closing = (type: string) => `, "__version__": 1, ${NAMED}${type}"}`;
const envelope = (type: string) => OPENING.length + closing(type).length;

/**
 * Bytes of the envelopes that Airflow did not measure. They are those outside any other envelope: serde had already
 * made all that is inside another one when Airflow measured.
 */
export function bareEnvelopes({ value, text }: { readonly value: string; readonly text: string }): string {
  const times = (part: string) =>
    `((char_length(${text}) - char_length(replace(${text}, '${part}', ''))) / ${part.length})`;
  const counted = `${envelope(TUPLE)} * ${times(closing(TUPLE))} + ${envelope(FLOAT64)} * ${times(closing(FLOAT64))}`;
  const isWhole = (type: string) =>
    `left(${text}, ${OPENING.length}) = '${OPENING}' AND ${text} ~ '${NAMED}${type}"\\}$'`;
  return `(CASE
      WHEN ${text} IS NULL THEN NULL
      WHEN left(${text}, 1) NOT IN ('{', '[') OR position('${NAMED}' IN ${text}) = 0 THEN 0
      WHEN ${isWhole(FLOAT64.replace('.', '\\.'))} THEN ${envelope(FLOAT64)}
      WHEN ${isWhole('[^"]*')} THEN 0
      WHEN ${times(NAMED)} = ${times(closing(TUPLE))} + ${times(closing(FLOAT64))} THEN ${counted}
      ELSE ${countedOneByOne(value)} END)`;
}

/**
 * Counts the envelopes one by one, for a value that holds other envelopes as well. Skips the content of those others.
 */
function countedOneByOne(value: string): string {
  return `(WITH RECURSIVE part(value, type) AS (
        SELECT ${value}, NULL::text
        UNION ALL
        SELECT child.value, child.value ->> '__classname__'
        FROM part CROSS JOIN LATERAL (
          SELECT CASE WHEN part.type IS NULL THEN part.value WHEN part.type = '${TUPLE}' THEN part.value -> '__data__' END AS value
        ) inside CROSS JOIN LATERAL (
          SELECT value FROM jsonb_array_elements(CASE jsonb_typeof(inside.value) WHEN 'array' THEN inside.value END)
          UNION ALL
          SELECT value FROM jsonb_each(CASE jsonb_typeof(inside.value) WHEN 'object' THEN inside.value END)
        ) child
        WHERE jsonb_typeof(child.value) IN ('array', 'object')
      )
      SELECT sum(CASE type WHEN '${TUPLE}' THEN ${envelope(TUPLE)} WHEN '${FLOAT64}' THEN ${envelope(FLOAT64)} ELSE 0 END) FROM part)`;
}

/**
 * A `jsonb` takes up to this many bytes for each byte that Airflow measured: most in a tuple that holds nothing but
 * another tuple, 46 bytes for a bracket.
 */
export const MOST_UNPACKED_A_BYTE = 48;

/**
 * The least size that Airflow can have measured of an unpacked value that is not written out; NULL: the value has
 * envelopes. Without any, a list of one-digit numbers takes the most: twelve bytes for each `1, `, and a header.
 */
export function leastUnwritten(value: string): string {
  return `(CASE WHEN NOT jsonb_path_exists(${value}, '$.**.__classname__') THEN (pg_column_size(${value}) - 16) / 4 END)`;
}
