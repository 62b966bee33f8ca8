import { describe, expect, test } from 'vitest';
import { lookUp } from '../../../src/objects/look-up.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { unknown } from '../../../src/s3/failure.ts';
import type { S3Reason } from '../../../src/s3/reason.ts';

const never = new AbortController().signal;

describe('a HEAD', () => {
  async function ask(reason: S3Reason) {
    let sent = 0;
    const head: ObjectStore['head'] = () => {
      sent += 1;
      return Promise.resolve(unknown(reason, '', 'exporter'));
    };
    const location = { connection: '', bucket: 'xcom', prefix: 'one', folder: 'one/dag/run/' };
    const waiting = [{ item: 'item', key: 'one/dag/run/task/key', at: 0, asked: false }];
    return lookUp(
      [{ location, runId: 'run', waiting, settled: [], others: 0 }],
      {
        stores: { sent: () => sent, of: () => ({ head }) as ObjectStore },
        ceiling: 100,
        until: Infinity,
        now: 0,
      },
      never,
    );
  }

  test('that the exporter ended is no silence of S3', async () => {
    expect(await ask('aborted')).toMatchObject({ unanswered: [], left: ['item'] });
  });

  test('that S3 did not answer in time is one', async () => {
    expect(await ask('timeout')).toMatchObject({ unanswered: [{ item: 'item' }], left: [] });
  });
});
