/** Text that is already HTML. Only `html` and `raw` make it. */
export interface Html {
  readonly html: string;
}

type Part = Html | string | number | null | false | readonly Part[];

/** A template whose values are escaped unless they are `Html`; lists are joined, null and false are nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const pieces = strings.map(
    (piece, i) => unindent(piece) + (i < parts.length ? render(parts[i] ?? null) : ''),
  );
  return { html: pieces.join('') };
}

/** For text of our own that is HTML or CSS as it stands: never for what came from outside. */
export function raw(text: string): Html {
  return { html: text };
}

function render(part: Part): string {
  if (part === null || part === false) return '';
  if (typeof part === 'string') return escape(part);
  if (typeof part === 'number') return String(part);
  if ('html' in part) return part.html;
  return part.map(render).join('');
}

/** The indentation of our source is a third of a page with long tables. */
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

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
