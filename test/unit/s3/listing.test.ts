import { Readable } from 'node:stream';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Listed } from '../../../src/s3/listing.ts';
import { takeListing } from '../../../src/s3/listing.ts';

interface Answer {
  readonly statusCode: number;
  readonly pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** A client of the SDK that gets these answers, one after the other, and the last one again and again. */
function clientOf(...answers: readonly Answer[]): S3Client {
  let asked = 0;
  return new S3Client({
    region: 'us-east-1',
    credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    maxAttempts: answers.length,
    requestHandler: {
      handle: () => {
        const { statusCode, pieces } = answers[Math.min(asked, answers.length - 1)] as Answer;
        asked += 1;
        return Promise.resolve({ response: { statusCode, headers: {}, body: Readable.from(pieces) } });
      },
    },
  });
}

const command = () => new ListObjectsV2Command({ Bucket: 'xcom', Prefix: '' });

/** Gives the page that `takeListing` finds, and the error that the SDK throws. */
async function takeFrom(...answers: readonly Answer[]): Promise<{ listed: Listed | null; error: unknown }> {
  const sent = command();
  const listed = takeListing(sent);
  const error = await clientOf(...answers)
    .send(sent)
    .then(
      () => null,
      (reason: unknown) => reason,
    );
  return { listed: listed(), error };
}

const take = (pieces: Answer['pieces'], statusCode = 200) => takeFrom({ statusCode, pieces });

/** Gives the page as the SDK alone reads it. */
async function bySdk(pieces: Answer['pieces']): Promise<Listed> {
  const {
    Contents = [],
    IsTruncated,
    NextContinuationToken = null,
  } = await clientOf({ statusCode: 200, pieces }).send(command());
  const objects = Contents.map(({ Key = '', Size = -1, LastModified, StorageClass = 'STANDARD' }) => ({
    key: Key,
    bytes: Size,
    lastModified: LastModified?.getTime() ?? -1,
    storageClass: StorageClass,
  }));
  return { kind: 'listed', objects, next: IsTruncated === true ? NextContinuationToken : null };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const slowDown = bytes('<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Less</Message></Error>');
const pageOf = (contents: string, rest = '<IsTruncated>false</IsTruncated>') =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>xcom</Name><Prefix/><CommonPrefixes><Key>none</Key></CommonPrefixes>${rest}${contents}</ListBucketResult>`;
const contentOf = (key: string, size = '5', modified = '2026-11-28T11:22:33.000Z') =>
  `<Contents><Key>${key}</Key><LastModified>${modified}</LastModified><ETag>&quot;d41d&quot;</ETag><Size>${size}</Size><Owner><ID>1</ID><Key>none</Key><Size>7</Size></Owner><StorageClass>GLACIER</StorageClass></Contents>`;

/** The ways in which servers write a character. */
const written = fc.oneof(
  fc.constantFrom('&amp;', '&lt;', '&gt;', '&quot;', '&apos;', '&#39;', '&#xD;', '&#13;', '&#x1;', '&#128;'),
  fc.constantFrom(
    '<![CDATA[<&amp;]]>',
    '<!-- no part of it -->',
    '&amp;lt;',
    ' ',
    '\t',
    '\n',
    '%2F',
    '/',
    'é',
    '日',
    '😀',
  ),
  fc
    .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 8 })
    .map((text) => text.replaceAll(/[<>&\r]/gu, '_')),
);
const keys = fc.array(
  fc.array(written, { maxLength: 6 }).map((parts) => `k${parts.join('')}`),
  { maxLength: 5 },
);

describe('takeListing', () => {
  test('reads what the SDK reads, in whatever pieces it comes and however it is written', async () => {
    await fc.assert(
      fc.asyncProperty(
        keys,
        fc.boolean(),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }),
        async (names, isPretty, isLast, sizes) => {
          const rest = isLast
            ? '<IsTruncated>false</IsTruncated>'
            : '<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>';
          const xml = pageOf(names.map((name) => contentOf(name)).join(''), rest);
          let left: Uint8Array = bytes(isPretty ? xml.replaceAll(/(?<=>)(?=<(?!!))/gu, '\n  ') : xml);
          const pieces: Uint8Array[] = [];
          while (left.length > 0) {
            const cut = sizes[pieces.length % sizes.length];
            pieces.push(left.subarray(0, cut));
            left = left.subarray(cut);
          }
          expect(await take(pieces)).toEqual({ listed: await bySdk(pieces), error: null });
        },
      ),
    );
  });

  test('a reference to a character above U+FFFF is that character, where the SDK 3.1173 reads another', async () => {
    const pieces = [bytes(pageOf(contentOf('&#x20000;')))];
    expect((await take(pieces)).listed?.objects[0]?.key).toBe('\u{20000}');
  });

  test('no beginning of a page is a page', async () => {
    const xml = pageOf(contentOf('a'));
    expect((await take([bytes(xml)])).listed?.objects).toHaveLength(1);
    for (let end = 0; end < xml.length; end += 1)
      expect((await take([bytes(xml.slice(0, end))])).listed).toBeNull();
  });

  test.each([
    ['a page of a portal', '<html><body>Sign in</body></html>'],
    ['no XML', 'OK'],
    ['nothing', ''],
    ['a page without an end or a next', pageOf('', '')],
    [
      'a page that goes on with an empty token',
      pageOf('', '<IsTruncated>true</IsTruncated><NextContinuationToken/>'),
    ],
    ['a page that goes on without a token', pageOf('', '<IsTruncated>true</IsTruncated>')],
    ['an object without a key', pageOf(contentOf(''))],
    ['an object without fields', pageOf('<Contents/>')],
    ['a size that is no number', pageOf(contentOf('a', 'five'))],
    ['no size', pageOf(contentOf('a', ''))],
    ['a time in no zone', pageOf(contentOf('a', '5', '2026-11-28T11:22:33.000'))],
    ['no time', pageOf(contentOf('a', '5', 'yesterday'))],
    ['an object that is not closed', pageOf(contentOf('a').replace('</Contents>', ''))],
    ['a key that is not closed', pageOf(contentOf('a').replace('</Key>', ''))],
    ['a key with an element within', pageOf(contentOf('a<br/>b'))],
    [
      'a token with an element within',
      pageOf('', '<IsTruncated>true</IsTruncated><NextContinuationToken>a<b/>c</NextContinuationToken>'),
    ],
    ['two pages one after the other', pageOf(contentOf('a')) + pageOf(contentOf('b'))],
    ['a page with an error behind it', `${pageOf(contentOf('a'))}<Error><Code>InternalError</Code></Error>`],
    [
      'a page with two ends',
      pageOf(
        '',
        '<IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken><IsTruncated>false</IsTruncated>',
      ),
    ],
    ['an object with two keys', pageOf(contentOf('a').replace('</Key>', '</Key><Key>b</Key>'))],
    ['a page with an error in it', pageOf('<Error><Code>InternalError</Code></Error>')],
    ['a size that no number holds', pageOf(contentOf('a', '99999999999999999999999'))],
    ['a page that is deeper than any', pageOf(`${'<a>'.repeat(8)}${'</a>'.repeat(8)}`)],
    [
      'a page in an encoding that nobody asked for',
      pageOf(`<EncodingType>url</EncodingType>${contentOf('a%20b')}`),
    ],
    ['a list of other things', pageOf('').replaceAll('ListBucketResult', 'ListVersionsResult')],
  ])('%s is no page', async (_, xml) => {
    expect((await take([bytes(xml)])).listed).toBeNull();
  });

  test('the SDK gets an error of S3 as it came, with whatever status', async () => {
    for (const status of [200, 503])
      expect(await take([slowDown], status)).toMatchObject({
        listed: null,
        error: { name: 'SlowDown', message: 'Less' },
      });
  });

  test('a key with all its characters written as references is read, and a page without end is left', async () => {
    const key = '&#x6b;'.repeat(1_024);
    const listed = await take([bytes(pageOf(contentOf(key).repeat(1_000)))]);
    expect(listed.listed?.objects).toHaveLength(1_000);
    let pieces = 0;
    function* endless(): Generator<Uint8Array> {
      yield bytes(pageOf('').replace('</ListBucketResult>', ''));
      for (; ; pieces += 1) yield bytes(contentOf('a').repeat(4_000));
    }
    expect((await take(endless())).listed).toBeNull();
    expect(pieces).toBeLessThan(20);
  });

  test('a page behind a mark of the byte order is one', async () => {
    expect((await take([bytes(`\uFEFF${pageOf(contentOf('a'))}`)])).listed?.objects).toHaveLength(1);
  });

  test('the SDK asks again after an error and after a body that breaks off, and that page counts', async () => {
    async function* breakingOff(): AsyncGenerator<Uint8Array> {
      yield bytes(pageOf(contentOf('a')).slice(0, -9));
      await Promise.resolve();
      throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
    }
    const found = await takeFrom(
      { statusCode: 200, pieces: [slowDown] },
      { statusCode: 200, pieces: breakingOff() },
      { statusCode: 200, pieces: [bytes(pageOf(contentOf('b')))] },
    );
    expect(found.error).toBeNull();
    expect(found.listed?.objects.map(({ key }) => key)).toEqual(['b']);
  });
});
