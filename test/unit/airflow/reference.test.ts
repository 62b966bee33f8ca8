import { describe, expect, test } from 'vitest';
import { compactReference, expandReference } from '../../../src/airflow/compact-reference.ts';
import { isBackendKey, REFERENCE_HINT, spell } from '../../../src/airflow/reference.ts';

const row = { dagId: 'orders', runId: 'manual__1', taskId: 'load.part' };
const uuid = '6f1b2a0e-3c4d-4e5f-8a9b-0c1d2e3f4a5b';
const instance = '01a20a90-b5b9-7797-8b2d-8c6c50b7de87';
const own = `s3://aws@bkt/xcom/orders/manual__1/load.part/${uuid}`;
const another = `s3://aws@bkt/xcom/orders/manual__1/extract/${uuid}`;
const hint = new RegExp(REFERENCE_HINT);
/** Whether the window has this run. */
const isRun = (dagId: string, runId: string) =>
  dagId === 'orders' && ['manual__2', 'with/slash'].includes(runId);

describe('a string in a row', () => {
  test.each([
    ['its own object', own, 'own'],
    ['compressed', `${own}.gz`, 'own'],
    ['under another base', own.replace('bkt/xcom', 'other'), 'own'],
    ['of 3.4', `s3://aws@bkt/xcom/orders/manual__1/load.part/ti-${instance}/return_value.json.zst`, 'own'],
    ['behind an access point', own.replace('bkt', 'arn:aws:s3:eu-west-1:123456789012:accesspoint/ap'), 'own'],
    ['of another task', another, 'foreign'],
    ['of another run', another.replace('manual__1', 'manual__2'), 'foreign'],
    [
      'of another run, elsewhere',
      another.replace(/.*orders.manual__1/, 's3://b/orders/manual__2'),
      'foreign',
    ],
    ['of a run with a slash', another.replace('manual__1', 'with/slash'), 'foreign'],
    [
      'of another task of 3.4',
      `s3://aws@bkt/xcom/orders/manual__1/extract/ti-${uuid}/row-count.json`,
      'foreign',
    ],
    ['without a scheme', `/orders/manual__1/load.part/${uuid}`, 'local'],
    ['on a disk', `file:///data/orders/manual__1/load.part/${uuid}`, 'local'],
    ['of another backend', `s3_xcom_${uuid}`, 'third_party'],
    ['of another backend, a compressed frame', `s3_xcom_${uuid}_dataframe.gz`, 'third_party'],
    ['of another backend, as JSON text', JSON.stringify(`s3_xcom_${uuid}`), 'third_party'],
    ['of a second one', `xcom_s3://data_${uuid}.csv`, 'third_party'],
    ['of a second one, with its run', `xcom_s3://manual__1/load.part/data_${uuid}.json`, 'third_party'],
    // The REST API of 3.0 and 3.1 stores its input as JSON text, up to twice: no reader takes this for a reference.
    ['its own, as JSON text', JSON.stringify(own), 'foreign'],
    ['its own, as JSON text of JSON text', JSON.stringify(JSON.stringify(own)), 'foreign'],
    ['of another task, as JSON text of JSON text', JSON.stringify(JSON.stringify(another)), 'foreign'],
  ])('%s is found, and Postgres gives it out', (_, text, kind) => {
    expect(spell(text, row, { taskInstanceId: instance, isRun }).kind).toBe(kind);
    expect(text).toMatch(hint);
  });

  test.each([
    ['a name that begins as a reference of another backend', 's3_xcom_latency_report'],
    ['the beginning of such a reference', 's3_xcom_'],
    ['a sentence that begins as one', 'xcom_s3:// is the prefix that we use'],
    ['a sentence that begins with one', `s3_xcom_${uuid} is the object`],
    ['a sentence that ends with one', `xcom_s3:// as in xcom_s3://data_${uuid}`],
    ['such a path without an id', 'xcom_s3://bucket/report.csv'],
    [
      'a file that a task names as Airflow would',
      `s3://warehouse/orders/manual__1/load.part/${uuid}.parquet`,
    ],
    ['a page', `https://reports.example.com/orders/manual__1/load.part/${uuid}`],
    ['a page of another task', `https://reports.example.com/orders/manual__1/extract/${uuid}`],
    ['an object elsewhere in the bucket', `s3://bkt/xcom-exports/orders/2026/${uuid}`],
    ['an object in another bucket', `s3://warehouse/exports/orders/${uuid}`],
    ['the folder of the run', 's3://aws@bkt/xcom/orders/manual__1/'],
    ['a sentence', `see ${own} for more`],
    ['of a run that is not there', another.replace('manual__1', 'manual__3')],
    ['of a dag that is not there', another.replace('orders', 'uploads')],
    ['with the run and no task', `s3://emr-logs/j-1/orders/manual__1/${uuid}.gz`],
    ['with the run deeper in it', `s3://emr-logs/j-1/orders/manual__1/load.part/steps/${uuid}.gz`],
    ['an upload in the root of the bucket', `s3://bkt/uploads/acme/2026/${uuid}`],
    ['with a uuid of another version', another.replace('-4e5f-', '-1e5f-')],
    ['with another file', `s3://aws@bkt/xcom/orders/manual__1/load.part/data.json`],
    ['on the disk of another task', `file:///data/orders/manual__1/extract/${uuid}`],
    ['a uuid', uuid],
    ['a file', `/data/orders/${uuid}`],
  ])('%s is a value', (_, text) => {
    expect(spell(text, row, { taskInstanceId: instance, isRun }).kind).toBe('value');
  });
});

/**
 * Run with universal-pathlib 0.2.2, 0.2.6 and 0.3.10: they alter nothing else of a run id, and 0.3 does not alter
 * this either.
 */
test.each([
  ['.', 'orders/load.part', 'own'],
  ['.', 'orders/./load.part', 'own'],
  ['a/./b', 'orders/a/b/load.part', 'own'],
  ['a/./b', 'orders/a/./b/load.part', 'own'],
  ['..', 'orders/../load.part', 'own'],
  ['a//b', 'orders/a//b/load.part', 'own'],
  ['.', 'orders/extract', 'value'],
  ['a.b', 'orders/ab/load.part', 'value'],
])('the run %s, written as %s, is its %s', (runId, folder, kind) => {
  const found = spell(
    `s3://aws@bkt/xcom/${folder}/${uuid}`,
    { ...row, runId },
    { taskInstanceId: null, isRun },
  );
  expect(found.kind).toBe(kind);
  if (found.kind !== 'own') return;
  expect(found.reference.prefix).toBe('xcom');
  // The exporter asks for exactly the key that was written.
  const place = { ...row, runId, key: 'return_value' };
  const compact = compactReference(found.reference, place);
  const again = compact === null ? found.reference : expandReference(compact, place);
  expect(again.key).toBe(`xcom/${folder}/${uuid}`);
});

test.each([
  [`load.part/${uuid}`, true],
  [`load.part/${uuid}.gz`, true],
  [`load.part/ti-${instance}/return_value.json`, true],
  [`load.part/write-${uuid}/return_value.json.gz`, true],
  // The task state store of 3.3 may use any key.
  [`load.part/-1/${uuid}`, false],
  ['load.part/-1/cursor', false],
  // The run `manual__1/a` begins like the run `manual__1`.
  [`a/load.part/${uuid}`, false],
  [`load.part/${uuid}.parquet`, false],
  [uuid, false],
])('%s is a key of the backend: %s', (key, is) => {
  expect(isBackendKey(key)).toBe(is);
});
