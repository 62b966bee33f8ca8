import { pino } from 'pino';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SHAPE_TABLES } from '../../../src/airflow/shape.ts';
import { createCycle } from '../../../src/daemon/cycle.ts';
import { pathWords, thresholdWords } from '../../../src/diagnosis/observed.ts';
import { PROBLEMS, PROBLEM_CODES } from '../../../src/diagnosis/problem-catalogue.ts';
import type { ProblemCode } from '../../../src/diagnosis/problem-catalogue.ts';
import { settleReport } from '../../../src/diagnosis/problem-memory.ts';
import type { ProblemMemory } from '../../../src/diagnosis/problem-memory.ts';
import type { Problem } from '../../../src/diagnosis/problem.ts';
import type { Report } from '../../../src/diagnosis/report.ts';
import { openDatabase } from '../../../src/postgres/client.ts';
import type { Query } from '../../../src/postgres/client.ts';
import { probeInForce } from '../../../src/probe/in-force.ts';
import { createWriteRefusals } from '../../../src/probe/write-refusal.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import type { ObjectStore } from '../../../src/s3/client.ts';
import { openStores } from '../../../src/s3/stores.ts';
import { requireDatabase } from '../../../src/settings/config.ts';
import type { LedgerState } from '../../../src/window/ledger-state.ts';
import { startArchiveDoor } from '../../support/archive-door.ts';
import type { ArchiveDoor } from '../../support/archive-door.ts';
import { ALWAYS_COMPARED } from '../../support/compared.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import type { HttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { BASE, BUCKET, dumps, stringOf, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';
import { BACKEND, DENIED, lookOf, WITHOUT_BACKEND } from '../../support/canary.ts';
import { openStage, stageConfig } from '../../support/seed.ts';
import type { NewXCom, Run, Stage } from '../../support/seed.ts';

/** Every problem, provoked on real servers: the tests check its exact words, and that it goes with its cause. */

const postgres = usePostgres();
const s3 = useS3(BUCKET);
const THRESHOLD = 1_000;
const { signal } = new AbortController();

type Place = Partial<Pick<NewXCom, 'run' | 'key' | 'mapIndex' | 'queue' | 'agoSeconds'>>;

interface Scene {
  readonly stage: Stage;
  readonly run: Run;
  /** A proxy in front of the storage, for the exporter alone. */
  readonly proxy: HttpFaultProxy;
  /** Objects that the storage says are in another storage class, by key. */
  readonly archived: ArchiveDoor['archived'];
  /** Added to the environment of the exporter from the next look on. */
  env: Record<string, string>;
  /** How much older the objects are than the storage says; `laterMs`: how much later it is than the database says. */
  objectsAgedMs: number;
  laterMs: number;
  /** Writes a value to the database that Airflow measures with so many bytes. */
  readonly value: (taskId: string, bytes: number, place?: Place) => Promise<void>;
  readonly text: (taskId: string, text: string, place?: Place) => Promise<void>;
  /** Writes a reference to an object of so many bytes; null: without an object. Gives the path. */
  readonly reference: (
    taskId: string,
    bytes: number | null,
    place?: Place & { base?: string },
  ) => Promise<string>;
  readonly remove: (taskId: string, place?: Place) => Promise<void>;
  /** Runs a probe and a cycle, with what the earlier looks have learnt. */
  readonly look: () => Promise<Report>;
}

interface Case {
  /** The recorded release whose tables the case uses; 3.3.2 unless given. */
  readonly release?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Causes the problem. */
  readonly provoke: (scene: Scene) => Promise<unknown>;
  readonly evidence: string | RegExp;
  readonly where?: readonly string[];
  /** The number of rows that are listed. */
  readonly findings?: number;
  /** The words for what the data show of the threshold, or of the path. */
  readonly seen?: string;
  readonly cure: (scene: Scene) => Promise<unknown>;
}

const xcomPath = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_';

