/**
 * The text in quotes if it has a form that no secret has, else other words in its place. A refusal repeats no other
 * text: it may be a secret that was meant for another setting.
 */
export function quotedIf(harmless: RegExp, text: string): string {
  return harmless.test(text) ? JSON.stringify(text) : 'what is given';
}
