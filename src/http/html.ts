/** Text that is already HTML. Only `html` and `raw` make it. */
export interface Html {
  readonly html: string;
}

export type Part = Html | string | number | null | false | readonly Part[];

const unindented = new WeakMap<TemplateStringsArray, readonly string[]>();

/** A template whose values are escaped unless they are `Html`; lists are joined, and null and false give nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  // Computed once for each place in our source: a long table renders one template a thousand times.
  let pieces = unindented.get(strings);
  if (pieces === undefined) unindented.set(strings, (pieces = strings.map(unindent)));
  let text = pieces[0] ?? '';
  for (let i = 0; i < parts.length; i += 1) text += render(parts[i] ?? null) + (pieces[i + 1] ?? '');
  return { html: text };
}

/** For text of our own that is HTML or CSS as it stands: never for text from outside. */
export function raw(text: string): Html {
  return { html: text };
}

/** Puts a separator between the parts. */
export function joined(parts: readonly Part[], between: string): Part {
  return parts.flatMap((part, i) => (i === 0 ? [part] : [between, part]));
}

function render(part: Part): string {
  if (part === null || part === false) return '';
  if (typeof part === 'string') return escape(part);
  if (typeof part === 'number') return String(part);
  if ('html' in part) return part.html;
  let text = '';
  for (const one of part) text += render(one);
  return text;
}

/** Without this, the indentation of our source would be a third of a page with long tables. */
function unindent(piece: string): string {
  return piece.replaceAll(/\n\s+/g, '\n');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Invisible characters are shown by their number. They are line ends or half a surrogate pair in a name, and marks that
 * turn the direction of all text after them (https://unicode.org/reports/tr9/#Explicit_Directional_Formatting). Joiners
 * stay: scripts and emoji are written with them.
 */
const SPECIAL = /[&<>"']|[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

function escape(text: string): string {
  return text.replaceAll(
    SPECIAL,
    (character) => ENTITIES[character] ?? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
