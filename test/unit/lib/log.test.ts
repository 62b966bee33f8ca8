import { describe, expect, test } from 'vitest';
import { createLogger } from '../../../src/lib/log.ts';
import type { LogOptions } from '../../../src/lib/log.ts';

function written(
  options: Partial<LogOptions>,
  write: (log: ReturnType<typeof createLogger>) => void,
): string {
  let text = '';
  write(
    createLogger(
      { level: 'info', format: 'json', ...options },
      {
        write: (chunk) => {
          text += chunk;
        },
      },
    ),
  );
  return text;
}

describe('createLogger', () => {
  test('writes a line at once, with the level as a word and the time for people', () => {
    const line = JSON.parse(
      written({}, (log) => {
        log.info({ port: 10048 }, 'listening');
      }),
    ) as Record<string, unknown>;
    expect(line).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as unknown,
      port: 10048,
      msg: 'listening',
    });
  });

  test('pretty lines are for people, and also written at once', () => {
    const text = written({ format: 'pretty' }, (log) => {
      log.warn({ act: 2 }, 'the threshold is lost');
    });
    expect(text).toMatch(/^\[\d\d:\d\d:\d\d\] WARN: the threshold is lost {"act":2}\n$/);
  });

  test('keeps to its level', () => {
    const text = written({ level: 'warn' }, (log) => {
      log.debug('no');
      log.info('no');
      log.error('yes');
    });
    expect(text.match(/"msg":"(\w+)"/g)).toEqual(['"msg":"yes"']);
  });

  test.each(['json', 'pretty'] as const)(
    'prints no secret, and of a cause only type and code: %s',
    (format) => {
      const row = 'row-of-a-customer';
      const cause = Object.assign(new Error(`duplicate key: ${row}`), {
        code: '23505',
        detail: `Key (value)=(${row})`,
        where: row,
      });
      const error = Object.assign(new Error('Cannot read the rows', { cause }), { detail: row });
      const text = written({ format }, (log) => {
        log.error({ err: error, password: 'geheim', connection: { secretAccessKey: 'geheim' } }, 'failed');
      });
      expect(text).toContain('Cannot read the rows');
      expect(text).toContain('23505');
      expect(text).toContain('log.test.ts');
      expect(text).not.toContain(row);
      expect(text).not.toContain('geheim');
    },
  );

  test.each([
    'password',
    'secret',
    'secretAccessKey',
    'sessionToken',
    'accessKeyId',
    'authorization',
    'connectionString',
    'body',
  ])('prints nothing that is called %s, nor one level down', (name) => {
    const text = written({}, (log) => {
      log.info({ [name]: 'geheim', connection: { [name]: 'geheim' } }, 'connected');
    });
    expect(JSON.parse(text)).toMatchObject({ [name]: '***', connection: { [name]: '***' } });
  });
});
