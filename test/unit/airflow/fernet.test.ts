import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decryptFernet, parseFernetKeys } from '../../../src/airflow/fernet.ts';
import { openStoredConnection } from '../../../src/airflow/stored-connection.ts';

/** Made by Python's cryptography, which Airflow uses. */
const made = JSON.parse(
  readFileSync(new URL('../../fixtures/fernet/cryptography.json', import.meta.url), 'utf8'),
) as {
  readonly keys: readonly [string, string];
  readonly tokens: readonly { readonly text: string; readonly by: 0 | 1; readonly token: string }[];
  readonly rotated: { readonly text: string; readonly token: string };
};
const [first, second] = made.keys;

describe('a token of Fernet', () => {
  test('is opened as the specification has it', () => {
    // https://github.com/fernet/spec/blob/master/generate.json
    const keys = parseFernetKeys('cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=');
    const token =
      'gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==';
    expect(decryptFernet(token, keys)).toBe('hello');
  });

  test.each(made.tokens)(
    'that Python made is opened by its key alone: key $by, $text.length characters',
    ({ text, by, token }) => {
      expect(decryptFernet(token, parseFernetKeys(made.keys[by]))).toBe(text);
      expect(decryptFernet(token, parseFernetKeys(made.keys[1 - by] ?? ''))).toBeNull();
      expect(decryptFernet(token, [])).toBeNull();
    },
  );

  test('is opened by any key of a rotation, in any order', () => {
    for (const list of [`${first},${second}`, `${second}, ${first}`, ` ${first} , ${second} `])
      for (const { text, token } of [...made.tokens, made.rotated])
        expect(decryptFernet(token, parseFernetKeys(list))).toBe(text);
  });

  test('of which one bit was changed, or the end cut off, is opened by nobody', () => {
    const keys = parseFernetKeys(first);
    const token = made.tokens.find(({ text, by }) => text === 'a secret' && by === 0)?.token ?? '';
    const bytes = Buffer.from(token, 'base64url');
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const changed = Buffer.from(bytes);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(decryptFernet(changed.toString('base64url'), keys)).toBeNull();
        expect(decryptFernet(bytes.subarray(0, bit >> 3).toString('base64url'), keys)).toBeNull();
      }),
    );
    for (const text of ['', 'a', '%%', `${token}!`, token.slice(1)])
      expect(decryptFernet(text, keys)).toBeNull();
  });
});

test('a key in the other alphabet of base64 is taken, as by cryptography', () => {
  const key = 'cw/0x689RpI+jtRR7oE8h/eQsKImvJapLeSbXpwF4e4=';
  const token =
    'gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==';
  expect(decryptFernet(token, parseFernetKeys(key))).toBe('hello');
  const mixed = 'cw/0x689RpI-jtRR7oE8h/eQsKImvJapLeSbXpwF4e4=';
  expect(decryptFernet(token, parseFernetKeys(mixed))).toBe('hello');
});

test('a key without its padding is refused, as by Airflow, and one with more is not', () => {
  expect(() => parseFernetKeys(first.replace(/=+$/, ''))).toThrow(/is no Fernet key/);
  expect(parseFernetKeys(`${first}=`)).toHaveLength(1);
});

test.each(['geheim', 'Z2VoZWlt', `${first},geheim`, `${first},`, first.slice(4)])(
  'keys that are none are refused and not repeated: %s',
  (text) => {
    expect(() => parseFernetKeys(text)).toThrow(RangeError);
    expect(() => parseFernetKeys(text)).not.toThrow(/geheim|Z2Vo|MDEy/);
  },
);

test('a key prints nowhere, and an empty text is no key', () => {
  expect(`${inspect(parseFernetKeys(first))}${JSON.stringify(parseFernetKeys(first))}`).not.toContain('MDEy');
  expect(parseFernetKeys(' ')).toEqual([]);
});

describe('a stored connection', () => {
  const extra = made.tokens.find(({ text, by }) => text.startsWith('{') && by === 1)?.token ?? '';
  const password = made.tokens.find(({ text, by }) => text.startsWith('p@ss') && by === 0)?.token ?? '';
  const row = {
    conn_id: 'minio',
    login: 'KEY',
    password,
    is_encrypted: true,
    extra,
    is_extra_encrypted: true,
    host: null,
  };
  const keys = parseFernetKeys(made.keys.join(','));

  test('has its password and extra decrypted, each if it is encrypted', () => {
    expect(openStoredConnection(row, keys)).toMatchObject({
      login: 'KEY',
      password: 'p@ss/ö世😀',
      extra: { region_name: 'eu-west-1' },
    });
    const clear = { ...row, password: 'plain', is_encrypted: false, extra: null };
    expect(openStoredConnection(clear, [])).toMatchObject({ password: 'plain', extra: {} });
    expect(openStoredConnection({ ...clear, login: null, password: null, extra: '' }, [])).toMatchObject({
      login: null,
      password: null,
    });
  });

  test.each([
    [row, [], /no Fernet key is given \(AIRFLOW__CORE__FERNET_KEY or airflow\.fernet-key\)/],
    [row, parseFernetKeys(second), /another Fernet key/],
    [{ ...row, password: 'geheim' }, keys, /another Fernet key/],
    [{ ...row, extra: '{geheim', is_extra_encrypted: false }, keys, /"extra" is not valid JSON/],
  ])('that cannot be read says why, and nothing of it: %#', (broken, with_, why) => {
    expect(() => openStoredConnection(broken, with_)).toThrow(why);
    expect(() => openStoredConnection(broken, with_)).not.toThrow(/geheim|gAAAA|KEY\b(?<!FERNET_KEY)/);
  });
});
