import { pino } from 'pino';
import { expect, test } from 'vitest';
import { preflight } from '../../../src/probe/preflight.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { EmbeddedS3 } from '../../../src/demo/embedded-s3.ts';
import { connectionTo, recordRequests } from '../../support/s3.ts';

const NOBODY = { region: 'us-east-1', accessKeyId: 'K', secretAccessKey: 's' } as EmbeddedS3;

/** The remedy for a host that gives no answer. */
async function fixFor(host: string, { isAtAws }: { isAtAws: boolean }): Promise<string | null> {
  const target = { region: null, isAtAws, bucket: 'xcom', prefix: '', write: true, id: 'a', asWorker: true };
  const store = openObjectStore(connectionTo('http://127.0.0.1:1', NOBODY), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
  const greeting = {
    kind: 'failed',
    url: `https://${host}/`,
    stage: 'connection',
    code: 'ENOTFOUND',
  } as const;
  const steps = await preflight(store, target, { greeting, signal: new AbortController().signal });
  store.close();
  return steps.find(({ check }) => check === 'endpoint')?.fix ?? null;
}

test('at AWS a bucket in the host is the rule, and no addressing_style is to blame', async () => {
  const atAws = await fixFor('xcom.s3.eu-west-11.amazonaws.com', { isAtAws: true });
  expect(atAws).toMatch(/^Correct region_name of the connection if the host has the wrong region/);
  const own = await fixFor('xcom.minio.local', { isAtAws: false });
  expect(own).toMatch(/addressing_style/);
});
