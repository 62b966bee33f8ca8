import { createPace } from '../lib/pace.ts';
import * as is from '../window/flags.ts';
import type { Ledger } from '../window/ledger.ts';

/**
 * Slots of references that were looked up before and found, each as likely as any other; then of those whose object
 * was not there or empty, half as many, so that healing shows.
 */
export async function drawKnown(
  ledger: Ledger,
  { count, random }: { count: number; random: () => number },
): Promise<number[]> {
  if (count <= 0) return [];
  const pace = createPace();
  const broken = createDraw(Math.ceil(count / 2), random);
  const whole = createDraw(count, random);
  for (const chunk of ledger.rows().chunks) {
    for (let at = 0; at < chunk.flags.length; at += 1) {
      const flags = chunk.flags[at] ?? 0;
      if (!is.isReference(flags) || is.isUnverified(flags)) continue;
      ((flags & is.OBJECT_MASK) === is.PRESENT ? whole : broken).offer(chunk.first + at);
    }
    await pace.rest();
  }
  return [...whole.drawn, ...broken.drawn];
}

/** Algorithm R: keeps `count` of however many are offered, each with the same chance. */
export function createDraw(
  count: number,
  random: () => number,
): { offer(item: number): void; drawn: number[] } {
  const drawn: number[] = [];
  let offered = 0;
  return {
    drawn,
    offer(item) {
      offered += 1;
      if (drawn.length < count) {
        drawn.push(item);
        return;
      }
      const place = Math.floor(random() * offered);
      if (place < count) drawn[place] = item;
    },
  };
}
