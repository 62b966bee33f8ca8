import { describe, expect, test } from 'vitest';
import { BASE, BUCKET, dumps, uuid4 } from '../../support/plant.ts';
import { PROBED } from '../../support/probed.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import type { StageCycle } from '../../support/seed.ts';
import { openCycle, openStage, sumUp } from '../../support/seed.ts';

const postgres = usePostgres();
const s3 = useS3(BUCKET);

test('while a HEAD tells what is not so, none is believed: nothing is looked up, and nothing is present', async () => {
  const stage = await openStage(postgres(), '3.3.2');
  const cycle = openCycle(stage, { endpoint: s3().endpoint });
  const detail = 'a key that was never written is said to be there';
  const credulous = {
    ...PROBED,
    steps: PROBED.steps.map((step) =>
      step.operation === 'head'
        ? ({
            operation: 'head',
            ok: false,
            seconds: 0.01,
            reason: 'content_mismatch',
            detail,
            said: null,
          } as const)
        : step,
    ),
  };
  try {
    const run = await stage.addRun({ dagId: 'etl', runId: `r_${uuid4()}`, agoSeconds: 400 });
    const key = `${run.dagId}/${run.runId}/kept/${uuid4()}`;
    await stage.push({ run, taskId: 'kept', stored: dumps(`${BASE}/${key}`), agoSeconds: 300 });
    await fetch(`${s3().endpoint}/${BUCKET}/base/${key}`, { method: 'PUT', body: 'x'.repeat(2_000) });
    const before = await cycle.run(credulous, new AbortController().signal);
    expect(sumUp(before.increments).counters).toMatchObject({ 'references_unchecked_total unconfirmed': 1 });
    expect([before.coverage, before.window?.broken.missing]).toEqual([0, null]);
    expect(before.undecided.objects_missing).toBe(`a HEAD tells what is not so: ${detail}`);
    const after = await cycle.run(PROBED, new AbortController().signal);
    expect([after.coverage, after.window?.broken.missing]).toEqual([1, 0]);
  } finally {
    await cycle.close();
    await stage.close();
  }
});

/**
 * A storage may answer 404 to a client that it does not know. References, one or many, are therefore missing only
 * while the same credentials are shown another object of the bucket.
 */
describe.each([1, 2, 3, 12])('%d references, whose objects are not there, as', (count) => {
  test.each<[string, Parameters<StageCycle['run']>[0], boolean, string]>([
    ['nobody was shown any object: not known', null, false, 'unknown'],
    ['the probe was shown its own: missing', PROBED, false, 'raised'],
    ['another reference was shown its object: missing', null, true, 'raised'],
  ])('%s', async (_name, probe, hasOther, expected) => {
    const stage = await openStage(postgres(), '3.3.2');
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    try {
      const run = await stage.addRun({ dagId: 'etl', runId: `r_${uuid4()}`, agoSeconds: 400 });
      const push = async (taskId: string): Promise<string> => {
        const key = `${run.dagId}/${run.runId}/${taskId}/${uuid4()}`;
        await stage.push({ run, taskId, stored: dumps(`${BASE}/${key}`), agoSeconds: 300 });
        return key;
      };
      for (let index = 0; index < count; index += 1) await push(`lost_${index}`);
      if (hasOther) {
        const object = `${s3().endpoint}/${BUCKET}/base/${await push('kept')}`;
        await fetch(object, { method: 'PUT', body: 'x'.repeat(2_000) });
      }
      const report = await cycle.run(probe, new AbortController().signal);
      const { states, window, increments } = report;
      expect(report.databaseFailure).toBeNull();
      expect(states.objects_missing).toBe(expected);
      expect(states.exporter_behind).not.toBe('raised');
      expect(window?.broken.missing).toBe(expected === 'raised' ? count : null);
      const { counters } = sumUp(increments);
      expect(counters['references_unchecked_total unconfirmed']).toBe(
        expected === 'raised' ? undefined : count,
      );
    } finally {
      await cycle.close();
      await stage.close();
    }
  });
});

