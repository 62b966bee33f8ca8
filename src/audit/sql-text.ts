/** A text as SQL writes it, for what takes no parameter. */
export function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
