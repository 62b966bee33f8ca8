import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { RUNBOOK } from '../diagnosis/problem-catalogue.ts';
import type { Html, Part } from './html.ts';
import { html, raw } from './html.ts';
import { STYLE } from './style.ts';

/** The same path as in the repository, so that one link works in both places. */
export const RUNBOOK_PATH = `/${RUNBOOK}`;

/** The runbook of this release as a page; null when the installation has none. `package.json` gives its path. */
export function readRunbook(): string | null {
  try {
    return renderRunbook(readFileSync(createRequire(import.meta.url).resolve('#runbook'), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return null;
    throw error;
  }
}

/** Renders the part of Markdown that the runbook uses; other syntax appears as plain text. */
export function renderRunbook(markdown: string): string {
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Runbook - airflow-xcom-exporter</title>
        ${raw(`<style>${STYLE}</style>`)}
      </head>
      <body>
        <nav aria-label="Back"><a href="/">Status page</a></nav>
        <main class="prose">${blocksOf(markdown.split(/\r?\n/).filter((line) => !COMMENT.test(line)))}</main>
      </body>
    </html> `;
  return page.html;
}

function blocksOf(lines: readonly string[]): Html[] {
  const blocks: Html[] = [];
  for (let i = 0; i < lines.length;) {
    const end = endOfBlock(lines, i);
    const block = lines.slice(i, end);
    if (block.some((line) => line.trim() !== '')) blocks.push(blockOf(block));
    i = end;
  }
  return blocks;
}

/** Marks where a table that is made from the code begins and ends. */
const COMMENT = /^<!-- .* -->$/;
const FENCE = /^```/;
const HEADING = /^(#{1,4}) +(.*)$/;
const ITEM = /^(?:[-*]|\d+\.) +/;

function endOfBlock(lines: readonly string[], start: number): number {
  const first = lines[start] ?? '';
  const after = (stop: (line: string) => boolean): number => {
    const found = lines.findIndex((line, i) => i > start && stop(line));
    return found === -1 ? lines.length : found;
  };
  if (FENCE.test(first)) return Math.min(lines.length, after((line) => FENCE.test(line)) + 1);
  if (HEADING.test(first) || first.trim() === '') return start + 1;
  const table = first.startsWith('|');
  return after(
    (line) => line.trim() === '' || FENCE.test(line) || HEADING.test(line) || line.startsWith('|') !== table,
  );
}

function blockOf(block: readonly string[]): Html {
  const [first = ''] = block;
  if (FENCE.test(first)) {
    const code = block.slice(1).filter((line) => !FENCE.test(line));
    // Line by line: the indentation of code must stay, and a line end inside a value would be shown as a character
    // number.
    return html`<pre tabindex="0"><code>${code.map((line) => [line, { html: '\n' }])}</code></pre>`;
  }
  const heading = HEADING.exec(first);
  if (heading !== null) return headingOf(heading[1]?.length ?? 1, heading[2] ?? '');
  if (first.startsWith('|')) return tableOf(block);
  if (ITEM.test(first)) return listOf(block);
  return html`<p>${inline(block.join(' '))}</p>`;
}

function headingOf(level: number, text: string): Html {
  const id = slugOf(text);
  if (level === 1) return html`<h1 id="${id}">${inline(text)}</h1>`;
  return level === 2 ? html`<h2 id="${id}">${inline(text)}</h2>` : html`<h3 id="${id}">${inline(text)}</h3>`;
}

/** The anchor that GitHub gives a heading. */
function slugOf(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-');
}

function tableOf(block: readonly string[]): Html {
  const [head = [], , ...rows] = block.map((line) =>
    line
      .replaceAll(/^\||\|\s*$/g, '')
      .split(/(?<!\\)\|/)
      .map((cell) => inline(cell.trim().replaceAll('\\|', '|'))),
  );
  return html`<div class="scroll" role="region" aria-label="Table" tabindex="0">
    <table>
      <thead>
        <tr>
          ${head.map((cell) => html`<th scope="col">${cell}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell) => html`<td>${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function listOf(block: readonly string[]): Html {
  const items: string[] = [];
  for (const line of block) {
    if (ITEM.test(line)) items.push(line.replace(ITEM, ''));
    else items.push(`${items.pop() ?? ''} ${line.trim()}`);
  }
  const shown = items.map((item) => html`<li>${inline(item)}</li>`);
  return /^\d/.test(block[0] ?? '')
    ? html`<ol>
        ${shown}
      </ol>`
    : html`<ul>
        ${shown}
      </ul>`;
}

function inline(text: string): Part {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)\s]+\))/).map((piece, i): Part => {
    if (i % 2 === 0) return piece;
    if (piece.startsWith('`')) return html`<code>${piece.slice(1, -1)}</code>`;
    if (piece.startsWith('**')) return html`<b>${inline(piece.slice(2, -2))}</b>`;
    const [, words = '', target = ''] = /^\[(.+)\]\((.+)\)$/.exec(piece) ?? [];
    // Other files of the repository are not served.
    return /^(?:#|https?:\/\/)/.test(target) ? html`<a href="${target}">${inline(words)}</a>` : inline(words);
  });
}