/**
 * How many reports the canary has left. Each is left by a task in a run of its own, which begins now unless `ago`
 * says otherwise.
 */
let reports = 0;
async function report(scene: Scene, pool: string, changes: object = {}, ago = 0): Promise<void> {
  const { stage } = scene;
  reports += 1;
  const of = {
    dagId: 'airflow_xcom_canary',
    runId: `scheduled__${scene.run.runId}_${pool}_${reports}`,
    agoSeconds: ago,
  };
  const told = lookOf(pool, { pools: { default: 'default', legacy: 'legacy' }, ...changes });
  await stage.push({
    run: await stage.addRun({ ...of, state: 'success' }),
    taskId: `look_${pool}`,
    key: 'canary_report',
    stored: JSON.stringify(told).replaceAll('s3://aws_xcom@airflow-xcom/xcom', BASE),
    agoSeconds: ago,
    queue: pool,
  });
}

const CASES: Readonly<Record<ProblemCode, Case>> = {
  schema_unsupported: {
    provoke: ({ stage }) => stage.writer.query('ALTER TABLE xcom RENAME TO xcom_kept'),
    evidence: 'There is no table xcom, xcom_v1 or xcom_v2.',
    cure: ({ stage }) => stage.writer.query('ALTER TABLE xcom_kept RENAME TO xcom'),
  },
  airflow_too_old: {
    release: '2.9.3',
    provoke: ({ stage }) => stage.writer.query('ALTER TABLE task_instance DROP COLUMN rendered_map_index'),
    evidence: 'The tables have the shape of Airflow before 2.9: xcom-bytea.',
    cure: ({ stage }) =>
      stage.writer.query('ALTER TABLE task_instance ADD COLUMN rendered_map_index varchar'),
  },
  threshold_disabled: {
    provoke: async (scene) => {
      scene.env[`${xcomPath}THRESHOLD`] = '-1';
      // Without a threshold the oversize limit is 1 MiB.
      await scene.value('extract', 2_000_000);
      await scene.value('load', 1_048_576);
      await scene.value('small', 1_048_575);
    },
    evidence: `The threshold is -1 although ${BASE} is configured; the database holds 2 values of at least 1 MiB (1,048,576 B), 2.9 MiB (3,048,576 B) together.`,
    where: ['dag orders (2)', 'task extract (1)', 'task load (1)', 'queue default (2)'],
    findings: 2,
    cure: (scene) => {
      scene.env[`${xcomPath}THRESHOLD`] = '1000';
      return Promise.resolve();
    },
  },
  backend_inactive: {
    provoke: async ({ value }) => {
      await value('extract', 2_000);
      await value('load', 1_000);
      await value('small', 999);
    },
    evidence:
      'The database holds 2 values of at least 1000 B, the largest of 2 KiB (2,000 B), and not one reference is in the window.',
    where: ['dag orders (2)', 'task extract (1)', 'task load (1)', 'queue default (2)'],
    findings: 2,
    cure: async ({ reference }) => {
      await reference('extract', 2_000);
      await reference('load', 1_000);
    },
  },
  worker_bypass: {
    provoke: async ({ value, reference }) => {
      for (let i = 0; i < 12; i += 1) await reference(`task_${i}`, 1_000 + i);
      for (let i = 0; i < 6; i += 1) await value(`old_${i}`, 1_500 + i, { queue: 'legacy' });
    },
    evidence:
      '6 of 6 large values on queue "legacy" stayed in the database, none of 12 elsewhere. The database holds 6 values of at least 1000 B, the largest of 1.5 KiB (1,505 B).',
    where: ['queue legacy (6)'],
    findings: 6,
    cure: async ({ reference }) => {
      for (let i = 0; i < 6; i += 1) await reference(`old_${i}`, 1_500 + i, { queue: 'legacy' });
    },
  },
  compression_unsupported: {
    env: { [`${xcomPath}COMPRESSION`]: 'snappy' },
    provoke: () => Promise.resolve(),
    evidence: 'The compression is snappy, for which fsspec knows no file extension.',
    cure: (scene) => {
      scene.env[`${xcomPath}COMPRESSION`] = 'gzip';
      return Promise.resolve();
    },
  },
  write_denied: {
    provoke: ({ proxy }) => {
      proxy.setFault({ match: ({ kind }) => kind === 'put', answer: 'deny' });
      return Promise.resolve();
    },
    evidence:
      'A test write to the bucket airflow-xcom was refused: AccessDenied (403); s3:PutObject is missing, or the storage does not take the checksum of a PUT (AWS_REQUEST_CHECKSUM_CALCULATION=when_required leaves it out; botocore before 1.36 sends none).',
    cure: ({ proxy }) => {
      proxy.setFault(null);
      return Promise.resolve();
    },
  },
  writes_failing: {
    provoke: ({ proxy }) => {
      const error = {
        status: 507,
        code: 'XMinioStorageFull',
        message: 'Storage backend has reached its minimum free drive threshold',
        html: false,
      };
      proxy.setFault({ match: ({ kind }) => kind === 'put', answer: { error } });
      return Promise.resolve();
    },
    evidence:
      'A test write to the bucket airflow-xcom failed: XMinioStorageFull (507); there is no room, or a quota is reached.',
    cure: ({ proxy }) => {
      proxy.setFault(null);
      return Promise.resolve();
    },
  },
  reads_denied: {
    provoke: ({ proxy }) => {
      proxy.setFault({ match: ({ kind }) => kind === 'get', answer: 'deny' });
      return Promise.resolve();
    },
    evidence:
      'Reading a test object in the bucket airflow-xcom was refused: get, AccessDenied (403); s3:GetObject is missing.',
    cure: ({ proxy }) => {
      proxy.setFault(null);
      return Promise.resolve();
    },
  },
  deletes_denied: {
    provoke: ({ proxy }) => {
      proxy.setFault({ match: ({ kind }) => kind === 'delete', answer: 'deny' });
      return Promise.resolve();
    },
    evidence:
      'Deleting a test object in the bucket airflow-xcom was refused: AccessDenied (403); s3:DeleteObject is missing.',
    cure: ({ proxy }) => {
      proxy.setFault(null);
      return Promise.resolve();
    },
  },
  not_watching: {
    env: { AIRFLOW_CONN_AWS_XCOM: 'aws://' },
    provoke: () => Promise.resolve(),
    evidence: /^The exporter cannot ask for the bucket airflow-xcom: no credentials found, and /,
    cure: (scene) => {
      scene.env = {};
      return Promise.resolve();
    },
  },
  canary_failing: {
    provoke: async (scene) => {
      await report(scene, 'default');
      await report(scene, 'legacy', DENIED);
    },
    evidence:
      '1 pool of workers: on legacy: push failed, the storage answered AccessDenied to PutObject (builtins.PermissionError caused by botocore.errorfactory.AccessDenied).',
    where: ['queue legacy (1)'],
    cure: (scene) => report(scene, 'legacy'),
  },
  canary_silent: {
    provoke: async (scene) => {
      await report(scene, 'default');
      await report(scene, 'legacy', {}, 1_000);
    },
    evidence:
      /^1 pool of workers: on legacy: nothing since 20\S+Z; no run has begun for three intervals: the DAG is paused, or the scheduler does not run\.$/,
    where: ['queue legacy (1)'],
    cure: (scene) => report(scene, 'legacy'),
  },
  worker_settings_differ: {
    provoke: async (scene) => {
      await report(scene, 'default');
      await report(scene, 'legacy', WITHOUT_BACKEND);
    },
    evidence: `xcom_backend is ${BACKEND} on default, and airflow.sdk.bases.xcom.BaseXCom on legacy; the exporter was told ${BACKEND}.`,
    where: ['queue legacy (1)'],
    cure: (scene) => report(scene, 'legacy'),
  },
  bucket_unreachable: {
    provoke: ({ proxy }) => {
      proxy.setFault({ answer: 'no_such_bucket' });
      return Promise.resolve();
    },
    evidence: 'No request to the bucket airflow-xcom succeeds: no_such_bucket (NoSuchBucket (404)).',
    cure: ({ proxy }) => {
      proxy.setFault(null);
      return Promise.resolve();
    },
  },
  objects_missing: {
    provoke: async ({ reference }) => {
      await reference('there', 1_200);
      await reference('gone', null);
      await reference('gone too', null);
    },
    evidence: '2 of 3 references in the window point at objects that are not there.',
    where: ['dag orders (2)', 'task gone (1)', 'task gone too (1)', 'queue default (2)'],
    findings: 2,
    cure: async ({ reference }) => {
      await reference('gone', 1_200);
      await reference('gone too', 1_200);
    },
  },
  objects_empty: {
    provoke: async ({ reference }) => {
      await reference('there', 1_200);
      await reference('empty', 0);
    },
    evidence: '1 of 2 references in the window points at an object of 0 bytes.',
    where: ['dag orders (1)', 'task empty (1)', 'queue default (1)'],
    findings: 1,
    cure: ({ reference }) => reference('empty', 1_200),
  },
  objects_unreadable: {
    provoke: async ({ reference, archived }) => {
      await reference('there', 1_200);
      const keyOf = (path: string) => path.slice(`s3://aws_xcom@${BUCKET}/`.length);
      archived.set(keyOf(await reference('frozen', 1_200)), { storageClass: 'GLACIER' });
      archived.set(keyOf(await reference('thawing', 1_200)), {
        storageClass: 'DEEP_ARCHIVE',
        restoring: true,
      });
    },
    evidence: '2 of 3 references in the window point at objects that are in an archive and not restored.',
    where: ['dag orders (2)', 'task frozen (1)', 'task thawing (1)', 'queue default (2)'],
    findings: 2,
    cure: ({ archived }) => {
      for (const [key, object] of archived) archived.set(key, { ...object, restoring: false });
      return Promise.resolve();
    },
  },
  path_mismatch: {
    provoke: async ({ reference }) => {
      await reference('there', 1_200);
      await reference('old', 1_200, { base: 's3://aws_xcom@airflow-xcom/old', agoSeconds: 300 });
      await reference('older', 1_200, { base: 's3://airflow-xcom/base', agoSeconds: 300 });
    },
    evidence: `2 of 3 references in the window lie outside ${BASE}; seen is s3://aws_xcom@airflow-xcom/old and 1 more.`,
    seen: `s3://airflow-xcom/base (1 reference), s3://aws_xcom@airflow-xcom/base (1 reference), s3://aws_xcom@airflow-xcom/old (1 reference)`,
    where: ['dag orders (2)', 'task old (1)', 'task older (1)', 'queue default (2)'],
    findings: 2,
    cure: async ({ reference }) => {
      await reference('old', 1_200);
      await reference('older', 1_200);
    },
  },
  path_leaked: {
    provoke: async ({ reference, text }) => {
      await text('handed on', await reference('extract', 1_200));
    },
    evidence: '1 row in the window holds the path of another row.',
    where: ['dag orders (1)', 'task handed on (1)', 'queue default (1)'],
    findings: 1,
    cure: ({ value }) => value('handed on', 20),
  },
  local_path: {
    provoke: async ({ text, run }) => {
      await text('extract', `/${run.dagId}/${run.runId}/extract/${uuid4()}`);
      await text('load', `${run.dagId}/${run.runId}/load/${uuid4()}`);
    },
    evidence: '2 rows in the window name a file on the disk of a worker.',
    where: ['dag orders (2)', 'task extract (1)', 'task load (1)', 'queue default (2)'],
    findings: 2,
    cure: async ({ reference }) => {
      await reference('extract', 1_200);
      await reference('load', 1_200);
    },
  },
  skip_decision_offloaded: {
    provoke: ({ reference }) => reference('branch', 1_200, { key: 'skipmixin_key' }),
    evidence: '1 skip decision in the window is a reference.',
    where: ['dag orders (1)', 'task branch (1)', 'queue default (1)'],
    findings: 1,
    cure: ({ value }) => value('branch', 60, { key: 'skipmixin_key' }),
  },
  oversize_in_db: {
    provoke: async ({ value, reference }) => {
      await reference('there', 1_200);
      await value('extract', 2_000);
    },
    evidence:
      'The database holds 1 value of at least 1000 B, the largest of 2 KiB (2,000 B); the threshold is 1000 B, and 1 reference in the window is as configured.',
    where: ['dag orders (1)', 'task extract (1)', 'queue default (1)'],
    findings: 1,
    cure: ({ reference }) => reference('extract', 2_000),
  },
  threshold_mismatch: {
    provoke: async ({ value, reference }) => {
      for (const [index, bytes] of [300, 400, 5_000].entries()) await reference(`large_${index}`, bytes);
      await reference('larger', 700);
      for (const [index, bytes] of [50, 100, 250].entries()) await value(`small_${index}`, bytes);
    },
    evidence:
      'The threshold is 1000 B, but the largest value in the database has 250 B and the smallest object 300 B: the workers use a threshold between the two.',
    seen: 'between 251 and 300 bytes, by the sizes of 4 objects and 3 values in the database',
    findings: 3,
    cure: async ({ reference, value }) => {
      await value('large_0', 300);
      await value('large_1', 400);
      await reference('larger', 1_700);
    },
  },
  orphans_growing: {
    provoke: async (scene) => {
      const { stage, reference, remove, look } = scene;
      scene.objectsAgedMs = 30 * 60_000;
      const run = await stage.addRun({
        dagId: 'orders',
        runId: 'ended',
        state: 'success',
        agoSeconds: 1_500,
      });
      for (const taskId of ['kept', 'lost', 'lost too'])
        await reference(taskId, 1_200, { run, agoSeconds: 1_500 });
      expect((await look()).window?.orphanObjects).toBe(0);
      await remove('lost', { run });
      await remove('lost too', { run });
    },
    evidence: 'Objects that no row refers to grew from 0 to 2 under the runs of the window.',
    // Growth is reported for an hour.
    cure: (scene) => {
      scene.laterMs = 3_660_000;
      return Promise.resolve();
    },
  },
  permissions_unverifiable: {
    provoke: ({ proxy }) => {
      proxy.setFault({ match: ({ kind }) => kind === 'list', answer: 'deny' });
      return Promise.resolve();
    },
    evidence: 'Listing the bucket airflow-xcom is refused: AccessDenied (403); s3:ListBucket is missing.',
    cure: ({ proxy }) => {
      proxy.setFault(null);
      return Promise.resolve();
    },
  },
  exporter_behind: {
    env: { XCOM_EXPORTER_S3_REQUESTS_PER_CYCLE: '4' },
    provoke: async ({ reference, proxy }) => {
      // One listing would answer for all the references.
      proxy.setFault({ match: ({ kind }) => kind === 'list', answer: 'deny' });
      for (let i = 0; i < 10; i += 1) await reference(`task_${i}`, 1_200, { agoSeconds: 300 });
    },
    evidence: /^[1-9]0 % of the window is decided; the oldest reference waits since 30\d s\.$/,
    cure: async (scene) => {
      scene.proxy.setFault(null);
      scene.env['XCOM_EXPORTER_S3_REQUESTS_PER_CYCLE'] = '500';
      await scene.look();
    },
  },
  third_party_backend: {
    provoke: async ({ text }) => {
      await text('extract', `s3_xcom_${uuid4()}`);
      await text('load', `s3_xcom_${uuid4()}`);
    },
    evidence: '2 rows in the window hold references of another backend, or to a store that is not S3.',
    where: ['dag orders (2)', 'task extract (1)', 'task load (1)', 'queue default (2)'],
    findings: 2,
    cure: async ({ value }) => {
      await value('extract', 20);
      await value('load', 20);
    },
  },
};

