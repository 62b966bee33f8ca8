import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { uuid4 } from '../support/plant.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { listShapes, openCycle, openStage, sumUp } from '../support/seed.ts';
import { hostileText, rounds, seed, chanceOf } from './chance.ts';
import type { Chance } from './chance.ts';

const postgres = useOwnPostgres();
const BUDGET = 60;

/** The source of the server's answers; set for each round. */
let chance: Chance = chanceOf(seed);
let requests = 0;
let server: Server;

beforeAll(async () => {
  server = createServer((request, response) => {
    requests += 1;
    request.resume();
    const { status, body, headers } = someAnswer(request.method ?? 'GET');
    try {
      response.writeHead(status, headers);
      response.end(request.method === 'HEAD' ? undefined : body);
    } catch {
      response.socket?.destroy();
    }
    if (chance.once(15)) response.socket?.resetAndDestroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function someAnswer(method: string): {
  status: number;
  body: string | Buffer;
  headers: Record<string, string>;
} {
  const type = chance.pick(['application/xml', 'text/html', 'application/json', '']);
  const headers: Record<string, string> = type === '' ? {} : { 'content-type': type };
  const status = chance.pick([200, 200, 200, 200, 206, 204, 301, 307, 400, 403, 418, 500, 503]);
  // A 404 would say that there is no such object. Of the other statuses, garbage must not be believed.
  if (method === 'HEAD')
    return {
      status,
      body: '',
      headers: { ...headers, ...(chance.once(2) ? {} : { 'content-length': '12' }) },
    };
  const number = chance.pick(['0', '-1', '12', '1e99', 'NaN', '', '9'.repeat(40), '0x10', ' 7 ']);
  const contents = Array.from(
    { length: chance.int(40) },
    () =>
      `<Contents><Key>${chance.once(2) ? 'base/' : ''}${hostileText(chance, 60)}</Key><Size>${number}</Size>${
        chance.once(2) ? `<LastModified>${hostileText(chance, 20)}</LastModified>` : ''
      }</Contents>`,
  ).join('');
  const truncated = chance.pick(['true', 'false', 'maybe', '']);
  const xml = `<?xml version="1.0"?><ListBucketResult><IsTruncated>${truncated}</IsTruncated>${
    chance.once(2) ? '<NextContinuationToken>again</NextContinuationToken>' : ''
  }${contents}</ListBucketResult>`;
  const body = chance.pick<() => string | Buffer>([
    () => xml,
    () => xml.slice(0, chance.int(xml.length)),
    () => chance.bytes(chance.int(2_000)),
    () =>
      `<!DOCTYPE a [<!ENTITY b "${'c'.repeat(100)}"><!ENTITY d "${'&b;'.repeat(50)}">]>${xml.replace('<Key>', '<Key>&d;')}`,
    () => '<Error><Code>InternalError</Code><Message>x</Message></Error>',
    () => '<a>'.repeat(chance.int(3_000)),
    () => '',
  ])();
  return { status, body, headers };
}

test('answers of S3 of any form make nothing missing that was not said to be, and end', async () => {
  const stage = await openStage(postgres(), listShapes().at(-2)?.release ?? '');
  const { port } = server.address() as AddressInfo;
  const cycle = openCycle(stage, {
    endpoint: `http://127.0.0.1:${port}`,
    env: { XCOM_EXPORTER_S3_REQUESTS_PER_CYCLE: String(BUDGET) },
  });
  try {
    await cycle.pass();
    await rounds(async (own, round) => {
      chance = own;
      const run = await stage.addRun({ dagId: 'orders', runId: `run_${round}` });
      const references = own.once(2) ? 3 : 30;
      for (let at = 0; at < references; at += 1) {
        const path = `s3://aws_xcom@airflow-xcom/base/orders/run_${round}/task_${at}/${uuid4()}`;
        await stage.push({ run, taskId: `task_${at}`, stored: JSON.stringify(path) });
      }
      requests = 0;
      const start = performance.now();
      const report = await cycle.pass();
      expect(performance.now() - start, 'ms for one cycle').toBeLessThan(40_000);
      expect(requests).toBeLessThanOrEqual(BUDGET);
      const { counters } = sumUp(report.increments);
      expect(counters['rows_total orders s3']).toBe(references);
      await stage.setState(run, 'success');
      await stage.deleteRun(run);
    });
  } finally {
    await cycle.close();
    await stage.close();
  }
});
