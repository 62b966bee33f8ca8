/** The known name that needs the fewest edits from the given one, or null when none is near. */
export function nearest(
  name: string,
  known: Iterable<string>,
  // If more than a third is wrong, the name is another word, not a typing mistake.
  { within = Math.max(2, Math.floor(name.length / 3)) }: { readonly within?: number } = {},
): string | null {
  let limit = within;
  let best: string | null = null;
  for (const candidate of known) {
    // The difference in length is the least number of edits.
    if (Math.abs(name.length - candidate.length) > limit) continue;
    const edits = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (edits > limit || (best !== null && edits === limit)) continue;
    limit = edits;
    best = candidate;
  }
  return best;
}

/** The Levenshtein distance: how many single characters are inserted, deleted or replaced. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let index = 0; index < from.length; index++) {
    const next = [index + 1];
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (from[index] === to[column - 1] ? 0 : 1);
      next.push(Math.min((row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1, replaced));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