/** The exporter's own credentials stand in, and may lead to another server with a bucket of this name. */
test.each([
  ['that nobody gave', 'aws_xcom', { AIRFLOW_CONN_AWS_XCOM: undefined }],
  ['that only rows name', 'renamed', {}],
])(
  'of a connection %s, an object that is there counts, and none is missing or empty',
  async (_name, id, given) => {
    const stage = await openStage(postgres(), '3.3.2');
    const own = { AWS_ACCESS_KEY_ID: 'own', AWS_SECRET_ACCESS_KEY: 'own', AWS_DEFAULT_REGION: 'us-east-1' };
    const env = { ...own, AWS_ENDPOINT_URL_S3: s3().endpoint, ...given };
    const cycle = openCycle(stage, { endpoint: s3().endpoint, env });
    const run = await stage.addRun({ dagId: 'etl', runId: `r_${uuid4()}`, agoSeconds: 400 });
    for (const [taskId, body] of Object.entries({ kept: 'x'.repeat(2_000), empty: '', lost: null })) {
      const key = `base/${run.dagId}/${run.runId}/${taskId}/${uuid4()}`;
      await stage.push({ run, taskId, stored: dumps(`s3://${id}@${BUCKET}/${key}`), agoSeconds: 300 });
      if (body !== null) await fetch(`${s3().endpoint}/${BUCKET}/${key}`, { method: 'PUT', body });
    }
    const { states, coverage, increments } = await cycle.run(PROBED, new AbortController().signal);
    expect(coverage).toBeCloseTo(1 / 3);
    expect([states.objects_missing, states.objects_empty]).not.toContain('raised');
    expect(sumUp(increments).counters).toMatchObject({ 'references_unchecked_total unknown_connection': 2 });
    await cycle.close();
    await stage.close();
  },
);

const OWN = { AWS_ACCESS_KEY_ID: 'own', AWS_SECRET_ACCESS_KEY: 'own', AWS_DEFAULT_REGION: 'us-east-1' };

/** Bad news that does not count must not leave the good news of earlier in its place. */
describe('objects that were seen, and are said to be gone later', () => {
  test.each<[string, Parameters<StageCycle['run']>[0], NodeJS.ProcessEnv, RegExp]>([
    ['while nothing else of the bucket is seen', null, {}, /the same connection is shown another one/],
    [
      'through a connection that stands in',
      PROBED,
      { ...OWN, AIRFLOW_CONN_AWS_XCOM: undefined },
      /connection of rows is not known here.*AIRFLOW_CONN_/,
    ],
  ])('%s, are not known, until they are seen again', async (_name, probe, given, words) => {
    const stage = await openStage(postgres(), '3.3.2');
    const env = { AWS_ENDPOINT_URL_S3: s3().endpoint, ...given };
    const cycle = openCycle(stage, { endpoint: s3().endpoint, env });
    const look = () => cycle.run(probe, new AbortController().signal);
    const run = await stage.addRun({ dagId: 'etl', runId: `r_${uuid4()}`, agoSeconds: 400 });
    const objects: string[] = [];
    for (const taskId of ['one', 'two', 'three']) {
      const key = `${run.dagId}/${run.runId}/${taskId}/${uuid4()}`;
      await stage.push({ run, taskId, stored: dumps(`${BASE}/${key}`), agoSeconds: 300 });
      objects.push(`${s3().endpoint}/${BUCKET}/base/${key}`);
    }
    const put = () =>
      Promise.all(objects.map((url) => fetch(url, { method: 'PUT', body: 'x'.repeat(2_000) })));
    try {
      await put();
      expect((await look()).states.objects_missing).toBe('clear');
      for (const url of objects) await fetch(url, { method: 'DELETE' });
      const gone = await look();
      expect([gone.states.objects_missing, gone.window?.broken.missing, gone.coverage]).toEqual([
        'unknown',
        null,
        0,
      ]);
      expect(gone.undecided.objects_missing).toMatch(words);
      expect(gone.window?.bytes.s3).toBe(6_000);
      // Each is counted once, however often the same is said.
      expect(sumUp((await look()).increments).counters).toEqual({});
      await put();
      const back = await look();
      expect([back.states.objects_missing, back.window?.broken.missing, back.coverage]).toEqual([
        'clear',
        0,
        1,
      ]);
    } finally {
      await cycle.close();
      await stage.close();
    }
  });
});
