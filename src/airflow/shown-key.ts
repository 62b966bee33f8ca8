/** A key that does not look like a name may be a secret in the wrong place. */
export function shownKey(key: string): string {
  return /^[a-z]\w{0,39}$/i.test(key) ? key : 'a key that is not shown';
}
