import type { GetAnswer, HeadAnswer } from '../../src/s3/client.ts';
import type { ListAnswer } from '../../src/s3/listing.ts';
import type { World } from './world.ts';

/** The result of a case: what the server did, what the exporter said, and whether the one follows from the other. */
export interface Cell {
  readonly seen: string;
  readonly said: string;
  readonly right: boolean;
}

export interface Case {
  readonly name: string;
  readonly run: (world: World) => Promise<Cell>;
}

/** An answer in one word. */
export function wordOf(answer: HeadAnswer | GetAnswer | ListAnswer | { readonly kind: 'done' }): string {
  switch (answer.kind) {
    case 'unknown':
      return `unknown, ${answer.reason} (${answer.detail})`;
    case 'present':
      return answer.bytes === 0 ? 'empty' : 'present';
    case 'listed':
      return `${answer.objects.length} listed`;
    default:
      return answer.kind;
  }
}

/** Counts equal words: each is given once, with its number. */
export function tally(words: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => (words.length === 1 ? word : `${count} ${word}`)).join(', ');
}
