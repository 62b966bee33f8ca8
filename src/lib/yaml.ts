import type { Document } from 'yaml';
import { LineCounter, parseDocument } from 'yaml';

export interface Yaml {
  readonly document: Document.Parsed;
  /** The line and column of a place, both from 1 on. */
  readonly placeOf: (position: number) => { readonly line: number; readonly col: number };
}

/** Neither what is printed nor an error quotes the text: a password may stand there. */
export function parseYaml(text: string): Yaml {
  const lines = new LineCounter();
  // Pretty errors quote the line, and warnings of its own go to standard error.
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'error' });
  return { document, placeOf: (position) => lines.linePos(position) };
}
