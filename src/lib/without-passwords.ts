/**
 * No URL in it says its password. For text that quotes a setting back: a URL that got into the wrong one, as into
 * `…_URL_FILE`, is no secret to whoever quotes it.
 */
export function withoutPasswords(text: string): string {
  return text.replaceAll(/(:\/\/[^\s:/@]*):\S*@/g, '$1:***@');
}
