/** What a query holds means nothing to a place or an endpoint, and may be a key. Databases and connections have options there. */
const QUERY = /\b(?!postgres|aws:)([a-z][a-z0-9+.-]*:\/\/[^\s?"',]*\?)[^\s"',]+/gi;
const SECRET_OPTION = /([?&][^\s=&]*(?:secret|token|passw|key|credential|signature)[^\s=&]*=)[^\s&,;"']+/gi;

/**
 * No URL in it says its password or another secret. For text that quotes a setting back: a URL that got into the wrong
 * one, as into `…_URL_FILE`, is no secret to whoever quotes it.
 */
export function withoutPasswords(text: string): string {
  return (
    text
      .replaceAll(/(:\/\/[^\s:/@]*):\S*@/g, '$1:***@')
      // The user of an address of the web may be a token. Before the @ of a place in S3 stands a connection's id.
      .replaceAll(/(https?:\/\/)[^\s/@:]+@/gi, '$1***@')
      .replaceAll(QUERY, '$1***')
      .replaceAll(SECRET_OPTION, '$1***')
  );
}
