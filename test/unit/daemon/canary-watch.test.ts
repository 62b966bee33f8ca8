import { expect, test } from 'vitest';
import { shapeOf, listShapes } from '../../support/seed.ts';
import { createCanaryWatch } from '../../../src/daemon/canary-watch.ts';
import type { CanarySeen } from '../../../src/daemon/canary-watch.ts';
import type { Query } from '../../../src/postgres/client.ts';

const [newest] = listShapes();
const shape = shapeOf(newest?.release ?? '');
const run = { id: 1, dagId: 'canary', runId: 'run', live: false, endedAt: 1, baselineUntil: 0 };
/** One task of one run has left a report that cannot be read. */
const query = (() =>
  Promise.resolve([
    { dagRunId: 1, runAt: 1, taskId: 'look_default', state: 'success', version: '7', at: 5, value: '"no"' },
  ])) as unknown as Query;

function watch(before: CanarySeen | null, canaryDagId = 'canary') {
  return createCanaryWatch(
    { xcom: { paths: null, backend: null, threshold: null } as never, canaryDagId },
    before,
  );
}

test('a refused report is counted once, also by the watch after a reload', async () => {
  const first = watch(null);
  await first.look(query, { shape, runs: [run], now: 10 });
  expect([...first.takeRefusals().values()]).toEqual([1]);
  const next = watch(first.seen());
  // The run has ended, so it is not among those that are found again.
  await next.look(query, { shape, runs: [], now: 11 });
  await next.look(query, { shape, runs: [run], now: 12 });
  expect([...next.takeRefusals()]).toEqual([]);
});

test('nothing of another canary is taken over', async () => {
  const first = watch(null);
  await first.look(query, { shape, runs: [run], now: 10 });
  expect(watch(first.seen(), 'another').seen()).toEqual({ dagId: 'another', runIds: [], refused: new Set() });
});
