import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { auditCode, auditDocument, auditText } from '../../../src/audit/summary.ts';
import type { HeadAnswer } from '../../../src/s3/client.ts';
import { unknown } from '../../../src/s3/failure.ts';
import type { RunOptions } from '../../support/audit.ts';
import { runAudit } from '../../support/audit.ts';
import type { SmallStore } from '../../support/audit-small.ts';
import { addRow, connectionAt, storeOf } from '../../support/audit-small.ts';
import { usePostgres } from '../../support/postgres.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';

const postgres = usePostgres();
let stage: Stage;
let objects: SmallStore;

beforeAll(async () => {
  stage = await openStage(postgres(), '3.3.2');
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.clear();
  objects = new Map();
});

function audited(changes: Partial<RunOptions> = {}) {
  return runAudit({
    url: stage.url,
    store: storeOf(objects),
    connection: connectionAt('http://one'),
    configured: [{ bucket: 'bucket', prefix: 'xcom', connection: '' }],
    ...changes,
  });
}
type Result = Awaited<ReturnType<typeof audited>>;

const linesOf = (result: Result, begin: string) =>
  auditText(result, { folder: '', plain: (name) => name })
    .split('\n')
    .filter((line) => line.startsWith(begin));
const documentOf = (result: Result) =>
  auditDocument(result, { folder: '', version: '' }) as Readonly<Record<string, unknown>>;

test('why object storage does not say of an object is counted by who said it, with what to do', async () => {
  const locations: string[] = [];
  for (let index = 0; index < 4; index += 1) locations.push(await addRow(stage, 'aws@bucket/xcom'));
  const throttled = locations[0]?.replace('aws@bucket/', '');
  const answer = (key: string): HeadAnswer =>
    key === throttled
      ? unknown('throttled', 'no code (503)', 's3')
      : unknown('denied', 'no code (403)', 's3');
  const result = await audited({
    store: { ...storeOf(objects), head: ({ key }) => Promise.resolve(answer(key)) },
  });
  expect([auditCode(result), result.confirmed.unknown]).toEqual([2, 4]);
  expect(documentOf(result)['confirmed']).toMatchObject({
    unanswered: [
      { connection: 'aws', reason: 'denied', by: 's3', detail: 'no code (403)', references: 3 },
      { connection: 'aws', reason: 'throttled', by: 's3', detail: 'no code (503)', references: 1 },
    ],
  });
  expect(linesOf(result, 'Not confirmed')).toEqual([
    'Not confirmed: references with the connection aws (3): denied: object storage answered no code (403). Allow s3:GetObject on the path to the credentials of the connection.',
    'Not confirmed: references with the connection aws (1): throttled: object storage answered no code (503). Run the audit again with a lower --requests-per-second.',
  ]);
});
