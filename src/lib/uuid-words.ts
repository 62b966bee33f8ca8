const UUID = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/;

/** The four 32-bit words of a uuid in lower case. Null for another spelling, which the words could not restore. */
export function uuidWords(text: string): [number, number, number, number] | null {
  if (!UUID.test(text)) return null;
  const hex = (from: number, to: number) => Number.parseInt(text.slice(from, to), 16);
  return [hex(0, 8), hex(9, 13) * 0x10000 + hex(14, 18), hex(19, 23) * 0x10000 + hex(24, 28), hex(28, 36)];
}

export function uuidText(words: readonly [number, number, number, number]): string {
  const hex = words.map((word) => word.toString(16).padStart(8, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** When a uuid of version 7 was made, epoch ms. */
export function uuidMs(text: string): number {
  return Number.parseInt(text.slice(0, 8) + text.slice(9, 13), 16);
}
