import { describe, expect, test } from 'vitest';
import type { CanaryTask } from '../../../src/airflow/canary-queries.ts';
import { NO_CANARY, noteTasks } from '../../../src/canary/memory.ts';
import type { ToldSettings } from '../../../src/canary/settings.ts';
import type { CanaryVerdict, PoolVerdict } from '../../../src/canary/verdict.ts';
import { judgeCanary } from '../../../src/canary/verdict.ts';
import {
  BACKEND,
  DENIED,
  lookOf,
  POOLS,
  readOf,
  settingsWith,
  taskOf,
  WITHOUT_BACKEND,
} from '../../support/canary.ts';

const NOTHING: ToldSettings = { backend: null, paths: null, threshold: null };
const MINUTE = 60_000;
const START = Date.UTC(2026, 10, 28, 12, 0, 0);

function judge(
  tasks: readonly CanaryTask[],
  { after = 0, told = NOTHING }: { after?: number; told?: ToldSettings } = {},
): CanaryVerdict {
  const verdict = judgeCanary(noteTasks(NO_CANARY, tasks, { now: START + after }).memory, {
    now: START + after,
    told,
  });
  if (verdict === null) throw new Error('No canary was seen');
  return verdict;
}

const looked = (pool: string, changes = {}) => taskOf(lookOf(pool, changes), { at: START });
const poolOf = (verdict: CanaryVerdict, name: string): PoolVerdict | undefined =>
  verdict.pools.find((pool) => pool.name === name);
const faultsOf = (verdict: CanaryVerdict, name: string) =>
  poolOf(verdict, name)?.operations.flatMap(({ operation, faults }) =>
    faults.map((fault) => `${operation}: ${fault}`),
  );
const statesOf = (verdict: CanaryVerdict) => verdict.pools.map(({ name, state }) => `${name} ${state}`);

test('nothing is said of a canary that nobody has seen', () => {
  expect(judgeCanary(NO_CANARY, { now: START, told: NOTHING })).toBeNull();
});

describe('on Airflow 3.3.2, with a healthy queue, one without the backend and one that may not write,', () => {
  const tasks = [
    looked('default'),
    looked('legacy', WITHOUT_BACKEND),
    looked('denied', DENIED),
    taskOf(
      readOf('default', [{ ok: true, got: 'equal', from: 'legacy', seconds: 0.2983, operation: 'read' }]),
      { at: START },
    ),
    taskOf(
      readOf('legacy', [{ ok: false, got: 'path', from: 'default', seconds: 0.0059, operation: 'read' }]),
      { at: START },
    ),
  ];

  test('each says what it is', () => {
    const verdict = judge(tasks);
    expect(statesOf(verdict)).toEqual(['default works', 'denied fails', 'legacy fails']);
    expect(faultsOf(verdict, 'denied')).toEqual([
      'push: the storage answered AccessDenied to PutObject (builtins.PermissionError caused by botocore.errorfactory.AccessDenied)',
    ]);
    expect(faultsOf(verdict, 'legacy')).toEqual([
      'read: the path of the object was handed over instead of the value of what default pushed',
    ]);
    expect(
      poolOf(verdict, 'default')?.operations.map(({ operation, ok, seconds }) => [operation, ok, seconds]),
    ).toEqual([
      ['push', true, 0.383],
      ['pull', true, 0.0324],
      ['read', true, 0.2983],
    ]);
  });

  test('the backend differs, and nothing else that follows from it', () => {
    expect(judge(tasks).differences).toEqual([
      {
        option: 'xcom_backend',
        told: null,
        odd: ['legacy'],
        values: [
          { value: BACKEND, pools: ['default', 'denied'] },
          { value: 'airflow.sdk.bases.xcom.BaseXCom', pools: ['legacy'] },
        ],
      },
    ]);
  });
});