let door: ArchiveDoor;
let proxy: HttpFaultProxy;
let direct: ObjectStore;
const closers: (() => Promise<void> | void)[] = [];
/** One database for each release, emptied for each case. */
const stages = new Map<string, Stage>();
let scenes = 0;
beforeEach(async () => {
  door = await startArchiveDoor(s3());
  proxy = await startHttpFaultProxy({ upstream: door });
  direct = openObjectStore(connectionTo(s3().endpoint, s3()), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
  closers.push(
    () => door.stop(),
    () => proxy.stop(),
  );
});
afterEach(async () => {
  direct.close();
  for (const close of closers.splice(0).reverse()) await close();
});

afterAll(async () => {
  for (const stage of stages.values()) await stage.close();
});

test('there is a case for every problem, and for nothing else', () => {
  expect(Object.keys(CASES).sort()).toEqual([...PROBLEM_CODES].sort());
});

describe.each(PROBLEM_CODES)('%s', (code) => {
  test(`is said with its figures, and goes with its cause (${PROBLEMS[code].severity})`, async () => {
    const show = (memory: ProblemMemory, report: Report) =>
      settleReport(memory, report, {
        now: report.at,
        windowMs: 86_400_000,
        observedAt: () => report.at,
      });
    const sinceOf = ({ report }: { report: Report }) =>
      report.problems.find((one) => one.code === code)?.since;
    const { provoke, evidence, where, findings, seen, cure, ...given } = CASES[code];
    const scene = await openScene(given);
    await provoke(scene);
    const first = await scene.look();
    expect(first.states[code]).toBe('raised');
    const problem = first.problems.find((one) => one.code === code);
    expect(problem?.evidence).toEqual(
      typeof evidence === 'string' ? evidence : (expect.stringMatching(evidence) as string),
    );
    if (where !== undefined) expect(placesOf(problem).slice(0, where.length)).toEqual(where);
    expect(problem?.findings).toHaveLength(findings ?? 0);
    if (seen !== undefined)
      expect([thresholdWords(first.observed), pathWords(first.observed)]).toContain(seen);
    // A problem that is raised again keeps its beginning.
    const again = await scene.look();
    const shown = show({}, first);
    const still = show(shown.memory, again);
    expect(sinceOf(shown)).toBe(first.at);
    expect(sinceOf(still)).toBe(first.at);

    await cure(scene);
    const cured = await scene.look();
    expect([code, cured.states[code]]).toEqual([code, 'clear']);
    expect(cured.problems.map((one) => one.code)).not.toContain(code);
  });
});

function placesOf(problem: Problem | undefined): string[] {
  return (problem?.where ?? []).map(({ label, value, rows }) => `${label} ${value} (${rows})`);
}

async function openScene({ release = '3.3.2', env = {} }: Pick<Case, 'release' | 'env'>): Promise<Scene> {
  const stage = stages.get(release) ?? (await openStage(postgres(), release));
  stages.set(release, stage);
  await stage.clear();
  scenes += 1;
  const isBytea = stage.source.value === 'bytea';
  const run = await stage.addRun({ dagId: 'orders', runId: `manual__${scenes}` });
  const encode = (value: unknown) => (isBytea ? Buffer.from(dumps(value)) : JSON.stringify(value));
  let kept: LedgerState | null = null;
  let opened: {
    readonly key: string;
    readonly look: () => Promise<Report>;
    close(): Promise<LedgerState>;
  } | null = null;

  const scene: Scene = {
    stage,
    run,
    proxy,
    archived: door.archived,
    env: { ...env },
    objectsAgedMs: 0,
    laterMs: 0,
    value: (taskId, bytes, place) =>
      stage.push({ run, taskId, stored: encode(stringOf(bytes, 'x')), ...place }),
    text: (taskId, text, place) => stage.push({ run, taskId, stored: encode(text), ...place }),
    reference: async (taskId, bytes, { base = BASE, ...place } = {}) => {
      const owner = place.run ?? run;
      const tail = `${owner.dagId}/${owner.runId}/${taskId}/${uuid4()}`;
      const key = `${base.replace(/^s3:\/\/[^/]*\//, '')}/${tail}`;
      if (bytes !== null) await direct.put({ bucket: BUCKET, key, body: Buffer.alloc(bytes, 'x') }, signal);
      await stage.push({ run, taskId, stored: encode(`${base}/${tail}`), ...place });
      return `${base}/${tail}`;
    },
    remove: (taskId, place) => stage.remove({ run, taskId, ...place }),
    look: async () => {
      const key = JSON.stringify(scene.env);
      if (opened?.key !== key) {
        kept = (await opened?.close()) ?? kept;
        opened = openExporter(scene, { restored: kept, key });
      }
      return opened.look();
    },
  };
  closers.push(async () => {
    await opened?.close();
  });
  return scene;
}

/** Opens the exporter as a reload does: with new settings and the old ledger. */
function openExporter(scene: Scene, { restored, key }: { restored: LedgerState | null; key: string }) {
  const connection = `aws://key:secret@/?region_name=us-east-1&endpoint_url=${encodeURIComponent(scene.proxy.url)}`;
  const config = stageConfig(scene.stage, {
    [`${xcomPath}THRESHOLD`]: String(THRESHOLD),
    AIRFLOW_CONN_AWS_XCOM: connection,
    ...scene.env,
  });
  const database = openDatabase(requireDatabase(config), { lock: null, tables: SHAPE_TABLES });
  const stores = openStores(config.s3, { observer: recordRequests(), log: pino({ level: 'silent' }) });
  const refusals = createWriteRefusals();
  const opened = new Map<ObjectStore, ObjectStore>();
  /** One wrapper for each store, because the cycle tells stores apart. */
  const agedStores = (id: string): ObjectStore => {
    const store = stores.of(id);
    const known = opened.get(store) ?? aged(store, () => scene.objectsAgedMs);
    opened.set(store, known);
    return known;
  };
  const cycle = createCycle({
    config,
    database: {
      read: (use, ...rest) => database.read((query) => use(later(query, () => scene.laterMs)), ...rest),
    },
    stores: { ...stores, of: agedStores },
    stored: { pushFaults: () => [] },
    restored,
    workersACycle: 1_000,
    random: Math.random,
    clock: Date.now,
    comparison: ALWAYS_COMPARED,
  });
  return {
    key,
    look: async () =>
      cycle.run(await probeInForce(config, { stores, refusals, id: 'test', mayErase: true, signal }), signal),
    close: async () => {
      stores.close();
      await database.close();
      return cycle.state();
    },
  };
}

/** The real database, with a clock that is ahead. */
function later(query: Query, byMs: () => number): Query {
  return async <Row>(...call: Parameters<Query>) => {
    const rows = await query<Row>(...call);
    for (const row of rows as { now?: number }[]) if (row.now !== undefined) row.now += byMs();
    return rows;
  };
}

/** The real storage, with objects that have been there for longer. */
function aged(store: ObjectStore, byMs: () => number): ObjectStore {
  return {
    ...store,
    list: async (target, abort) => {
      const answer = await store.list(target, abort);
      if (answer.kind === 'unknown') return answer;
      const objects = answer.objects.map((one) => ({ ...one, lastModified: one.lastModified - byMs() }));
      return { ...answer, objects };
    },
  };
}
