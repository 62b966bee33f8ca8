/** A sentence as a person reads it: a piece of code is one word, a link is its text. */
export type Sentence = string;

/** The sentences of a Markdown document, without headings and code blocks. A cell of a table is a text of its own. */
export function sentencesOf(markdown: string): Sentence[] {
  return blocksOf(markdown).flatMap((block) =>
    block.startsWith('|') ? cellsOf(block).flatMap(partsOfCell) : split(plain(block)),
  );
}

/** The sentences of a plain text, such as a message or a remedy. */
export function sentencesOfText(text: string): Sentence[] {
  return split(plain(text));
}

export function wordsIn(sentence: Sentence): number {
  return sentence.match(/[\p{L}\p{N}][\p{L}\p{N}'’_.,/%-]*/gu)?.length ?? 0;
}

function blocksOf(markdown: string): string[] {
  const lines = markdown
    .replaceAll(/^```.*?^```$/gms, '\n')
    .replaceAll(/^<!--.*-->$/gm, '\n')
    .replaceAll(/^#.*$/gm, '\n')
    .replaceAll(/^(?=\s*(?:[-*]|\d+\.) )/gm, '\n')
    .replaceAll(/^(?=\|)/gm, '\n');
  return lines
    .split(/\n\s*\n|\n(?=\|)/)
    .map((block) =>
      block
        .trim()
        .replace(/^(?:[-*]|\d+\.) /, '')
        .replaceAll(/\s*\n\s*/g, ' '),
    )
    .filter((block) => block !== '' && !/^\|[-:| ]+\|$/.test(block));
}

function cellsOf(row: string): string[] {
  return row
    .replaceAll('\\|', '/')
    .split('|')
    .map((cell) => cell.trim())
    .filter((cell) => cell !== '');
}

/** A cell is often a list, with semicolons between its members. */
function partsOfCell(cell: string): Sentence[] {
  return split(plain(cell)).flatMap((sentence) => sentence.split(/;\s+/));
}

function plain(text: string): string {
  return text
    .replaceAll(/!\[[^\]]*\]\([^)]*\)/g, '')
    .replaceAll(/`[^`]*`/g, 'code')
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/\{\{.*?\}\}/g, 'value')
    .replaceAll(/\*\*|(?<!\w)_|_(?!\w)/g, '')
    .trim();
}

function split(text: string): Sentence[] {
  return text
    .split(/(?<=[.!?]["')]*)\s+(?=["'(]*(?:[\p{Lu}\p{N}]|code\b|value\b))/u)
    .map((sentence) => sentence.trim())
    .filter((sentence) => /\p{L}/u.test(sentence));
}
