import { deepEqual, equal } from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { folderOf, formatObjectKey, nameOfKey } from '../../../src/airflow/object-key.ts';
import { spell } from '../../../src/airflow/reference.ts';
import { createMatcher } from '../../../src/objects/locations.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { anyCharacter } from '../../support/characters.ts';
import { openLiveRun } from '../../support/live-run.ts';

const ids = { dagId: 'orders', runId: 'manual__1', taskId: 'extract' };

function rowsOf(references: readonly { readonly key: string; readonly path: string }[]) {
  const state = emptyState();
  const run = openLiveRun(state, { id: 1, dagId: ids.dagId, runId: ids.runId });
  const slots = references.map(({ key, path }, at) => {
    const spelling = spell(path, ids, { taskInstanceId: null, isRun: () => false });
    if (spelling.kind !== 'own') throw new Error(`${path} is called ${spelling.kind}`);
    const row = { ...ids, table: 'xcom_v2' as const, dagRunId: 1, mapIndex: at, key, taskInstanceId: null };
    const value = { isNull: false, stored: 1, bytes: 1, leastBytes: 1, text: path, version: '1', at: 1 };
    const placement = { storage: 's3' as const, reference: spelling.reference, leaked: false };
    return state.rows.write(run, { ...row, ...value }, { placement, baseline: false });
  });
  return { matcher: createMatcher(state.rows, run, slots), slots };
}

const anyKey = fc
  .string({ unit: anyCharacter, minLength: 1, maxLength: 80 })
  .map((text) => text.replaceAll('\0', 'x'));
const written = fc.record({
  key: fc.oneof(anyKey, fc.constantFrom('row-count', 'a-b-c', '...', 'percent/slash', 'k'.repeat(300))),
  owner: fc.constantFrom('' as const, 'ti-' as const, 'write-' as const),
  // Some keys share a UUID, as the keys of one task instance do.
  uuid: fc.oneof(fc.constant('6f1b2a0e-3c4d-4e5f-8a9b-0c1d2e3f4a5b'), fc.uuid({ version: 4 })),
  suffix: fc.constantFrom('', '.xz'),
});

test('each key of a listing is found to be that of its row, and no other key is', () => {
  fc.assert(
    fc.property(fc.array(written, { maxLength: 40 }), fc.string(), (all, other) => {
      const keyed = all.map(({ key, owner, uuid, suffix }) => {
        const name = owner === '' ? '' : nameOfKey(key);
        return { key, text: formatObjectKey({ folder: folderOf('xcom', ids), owner, uuid, name, suffix }) };
      });
      const unlike = [...new Map(keyed.map((one) => [one.text, one])).values()];
      const { matcher, slots } = rowsOf(unlike.map(({ key, text }) => ({ key, path: `s3://b/${text}` })));
      // These are Node's assertions: the test runner's would take most of the time.
      deepEqual(
        unlike.map(({ text }) => matcher(text)),
        slots,
      );
      for (const { text } of unlike) {
        equal(matcher(`${text}x`), undefined);
        equal(matcher(text.replace('extract', 'load')), undefined);
      }
      equal(matcher(other), undefined);
    }),
    { numRuns: 1_000 },
  );
}, 120_000);

/** Airflow's server decodes a `%2F` in a key, so that the row has another key than its object. */
test('an object that is called by another key than its row is found as well', () => {
  const text = 'xcom/orders/manual__1/extract/ti-01a22184-193c-7bd7-9c13-752c663439e4/percent%252Fslash.json';
  const { matcher, slots } = rowsOf([{ key: 'percent/slash', path: `s3://b/${text}` }]);
  expect(matcher(text)).toBe(slots[0]);
});
