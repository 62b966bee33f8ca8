import type { Document } from 'yaml';
import { LineCounter, parseDocument } from 'yaml';

export interface Yaml {
  readonly document: Document.Parsed;
  /** The line and column of a position, both counted from 1. */
  readonly placeOf: (position: number) => { readonly line: number; readonly col: number };
}

/** Parses YAML. Neither output nor errors quote the text, because it may contain a password. */
export function parseYaml(text: string): Yaml {
  const lines = new LineCounter();
  // Pretty errors would quote the line, and the library's own warnings would go to standard error.
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'error' });
  return { document, placeOf: (position) => lines.linePos(position) };
}
