import { deepEqual, equal, match } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compactReference, expandReference } from '../../../src/airflow/compact-reference.ts';
import type { ObjectKey } from '../../../src/airflow/object-key.ts';
import {
  folderOf,
  formatObjectKey,
  nameOfKey,
  parseObjectKey,
  shortenIds,
} from '../../../src/airflow/object-key.ts';
import { isBackendKey, REFERENCE_HINT, spell } from '../../../src/airflow/reference.ts';
import { anyCharacter } from '../../support/characters.ts';

/** How many keys the properties try. Each key is taken apart and put together again. */
const KEYS = 100_000;

const noRun = () => false;
const hint = new RegExp(REFERENCE_HINT);

// The characters that Airflow's validate_key allows in a dag_id and a task_id: `[\w.-]`, letters of every script.
const ID = Array.from('abzAZ09_.-жЖ中éßﬁ𝔘');
const RUN = [...ID, ...Array.from('+:/ ?#%@&=~')];
/** Pieces of long ids, which are cut inside a piece: to make a long id of single characters takes long. */
const CHUNKS = ['abzAZ09_.-', 'daily_load', 'Заказы-v2.', '中é.ßﬁ_𝔘-x', 'finance_of'];

const shortIds = fc.record({
  dagId: fc.string({ unit: fc.constantFrom(...ID), minLength: 1, maxLength: 30 }),
  // `allowed_run_id_pattern` may allow every character. Slashes at an end or next to each other are folded on the
  // way.
  runId: fc
    .string({ unit: fc.constantFrom(...RUN), minLength: 1, maxLength: 30 })
    .map((text) => text.replace(/\/+/g, '/').replace(/^\/|\/$/g, ''))
    .filter((text) => text !== ''),
  taskId: fc.string({ unit: fc.constantFrom(...ID), minLength: 1, maxLength: 30 }),
});
const longId = fc
  .array(fc.constantFrom(...CHUNKS), { minLength: 20, maxLength: 24 })
  .map((chunks) => chunks.join(''));
const ids = fc.oneof(
  { weight: 9, arbitrary: shortIds },
  fc.record({ dagId: longId, runId: longId.map((text) => text.replace('_', '/')), taskId: longId }),
);
/** No column of Postgres holds NUL or half a surrogate pair. */
const anyText = fc
  .string({ unit: anyCharacter, minLength: 1, maxLength: 60 })
  .map((text) => text.replaceAll('\0', 'x'));
const key = fc.oneof(
  anyText,
  fc.string({ unit: fc.constantFrom(...Array.from('row-count/.:%+ \\"\'')), minLength: 1, maxLength: 40 }),
  fc.nat({ max: 12 }).map((more) => 'k.-'.repeat(64).slice(0, 189 + more) + 'é'.slice(more % 2)),
  fc.constantFrom('row-count', '.', '..', '...', 'a.json', 'b.json.gz', 'ti-1', '%2F', 'ключ'.repeat(9)),
);
const uuid = fc.uuid();
const uuid4 = fc.uuid({ version: 4 });
const suffix = fc.constantFrom('', '.gz', '.zip', '.bz2', '.xz', '.lzma', '.lz4', '.zst');
const prefix = fc.constantFrom('', 'xcom', 'airflow/xcom/v2', '/a//b', 'ti-x/write-y', 'Ж'.repeat(40));
const host = fc.constantFrom('s3://bkt', 's3://aws@bkt', 's3a://team@data@team.data.xcom-prod');

const leaf = fc.oneof(
  fc.record({ owner: fc.constant(''), uuid: uuid4, suffix }),
  fc.record({ owner: fc.constantFrom('ti-', 'write-'), uuid, suffix }),
) as fc.Arbitrary<Pick<ObjectKey, 'owner' | 'uuid' | 'suffix'>>;

