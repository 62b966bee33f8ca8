/** A text as SQL, for places that take no parameter. A literal ends at a NUL, which a path in a row may have. */
export function text(value: string): string {
  const [first = '', ...more] = value.split('\0').map((part) => `'${part.replaceAll("'", "''")}'`);
  return more.length === 0 ? first : `(${[first, ...more].join(' || chr(0) || ')})`;
}

/**
 * The path of a file, for functions that read files. DuckDB would take some characters for a pattern, and the folder
 * `bucket=audits` for a column: pass {@link AS_IT_IS} along.
 */
export function pathText(value: string): string {
  return text(value.replaceAll(/[*?[]/g, '[$&]'));
}

/** Leaves the columns of a file as they are, whatever the names of its folders. */
export const AS_IT_IS = 'hive_partitioning = false';
