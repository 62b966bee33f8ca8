import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readRunbook, renderRunbook } from '../../../src/http/runbook-page.ts';
import { PROBLEM_CODES } from '../../../src/diagnosis/problem-catalogue.ts';

const bodyOf = (markdown: string): string =>
  /<main class="prose">(.*)<\/main>/s.exec(renderRunbook(markdown))?.[1]?.replaceAll(/>\n</g, '><') ?? '';

test('every problem has a section that its link leads to', () => {
  const page = readRunbook() ?? '';
  for (const code of PROBLEM_CODES) expect(page).toContain(`<h2 id="${code}">${code}</h2>`);
});

test('every link within the runbook leads somewhere', () => {
  const page = readRunbook() ?? '';
  const targets = [...page.matchAll(/href="#([^"]*)"/g)].map(([, target]) => target);
  expect(targets.length).toBeGreaterThan(5);
  for (const target of targets) expect(page).toContain(` id="${target ?? ''}"`);
});

test('nothing of the runbook is lost, and no mark of Markdown is left outside code', () => {
  const source = readFileSync(new URL('../../../docs/runbook.md', import.meta.url), 'utf8');
  const text = (readRunbook() ?? '')
    .replace(/<head>.*<\/head>/s, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
  const words = (of: string): string[] => of.match(/[\p{L}\p{N}]{3,}/gu) ?? [];
  // The addresses of links, the languages of code blocks and the markers of tables are not shown.
  const shown = source
    .replaceAll(/\]\([^)]*\)/g, ']')
    .replaceAll(/^```\w*$/gm, '')
    .replaceAll(/^<!-- .* -->$/gm, '');
  expect(words(text).join(' ')).toBe(['Status', 'page', ...words(shown)].join(' '));
  const prose = (readRunbook() ?? '').replaceAll(/<code>.*?<\/code>|<head>.*<\/head>/gs, '');
  expect(prose).not.toMatch(/\*\*|`|\]\(|^\||^#/m);
});

test('text is escaped, code keeps its lines, and tables have headers', () => {
  expect(bodyOf('a <b> **c** `d <e>`')).toBe('<p>a &lt;b&gt; <b>c</b> <code>d &lt;e&gt;</code></p>');
  expect(bodyOf('```sql\nSELECT 1\n  < 2\n```')).toBe(
    '<pre tabindex="0"><code>SELECT 1\n  &lt; 2\n</code></pre>',
  );
  expect(bodyOf('| a | b |\n| - | - |\n| `x` | y |')).toMatch(
    /<th scope="col">a<\/th>.*<td><code>x<\/code><\/td><td>y<\/td>/s,
  );
  expect(bodyOf('<!-- x:begin -->\n| a |\n| - |\n| b |\n<!-- x:end -->')).toMatch(
    /^<div class="scroll".*<\/div>$/s,
  );
  expect(bodyOf('- one\n  more\n- two')).toBe('<ul><li>one more</li><li>two</li></ul>');
  expect(bodyOf('1. one\n2. two')).toBe('<ol><li>one</li><li>two</li></ol>');
});

test('links lead within the page or to the web only', () => {
  expect(bodyOf('[a](#b) [c](https://d.example) [e](sql/f.sql) [g](javascript:alert)')).toBe(
    '<p><a href="#b">a</a> <a href="https://d.example">c</a> e g</p>',
  );
});