describe('a push that raised nothing', () => {
  test.each([
    [
      'kept in the database above the threshold',
      { payload: { form: 'value', bytes: 1066 } },
      ['push: 1066 bytes stayed in the database although the threshold there is 1000'],
    ],
    [
      'kept in the database with no threshold',
      { ...settingsWith({ threshold: null }), payload: { form: 'value', bytes: 1002 } },
      [],
    ],
    [
      'written to the disk of the worker',
      settingsWith({ path: '' }),
      ['push: the value went to the disk of the worker: the path there is empty'],
    ],
    [
      'written to a folder',
      settingsWith({ path: 'file:///opt/xcom' }),
      ['push: the value went to the disk of the worker: the path there is file:///opt/xcom'],
    ],
    ['written to another storage', settingsWith({ path: 'gs://bucket/xcom' }), []],
  ])('%s', (_, changes, faults) => {
    expect(faultsOf(judge([looked('default', changes)]), 'default')).toEqual(faults);
  });
});

describe('where the value of a push went', () => {
  const KEPT = { payload: { form: 'value', bytes: 1066 } };
  const poolAfter = (changes: object) => poolOf(judge([looked('default', changes)]), 'default');

  test('into object storage', () => {
    expect(poolAfter({})).toMatchObject({ state: 'works', payload: 'stored' });
  });

  test('was not seen: nothing is said of the push', () => {
    const pool = poolAfter({ payload: { form: null, bytes: 1066 } });
    expect(pool).toMatchObject({ state: 'untold', payload: 'untold' });
    expect(pool?.operations.map(({ operation }) => operation)).toEqual(['pull']);
  });

  test.each([
    [
      'is as the settings say, without the backend',
      { ...WITHOUT_BACKEND, payload: { form: null, bytes: 1 } },
      'works',
      'kept',
    ],
    [
      'is the database, below the threshold',
      { ...settingsWith({ threshold: '10_485_760' }), payload: { form: 'value', bytes: 1066 } },
      'works',
      'kept',
    ],
    [
      'is the database, below the threshold that Airflow reads in an unusual text',
      { ...settingsWith({ threshold: '1e6', threshold_bytes: '1000000' }), ...KEPT },
      'works',
      'kept',
    ],
    [
      'is the database, above the threshold that Airflow reads in a masked text',
      { ...settingsWith({ threshold: '***', threshold_bytes: '1000' }), ...KEPT },
      'fails',
      'misplaced',
    ],
    [
      'is the database, and the text of the threshold is masked',
      { ...settingsWith({ threshold: '***' }), ...KEPT },
      'untold',
      'untold',
    ],
    [
      'is the database, and Airflow refuses the threshold',
      { ...settingsWith({ threshold: '1e6', threshold_bytes: null }), ...KEPT },
      'untold',
      'untold',
    ],
    ['is the database', { payload: { form: 'value', bytes: 1066 } }, 'fails', 'misplaced'],
    ['is the disk', settingsWith({ path: '' }), 'fails', 'misplaced'],
    ['was not seen, and the pull failed', { ...DENIED, payload: { form: null, bytes: 1 } }, 'fails', null],
  ])('%s', (_, changes, state, payload) => {
    expect(poolAfter(changes)).toMatchObject({ state, payload });
  });
});

test.each([
  [{ class: 'airflow.exceptions.AirflowConfigException' }, 'airflow.exceptions.AirflowConfigException'],
  [{ class: 'builtins.OSError', cause: 'socket.gaierror' }, 'builtins.OSError caused by socket.gaierror'],
])('an exception without an answer of the storage is told by its classes', (error, words) => {
  const operations = [{ operation: 'push', ok: false, seconds: 1, error }];
  expect(faultsOf(judge([looked('default', { operations })]), 'default')).toEqual([`push: ${words}`]);
});

