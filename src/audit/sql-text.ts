/** A text as an SQL literal, for places that take no parameter. */
export function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
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