describe('the keys of the backend', () => {
  test(`${KEYS} of them are taken apart into what they are made of, and found to be their own row's`, () => {
    let shortened = 0;
    let hashed = 0;
    fc.assert(
      fc.property(
        ids,
        fc.record({ key, prefix, host, leaf }),
        (
          own,
          { key: xcomKey, prefix: base, host: start, leaf: { owner, uuid: instance, suffix: ending } },
        ) => {
          const name = owner === '' ? '' : nameOfKey(xcomKey);
          const parts = { folder: '', owner, uuid: instance, name, suffix: ending };
          const cut = owner === '' ? own : shortenIds(own, { host: start, prefix: base, key: parts });
          // If the ids cannot be shortened, the push fails.
          fc.pre(cut !== null);
          const made = { ...parts, folder: folderOf(base, cut) };
          const text = formatObjectKey(made);
          if (cut.dagId !== own.dagId || cut.runId !== own.runId || cut.taskId !== own.taskId) shortened += 1;
          if (/^[0-9a-f]{64}$/.test(name)) hashed += 1;

          // These are Node's assertions: the test runner's would take most of the time with so many keys.
          deepEqual(parseObjectKey(text), made);
          const path = `${start}/${text}`;
          match(path, hint);
          const spelling = spell(path, own, { taskInstanceId: null, isRun: noRun });
          if (spelling.kind !== 'own') throw new Error(`${path} is called ${spelling.kind}`);
          const { reference } = spelling;
          deepEqual([reference.key, reference.prefix, reference.suffix], [text, base, ending]);

          const place = { ...own, key: xcomKey };
          const compact = compactReference(reference, place);
          if (compact !== null) deepEqual(expandReference(compact, place), reference);
          const run = `${base === '' ? '' : `${base}/`}${own.dagId}/${own.runId}/`;
          // A key that columns do not hold lies in another place than its run.
          equal(compact === null, text !== formatObjectKey({ ...made, folder: folderOf(base, own) }));
          if (text.startsWith(run) && compact !== null) equal(isBackendKey(text.slice(run.length)), true);
        },
      ),
      { numRuns: KEYS },
    );
    expect(shortened).toBeGreaterThan(KEYS / 1_000);
    expect(hashed).toBeGreaterThan(KEYS / 100);
  }, 600_000);

  test('another row of another run does not take them for its own', () => {
    fc.assert(
      fc.property(
        ids,
        ids,
        fc.record({ key, prefix, host, leaf }),
        (
          own,
          other,
          { key: xcomKey, prefix: base, host: start, leaf: { owner, uuid: instance, suffix: ending } },
        ) => {
          const name = owner === '' ? '' : nameOfKey(xcomKey);
          const text = formatObjectKey({
            folder: folderOf(base, own),
            owner,
            uuid: instance,
            name,
            suffix: ending,
          });
          const isSame = (dagId: string, run: string) => dagId === own.dagId && run === own.runId;
          fc.pre(!`/${text}`.includes(`/${other.dagId}/${other.runId}/`));
          const as = (isRun: typeof isSame) =>
            spell(`${start}/${text}`, other, { taskInstanceId: null, isRun }).kind;
          equal(as(isSame), 'foreign');
          equal(as(noRun), 'value');
        },
      ),
      { numRuns: 10_000 },
    );
  }, 120_000);

  test.each([
    ['row-count', 'row-count'],
    ['a/b:c d+é', 'a%2Fb%3Ac%20d%2B%C3%A9'],
    ["it's (so)*!~", 'it%27s%20%28so%29%2A%21~'],
    ['...', '%2E%2E%2E'],
    ['a.', 'a.'],
    ['k'.repeat(200), 'k'.repeat(200)],
    ['k'.repeat(201), createHash('sha256').update('k'.repeat(201)).digest('hex')],
    ['я'.repeat(33), '%D1%8F'.repeat(33)],
    ['я'.repeat(34), createHash('sha256').update('я'.repeat(34)).digest('hex')],
    ['.'.repeat(67), createHash('sha256').update('.'.repeat(67)).digest('hex')],
  ])('of the key %s the object is called %s', (xcomKey, name) => {
    expect(nameOfKey(xcomKey)).toBe(name);
  });

  test.each([
    'xcom/dag/run/task/data.json',
    'xcom/dag/run/task/6f1b2a0e-3c4d-4e5f-8a9b-0c1d2e3f4a5b.parquet',
    'xcom/dag/run/task/6F1B2A0E-3C4D-4E5F-8A9B-0C1D2E3F4A5B',
    'xcom/dag/run/task/6f1b2a0e-3c4d-1e5f-8a9b-0c1d2e3f4a5b',
    'xcom/dag/run/task/ti-6f1b2a0e/row-count.json',
    'xcom/dag/run/task/ti-6f1b2a0e-3c4d-4e5f-8a9b-0c1d2e3f4a5b/row-count.parquet',
    'xcom/dag/run/task/try-6f1b2a0e-3c4d-4e5f-8a9b-0c1d2e3f4a5b/row-count.json',
    '6f1b2a0e-3c4d-4e5f-8a9b-0c1d2e3f4a5b',
    '/6f1b2a0e-3c4d-4e5f-8a9b-0c1d2e3f4a5b',
  ])('%s is none', (text) => {
    expect(parseObjectKey(text)).toBeNull();
  });
});

const recorded = new URL('../../fixtures/airflow-paths/', import.meta.url);

interface RecordedPath {
  readonly base: string;
  readonly dag_id: string;
  readonly run_id: string;
  readonly task_id: string;
  readonly key: string;
  readonly path: string;
}

describe.each(readdirSync(recorded).filter((name) => name.endsWith('.json')))('the paths of %s', (file) => {
  const paths = JSON.parse(readFileSync(new URL(file, recorded), 'utf8')) as RecordedPath[];

  test('are found to be what Airflow made them of', () => {
    const longest = Math.max(...paths.map(({ path }) => Buffer.byteLength(path)));
    expect(longest).toBe(1024);
    for (const { base, path, key: xcomKey, ...names } of paths) {
      const ids = { dagId: names.dag_id, runId: names.run_id, taskId: names.task_id };
      const spelling = spell(path, ids, { taskInstanceId: null, isRun: noRun });
      expect(spelling, path).toMatchObject({ kind: 'own' });
      if (spelling.kind !== 'own') continue;
      const { scheme, connection, bucket, prefix: found, key: text } = spelling.reference;
      expect(`${scheme}://${connection === '' ? '' : `${connection}@`}${bucket}/${found}`).toBe(base);
      expect(parseObjectKey(text)?.name, path).toBe(nameOfKey(xcomKey));
    }
  });
});
