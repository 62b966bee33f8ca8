/**
 * The query of a URL. A place in S3 or an endpoint needs no query, so the query may be a key. The URLs of databases and
 * connections are excluded, because their queries hold options.
 */
const QUERY = /\b(?!postgres|aws:)([a-z][a-z0-9+.-]*:\/\/[^\s?"',]*\?)[^\s"',]+/gi;
const SECRET_OPTION = /([?&][^\s=&]*(?:secret|token|passw|key|credential|signature)[^\s=&]*=)[^\s&,;"']+/gi;
/** The password of a libpq text: `host=db password=…`. */
const LIBPQ = /(?<![?&])\b((?:ssl)?passw(?:or)?d\s*=\s*)(?:'(?:\\.|[^'\\])*'|\S+)/gi;
/** A secret of a connection that is written as JSON, to the quote that ends it; to the end of the text without one. */
const JSON_SECRET =
  /((?:passw(?:or)?d|secret|token|private_key)[\w-]*\\*["']\s*:\s*(\\*["']))(?:(?!(?<!\\)\2)[\s\S])+/gi;
/** A key and its secret without `://` before them, as in a path whose slashes were forgotten. The next URL ends it. */
const BARE_PAIR = /(?<![^\s/@:"'(=,])([^\s/@:"'(=,]*):(?!\/\/)(?:(?!:\/\/)\S)*@/g;

/**
 * Masks passwords and other secrets in all URLs of a text. Use this for text that quotes a setting: code that quotes a
 * setting does not know that a URL got into the wrong one, such as `…_URL_FILE`, and is secret.
 */
export function withoutPasswords(text: string): string {
  return (
    text
      .replaceAll(/(:\/\/[^\s:/@]*):\S*@/g, '$1:***@')
      // The user of a web address may be a token. In a place in S3, the text before the @ is the id of a connection.
      .replaceAll(/(https?:\/\/)[^\s/@:]+@/gi, '$1***@')
      .replaceAll(QUERY, '$1***')
      .replaceAll(SECRET_OPTION, '$1***')
      .replaceAll(LIBPQ, '$1***')
      .replaceAll(JSON_SECRET, '$1***')
      .replaceAll(BARE_PAIR, '$1:***@')
  );
}
