import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Cell } from './case.ts';
import { SERVERS } from './servers.ts';

export interface Row extends Cell {
  readonly name: string;
}

const folder = new URL('./results/', import.meta.url);

/** Keeps the cells of one server: cases that were not run this time stay as they were. */
export function keepResults(server: string, rows: readonly Row[]): void {
  mkdirSync(folder, { recursive: true });
  const names = new Set(rows.map(({ name }) => name));
  const kept = resultsOf(server).filter(({ name }) => !names.has(name));
  writeFileSync(new URL(`${server}.json`, folder), `${JSON.stringify([...kept, ...rows], null, 2)}\n`);
}

function resultsOf(server: string): readonly Row[] {
  const file = `${server}.json`;
  try {
    if (!readdirSync(folder).includes(file)) return [];
  } catch {
    return [];
  }
  return JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Row[];
}

/** Writes RESULTS.md from the kept results of every server. */
export function writeResults(cases: readonly string[]): void {
  const all = SERVERS.map(({ name, title }) => ({ title, rows: resultsOf(name) }));
  const overview = cases.map((name) => {
    const marks = all.map(({ rows }) => {
      const row = rows.find((each) => each.name === name);
      return row === undefined ? 'not run' : row.right ? 'right' : '**wrong**';
    });
    return `| ${[name, ...marks].join(' | ')} |`;
  });
  const details = cases.map((name) => {
    const rows = all.flatMap(({ title, rows: ofServer }) => {
      const row = ofServer.find((each) => each.name === name);
      if (row === undefined) return [];
      return [
        `| ${[title, row.seen, row.said, row.right ? 'right' : '**wrong**'].map(inCell).join(' | ')} |`,
      ];
    });
    return `## ${name}\n\n| server | what was seen | what the exporter said | |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  writeFileSync(
    new URL('./RESULTS.md', import.meta.url),
    `# What the exporter says of real S3 servers

Written by \`npm run test:s3\`: each server as its registry gives it, on loopback; s3fs 2024.6.1 and 2026.9.0 write and read as Airflow does.
Right: what was said follows from what was seen there. The embedded fauxqs is what \`npm test\` runs on; it takes anybody's
keys, keeps no versions, and loses keys between pages, so on these it proves nothing.

| case | ${SERVERS.map(({ title }) => title).join(' | ')} |
|---${'|---'.repeat(SERVERS.length)}|
${overview.join('\n')}

Not run: RustFS, which crates.io alone has: nobody has built it yet. fauxqs from 2 on needs Node 22. A directory bucket of AWS, for no server
that can be installed has one: its documented answers are tried in test/golden/corners.

${details.join('\n')}`,
  );
}

function inCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
