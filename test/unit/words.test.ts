import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { helpText } from '../../src/commands/help.ts';
import { PROBLEMS } from '../../src/diagnosis/problem-catalogue.ts';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { settingsTable } from '../../src/settings/catalogue.ts';
import { sentencesOf, sentencesOfText, wordsIn } from '../support/prose.ts';

/** A sentence with more words must be read twice. */
const MOST_WORDS = 30;
/** The limit for a text with at least ten sentences. */
const MOST_WORDS_ON_AVERAGE = 18;

const root = new URL('../../', import.meta.url);

interface Rule {
  readonly alert?: string;
  readonly annotations?: { readonly summary: string; readonly description: string };
}

const documents = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'findings/README.md',
  'grafana/README.md',
  ...readdirSync(new URL('docs/', root))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const alerts = (parse(read('grafana/alerts.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  ({ rules }) => rules,
);

/** All texts that a person reads, by the place where they stand. */
const texts: readonly (readonly [string, readonly string[]])[] = [
  ...documents.map((path) => [path, sentencesOf(read(path))] as const),
  ['alerts', alerts.flatMap(({ annotations }) => textsOf(annotations?.summary, annotations?.description))],
  ['problems', Object.values(PROBLEMS).flatMap(({ title, remedy }) => textsOf(title, remedy))],
  ['settings', settingsTable().flatMap(({ description }) => textsOf(description))],
  ['metrics', METRICS.flatMap(({ help }) => textsOf(help))],
  [
    '--help',
    helpText()
      .split('\n')
      .flatMap((line) => line.split(/ {2,}|; /))
      .flatMap((part) => textsOf(part)),
  ],
];

const banned = /<!-- words:begin -->(.*?)<!-- words:end -->/s
  .exec(read('CONTRIBUTING.md'))?.[1]
  ?.match(/(?<=`)[^`,\n]+(?=`)/g);

test('the list of words is read', () => {
  expect(banned?.length).toBeGreaterThan(10);
});

test.each(texts)('%s: no sentence has to be read twice for its length', (_, sentences) => {
  expect(sentences.length).toBeGreaterThan(0);
  expect(sentences.filter((sentence) => wordsIn(sentence) > MOST_WORDS)).toEqual([]);
  const words = sentences.reduce((sum, sentence) => sum + wordsIn(sentence), 0);
  if (sentences.length >= 10) expect(words / sentences.length).toBeLessThan(MOST_WORDS_ON_AVERAGE);
});

test.each(texts)('%s: no sentence begins in its middle', (_, sentences) => {
  expect(
    sentences.filter((sentence) => /^(?:Of|Or|Nor|What|Whether|Which|That)\b[^?]*$/.test(sentence)),
  ).toEqual([]);
});

test('no comment begins in its middle', () => {
  const files = ['src/', 'test/'].flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[jt]s$/.test(name))
      .map((name) => `${folder}${name}`),
  );
  const begun = files.flatMap((path) =>
    firstWords(read(path)).map(({ line, word }) => ({ path, line, word })),
  );
  expect(begun.length).toBeGreaterThan(1_000);
  expect(begun.filter(({ word }) => /^(?:What|Where|Of|Or|Nor|Which|That)$/.test(word))).toEqual([]);
});

test('the first words of comments are found', () => {
  const text = [
    '/** Of a. */',
    '/**',
    ' * What b',
    ' * Or c',
    ' */',
    '  // Where d',
    '  // Nor e',
    "x('// Of f');",
  ];
  expect(firstWords(text.join('\n'))).toEqual([
    { line: 1, word: 'Of' },
    { line: 3, word: 'What' },
    { line: 6, word: 'Where' },
  ]);
});

test.each(texts)('%s: every word is a plain one', (path, sentences) => {
  // This document holds the list of these words itself.
  const read =
    path === 'CONTRIBUTING.md' ? sentences.filter((text) => !text.startsWith('code, code')) : sentences;
  const word = new RegExp(`\\b(?:${(banned ?? []).join('|')})\\b`, 'i');
  expect(read.filter((sentence) => word.test(sentence))).toEqual([]);
});

test('the check finds what it is for', () => {
  const long = `Rows ${'and rows '.repeat(15)}are read.`;
  expect(
    sentencesOf(`# Of rows\n\nOf ten, one \`or two\` is read. ${long}\n\n| a | Or b |\n|---|---|`),
  ).toEqual(['Of ten, one code is read.', long, 'a', 'Or b']);
  expect(wordsIn(long)).toBeGreaterThan(MOST_WORDS);
  expect(wordsIn('It reads s3://bucket/key, 1,000 rows.')).toBe(6);
});

/** The first word of each comment that stands on lines of its own. */
function firstWords(text: string): { line: number; word: string }[] {
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    const before = lines[index - 1]?.trim() ?? '';
    const isOpened = before === '/**' && /^\s*\* /.test(line);
    const begins =
      isOpened || /^\s*\/\*\* /.test(line) || (/^\s*\/\/ /.test(line) && !before.startsWith('//'));
    const [, word] = /^[\s/*]*(\w+)/.exec(line) ?? [];
    return begins && word !== undefined ? [{ line: index + 1, word }] : [];
  });
}

function textsOf(...given: (string | undefined)[]): string[] {
  return given.flatMap((text) => sentencesOfText(text ?? ''));
}

function read(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}