describe('a pool from which nothing comes', () => {
  test('waits for three intervals, and is silent then', () => {
    const tasks = [looked('default')];
    expect(statesOf(judge(tasks, { after: 15 * MINUTE }))).toEqual([
      'default works',
      'denied waits',
      'legacy waits',
    ]);
    const late = judge(tasks, { after: 15 * MINUTE + 1 });
    expect(statesOf(late)[0]).toBe('default silent');
    expect(poolOf(late, 'default')).toMatchObject({
      heardAt: START,
      settings: null,
      operations: [],
      succeededAt: { push: START },
    });
  });

  test.each([
    ['queued', 'its task waits (queued): no worker takes it'],
    ['failed', 'its task failed before it could report, as where the XCom backend cannot be imported'],
    ['skipped', 'its task was given up when the run had lasted three intervals: no worker took it'],
    ['success', 'its task succeeded, and its report was refused or deleted'],
  ])('and whose task is %s, says so, though it never said anything', (state, words) => {
    const runs = [0, 5, 10, 15].flatMap((minutes) => [
      { ...taskOf(lookOf('default'), { at: START + minutes * MINUTE }), dagRunId: minutes },
      { ...taskOf(null, { at: START + minutes * MINUTE, taskId: 'look_legacy', state }), dagRunId: minutes },
    ]);
    const verdict = judge(runs, { after: 16 * MINUTE });
    expect(statesOf(verdict)).toContain('legacy silent');
    expect(poolOf(verdict, 'legacy')?.silence).toBe(words);
    expect(statesOf(verdict)).toContain('default works');
  });

  test('is called by its task where none has ever reported', () => {
    const runs = [0, 5, 10, 15].map((minutes) => ({
      ...taskOf(null, { at: START + minutes * MINUTE, taskId: 'look_gpu', state: 'failed' }),
      dagRunId: minutes,
    }));
    expect(statesOf(judge(runs.slice(0, 2), { after: 6 * MINUTE }))).toEqual(['gpu waits']);
    const verdict = judge(runs, { after: 16 * MINUTE });
    expect(statesOf(verdict)).toEqual(['gpu silent']);
    expect(poolOf(verdict, 'gpu')?.silence).toMatch(/failed before it could report/);
  });

  test('since no run has begun is the fault of the scheduler or of who paused the DAG', () => {
    const silence = poolOf(judge([looked('default')], { after: 60 * MINUTE }), 'default')?.silence;
    expect(silence).toBe(
      'no run has begun for three intervals: the DAG is paused, or the scheduler does not run',
    );
  });
});

