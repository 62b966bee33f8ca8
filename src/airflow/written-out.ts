/**
 * The most that is written out as text to be measured, in unpacked bytes and in bytes of text. To measure takes up to
 * fifteen times the memory: 260 MB for 16 MB. No larger value is written out: its measured size is not known.
 */
export const WRITTEN_BYTES = 16 * 1024 * 1024;

/**
 * Up to this size a value is written out without a look. Python writes no number of more than 4,300 digits, and a number
 * takes at least twelve bytes: 47 MB of text at most.
 */
const LITTLE_BYTES = 128 * 1024;

/**
 * An SQL condition: whether a `jsonb` may be written out as text. A number stores none of its zeros, so 16 MB of `1e250`
 * would be 350 MB of text. The parts of a long list or object are therefore written out one by one beforehand.
 */
export function mayBeWritten(value: string): string {
  return `(CASE WHEN pg_column_size(${value}) > ${WRITTEN_BYTES} THEN false
      WHEN pg_column_size(${value}) <= ${LITTLE_BYTES} OR jsonb_typeof(${value}) NOT IN ('array', 'object') THEN true
      ELSE ${partsLength(value)} <= ${WRITTEN_BYTES} END)`;
}

/** The length of all parts that are not long themselves. A long string is left out, because it has no zeros to add. */
function partsLength(value: string): string {
  return `(WITH RECURSIVE long(value) AS (
        SELECT ${value}
        UNION ALL
        SELECT part.value FROM long CROSS JOIN LATERAL ${partsOf('long.value')} part
        WHERE pg_column_size(part.value) > ${LITTLE_BYTES}
      )
      SELECT coalesce(sum(octet_length(part.value::text)), 0) FROM long CROSS JOIN LATERAL ${partsOf('long.value')} part
      WHERE pg_column_size(part.value) <= ${LITTLE_BYTES})`;
}

function partsOf(value: string): string {
  return `(SELECT value FROM jsonb_array_elements(CASE jsonb_typeof(${value}) WHEN 'array' THEN ${value} END)
        UNION ALL
        SELECT value FROM jsonb_each(CASE jsonb_typeof(${value}) WHEN 'object' THEN ${value} END))`;
}
