/** A text as an SQL literal, for places that take no parameter. */
export function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
