/**
 * Parses a text as a URL; null when it is not one. `URL.canParse` is not used: in Node 20 and 22 it returns false for a
 * host with letters like ü once V8 has compiled its caller (findings/node-canparse-changes-its-mind.sh).
 */
export function parseUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
