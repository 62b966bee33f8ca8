import { expect, test } from 'vitest';
import { parseUrl } from '../../../src/lib/parse-url.ts';

test('a text that is a URL, and one that is none', () => {
  expect(parseUrl('https://minio.example:9000/base')?.host).toBe('minio.example:9000');
  expect(['', 'minio', 'http://[::1'].map(parseUrl)).toEqual([null, null, null]);
});

/** V8 compiles code that runs often; from then on Node 20 and 22 use another `URL.canParse`. */
test('a host with other letters is one however often it is asked', () => {
  const hosts = Array.from({ length: 20_000 }, () => parseUrl('https://bücher.example')?.host);
  expect(new Set(hosts)).toEqual(new Set(['xn--bcher-kva.example']));
});
