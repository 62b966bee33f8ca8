import { createRequire } from 'node:module';
import type { Document } from 'yaml';

const require = createRequire(import.meta.url);

export interface Yaml {
  readonly document: Document.Parsed;
  /** The line and column of a place, both from 1 on. */
  readonly placeOf: (position: number) => { readonly line: number; readonly col: number };
}

/**
 * Neither what is printed nor an error quotes the text: a password may stand there. The parser is loaded when there is a
 * file to be read: most exporters have none, and 4 MB less for it.
 */
export function parseYaml(text: string): Yaml {
  const { LineCounter, parseDocument } = require('yaml') as typeof import('yaml');
  const lines = new LineCounter();
  // Pretty errors quote the line, and warnings of its own go to standard error.
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'error' });
  return { document, placeOf: (position) => lines.linePos(position) };
}