describe('settings', () => {
  const everywhere = Object.keys(POOLS);
  const heard = (changes: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {}) =>
    everywhere.map((pool) => looked(pool, settingsWith(changes[pool] ?? {})));
  const told: ToldSettings = {
    backend: BACKEND,
    paths: ['s3://aws_xcom@airflow-xcom/xcom/'],
    threshold: 1000,
  };

  test('that agree with each other and with what was told differ nowhere', () => {
    expect(judge(heard(), { told }).differences).toEqual([]);
    expect(judge(heard()).differences).toEqual([]);
  });

  test('of one pool that differ are named with their value', () => {
    expect(judge(heard({ legacy: { path: 's3://aws_xcom@airflow-xcom/other' } })).differences).toEqual([
      {
        option: 'xcom_objectstorage_path',
        told: null,
        odd: ['legacy'],
        values: [
          { value: 's3://aws_xcom@airflow-xcom/xcom', pools: ['default', 'denied'] },
          { value: 's3://aws_xcom@airflow-xcom/other', pools: ['legacy'] },
        ],
      },
    ]);
  });

  test('on which all agree may still be others than the exporter was told', () => {
    expect(judge(heard(), { told: { ...told, threshold: 5_000 } }).differences).toEqual([
      {
        option: 'xcom_objectstorage_threshold',
        told: '5000',
        odd: ['default', 'denied', 'legacy'],
        values: [{ value: '1000', pools: ['default', 'denied', 'legacy'] }],
      },
    ]);
  });

  test('are none where all have the threshold that the exporter was told, however large it is', () => {
    const threshold = '9223372036854775807';
    const all = heard({ default: { threshold }, denied: { threshold }, legacy: { threshold } });
    expect(judge(all, { told: { ...told, threshold: Number(threshold) } }).differences).toEqual([]);
  });

  test.each([
    ['-5', '-1', -5],
    ['-5', undefined, -5],
    ['-7', undefined, -1],
    ['***', '9223372036854775808', 1e23],
    ['99999999999999999999', undefined, 1e25],
  ])(
    'are none where a worker has the threshold %s, reads %s, and the exporter was told %d',
    (threshold, read, told) => {
      const one = { threshold, ...(read === undefined ? {} : { threshold_bytes: read }) };
      const options = { told: { ...NOTHING, threshold: told } };
      expect(judge(heard({ default: one, denied: one, legacy: one }), options).differences).toEqual([]);
    },
  );

  test('are none where the thresholds of the pools are all below 0', () => {
    const thresholds = heard({
      default: { threshold: '-1' },
      denied: { threshold: '-5' },
      legacy: { threshold: null },
    });
    expect(judge(thresholds).differences).toEqual([]);
    expect(judge(thresholds).agreed.threshold).toBe('-1');
    expect(judge(thresholds, { told: { ...NOTHING, threshold: 0 } }).differences).toHaveLength(1);
  });

  test('name the same class, whichever module the exporter was told to import it from', () => {
    const backend = 'airflow.providers.common.io.xcom.XComObjectStorageBackend';
    expect(judge(heard(), { told: { ...told, backend } }).differences).toEqual([]);
    const other = { ...told, backend: 'airflow.models.xcom.BaseXCom' };
    expect(judge(heard(), { told: other }).differences.map(({ option }) => option)).toEqual(['xcom_backend']);
  });

  test.each(['airflow.models.xcom.BaseXCom', 'airflow.sdk.bases.xcom.BaseXCom'])(
    'of which the exporter was told an empty backend are those of a worker with %s',
    (own) => {
      const none = { ...told, backend: '' };
      const all = { backend: own, object_storage: false };
      expect(judge(heard({ default: all, denied: all, legacy: all }), { told: none }).differences).toEqual(
        [],
      );
      const [difference] = judge(heard({ legacy: all }), { told: none }).differences;
      expect(difference).toMatchObject({ option: 'xcom_backend', told: '', odd: ['default', 'denied'] });
    },
  );

  test('of which the exporter was told an empty path are those of a worker with an empty path', () => {
    const none = { ...told, paths: [] };
    const all = { path: '' };
    expect(judge(heard({ default: all, denied: all, legacy: all }), { told: none }).differences).toEqual([]);
    const [difference] = judge(heard({ legacy: all }), { told: none }).differences;
    expect(difference).toMatchObject({
      option: 'xcom_objectstorage_path',
      told: '',
      odd: ['default', 'denied'],
    });
  });

  test('several paths that the exporter was told are all in force', () => {
    const paths = ['s3://aws_xcom@airflow-xcom/xcom', 's3://aws_xcom@airflow-xcom/other'];
    const two = heard({ legacy: { path: 's3://aws_xcom@airflow-xcom/other' } });
    expect(judge(two, { told: { ...told, paths } }).differences).toEqual([]);
    const three = heard({ legacy: { path: 's3://aws_xcom@airflow-xcom/third' } });
    expect(judge(three, { told: { ...told, paths } }).differences).toMatchObject([{ odd: ['legacy'] }]);
  });

  test.each([
    ['1000', '1000'],
    [null, '-1'],
    ['-1', '-1'],
    ['+5', '5'],
    ['١٠٠٠', '1000'],
    ['mille', 'mille', null],
    ['é', 'é', null],
    ['1k', '1k'],
    ['1e6', '1000000'],
    ['***', '1000000', '1000000'],
    ['1e6', '1e6', null],
  ])('a threshold %j is %s', (threshold, meant, read?: string | null) => {
    const told = read === undefined ? {} : { threshold_bytes: read };
    const changes = { pools: { default: 'default' }, ...settingsWith({ threshold, ...told }) };
    expect(judge([looked('default', changes)]).agreed.threshold).toBe(meant);
  });

  test('are agreed on where all pools have the same', () => {
    expect(judge(heard({ denied: { threshold: '7' } })).agreed).toEqual({
      backend: BACKEND,
      path: 's3://aws_xcom@airflow-xcom/xcom',
      threshold: null,
      compression: '',
    });
  });

  test('are not agreed on as long as one pool is not heard', () => {
    const none = { backend: null, path: null, threshold: null, compression: null };
    expect(judge([looked('default')]).agreed).toEqual(none);
  });
});
