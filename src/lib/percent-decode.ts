/**
 * Percent-decoding as Python's `urllib.parse.unquote` does it: what is not a valid escape stays as it is, so that a
 * password with a bare `%` is the password Airflow uses.
 */
export function percentDecode(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) =>
    Buffer.from(escapes.replaceAll('%', ''), 'hex').toString('utf8'),
  );
}
