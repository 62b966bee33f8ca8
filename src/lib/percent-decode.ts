/**
 * Decodes percent escapes as Python's `urllib.parse.unquote` does. Text that is not a valid escape stays as it is, so a
 * password with a bare `%` is the password that Airflow uses.
 */
export function percentDecode(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) =>
    Buffer.from(escapes.replaceAll('%', ''), 'hex').toString('utf8'),
  );
}
