/**
 * The URL that a text is; null when it is none. `URL.canParse` is not asked: in Node 20 and 22 it turns false for a host
 * with letters like ü once V8 has compiled its caller (findings/node-canparse-changes-its-mind.sh).
 */
export function parseUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
