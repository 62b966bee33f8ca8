import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { QUEUES } from '../../src/demo/dags.ts';
import type { DagRun } from '../../src/demo/dag-run.ts';
import { basePath } from '../../src/demo/xcom-backend.ts';
import { nowSeconds } from './act.ts';
import type { Expectation, Played } from './act.ts';
import { BASE, THRESHOLD } from './stage.ts';
import type { Exporter, Stage } from './stage.ts';

/** A trouble that the demo does not play. Each is caused from outside, and cured. */
export interface Trouble extends Expectation {
  readonly act: string;
  /** How many seconds the trouble lasts. */
  readonly seconds: number;
  /** How many seconds pass between the cure and the next trouble. */
  readonly rest: number;
  readonly begin: (scene: Scene) => Promise<unknown>;
  readonly cure: (scene: Scene) => Promise<unknown>;
}

export interface Scene {
  readonly stage: Stage;
  /** The exporters that run now; an act may change them. */
  exporters: Exporter[];
  /** Aborted when the act ends. */
  signal: AbortSignal;
}

const never = -1;
const large = (run: DagRun) =>
  run.written().some(({ objectKey, bytes }) => objectKey === null && bytes >= THRESHOLD);

const SLOWLY = {
  AirflowXComBudgetBurnsSlowly: 'three days and six hours, of which a minute is enough',
};

const EXCHANGE = { AirflowXComExporterDown: 'between two exporters there is no target for a while' };

export const TROUBLES: readonly Trouble[] = [
  {
    act: 'Healthy, with an exporter of its own',
    fires: [],
    seconds: 30,
    rest: 0,
    begin: () => Promise.resolve(),
    cure: () => Promise.resolve(),
  },
  {
    act: 'A misspelt variable: no worker uses the backend any more',
    fires: ['AirflowXComBackendInactive'],
    mayFire: {
      ...SLOWLY,
      AirflowXComBudgetBurnsFast: 'large values in the database burn the budget of storage',
      AirflowXComSilentFallback:
        'as long as references are left in the window, nothing explains the large values',
      AirflowXComWorkerBypass: 'as long as references are left in the window, they may cluster',
      AirflowXComProblemUnknown: 'the demo had a canary, and the exporter after it has none',
    },
    seconds: 40,
    rest: 20,
    begin: async ({ stage }) => {
      for (const queue of QUEUES) stage.workload().setThreshold(queue, never);
      await stage.workload().clear(() => true, { holdSeconds: 2 });
    },
    cure: mendWorkers,
  },
  {
    act: 'Large values stay in the database now and then, on every worker',
    fires: ['AirflowXComSilentFallback'],
    mayFire: {
      ...SLOWLY,
      AirflowXComBudgetBurnsFast: 'large values in the database burn the budget of storage',
      AirflowXComWorkerBypass: 'by chance a worker may have most of them',
    },
    seconds: 40,
    rest: 25,
    begin: ({ stage, signal }) => {
      void (async () => {
        for (let turn = 0; !signal.aborted; turn += 1) {
          for (const queue of QUEUES)
            stage.workload().setThreshold(queue, turn % 2 === 0 ? never : THRESHOLD);
          await delay(350);
        }
        for (const queue of QUEUES) stage.workload().setThreshold(queue, THRESHOLD);
      })();
      return Promise.resolve();
    },
    cure: mendWorkers,
  },
  {
    act: 'S3 takes three seconds for a PUT, and one and a half for a GET',
    fires: ['AirflowXComProbeSlow', 'AirflowXComExporterOverrun', 'AirflowXComBudgetBurnsFast'],
    mayFire: SLOWLY,
    // A slow exporter writes less often than before: it takes this long until 72 % of the writes of an hour are slow.
    seconds: 90,
    rest: 35,
    begin: ({ stage }) => {
      // The delays together exceed two ticks: one skipped tick for each run is 50 %, which is not yet an overrun.
      stage.s3.setFault({ match: ({ kind }) => kind === 'put', answer: { delayMs: 3_000 } });
      stage.s3Behind.setFault({ match: ({ kind }) => kind === 'get', answer: { delayMs: 1_500 } });
      return Promise.resolve();
    },
    cure: healS3,
  },
  {
    act: 'Rows whose objects were never written',
    fires: ['AirflowXComWriteFailures', 'AirflowXComObjectsMissing'],
    mayFire: { ...SLOWLY, AirflowXComBudgetBurnsFast: 'they are broken references as well' },
    seconds: 20,
    rest: 45,
    begin: ({ stage }) =>
      insertRun(stage, {
        dagId: 'lost_writes',
        rows: 20,
        value: `to_jsonb('${basePath(BASE)}/lost_writes/run_1/push/' || gen_random_uuid())`,
      }),
    cure: ({ stage }) => deleteRuns(stage, 'lost_writes'),
  },
  {
    act: 'A lifecycle rule moves objects into an archive',
    fires: ['AirflowXComObjectsUnreadable'],
    mayFire: {
      ...SLOWLY,
      AirflowXComBudgetBurnsFast: 'they are broken references as well',
      AirflowXComWriteFailures: 'thirty minutes of the act before',
    },
    seconds: 25,
    rest: 20,
    begin: async ({ stage }) => {
      const keys = await insertReferences(stage, { dagId: 'archived', runs: 10 });
      for (const key of keys) stage.archived.set(key, { storageClass: 'GLACIER', agoDays: 1 });
    },
    cure: async ({ stage }) => {
      stage.archived.clear();
      await deleteRuns(stage, 'archived');
    },
  },
  {
    act: 'S3 answers 500 to every PUT and refuses LIST',
    fires: [
      'AirflowXComProbeFailing',
      'AirflowXComProblemUnknown',
      'AirflowXComWarning',
      'AirflowXComBudgetBurnsFast',
      'AirflowXComBudgetBurnsSlowly',
    ],
    mayFire: { AirflowXComCriticalProblem: 'where HEAD fails as well, the bucket is not reached at all' },
    seconds: 85,
    rest: 25,
    begin: ({ stage }) => {
      stage.s3.setFault({ match: ({ kind }) => kind === 'put', answer: 'server_error' });
      stage.s3Behind.setFault({ match: ({ kind }) => kind === 'list', answer: 'deny' });
      return Promise.resolve();
    },
    cure: healS3,
  },
  {
    act: 'The path of Airflow is changed, and rows still hold the old one',
    fires: ['AirflowXComPathMismatch'],
    mayFire: { ...SLOWLY, AirflowXComBudgetBurnsFast: 'they are broken references as well' },
    seconds: 25,
    rest: 20,
    begin: (scene) => reload(scene, { 'xcom.path': `s3://${BASE.connection}@${BASE.bucket}/elsewhere` }),
    cure: (scene) => reload(scene, {}),
  },
  {
    act: 'A compression that Airflow does not know',
    fires: ['AirflowXComCriticalProblem'],
    mayFire: { ...SLOWLY, AirflowXComBudgetBurnsFast: 'six hours of the acts before' },
    seconds: 20,
    rest: 15,
    begin: (scene) => reload(scene, { 'xcom.compression': 'snappy' }),
    cure: (scene) => reload(scene, {}),
  },
  {
    act: 'Settings that cannot be read',
    fires: ['AirflowXComExporterReloadFailed'],
    mayFire: { ...SLOWLY, AirflowXComBudgetBurnsFast: 'six hours of the acts before' },
    seconds: 15,
    rest: 10,
    begin: (scene) => reload(scene, 'window: [often]'),
    cure: (scene) => reload(scene, {}),
  },
  {
    act: 'The folder of the state file is gone',
    fires: ['AirflowXComExporterStateNotWritten'],
    mayFire: { ...SLOWLY, ...EXCHANGE, AirflowXComBudgetBurnsFast: 'six hours of the acts before' },
    // A state without news is written every five minutes; no factor shortens that time.
    seconds: 330,
    rest: 20,
    begin: async (scene) => {
      const folder = mkdtempSync(join(tmpdir(), 'state-'));
      const stateFile = join(folder, 'state');
      await exchange(scene, [['--state.file', stateFile]]);
      await scene.stage.audit(stateFile);
      await delay(5_000);
      rmSync(folder, { recursive: true });
    },
    cure: (scene) => exchange(scene, [[]]),
  },
  {
    act: 'More references than the exporter may ask S3 about',
    fires: ['AirflowXComExporterBehind'],
    mayFire: {
      ...SLOWLY,
      AirflowXComBudgetBurnsFast: 'six hours of the acts before',
      AirflowXComProblemUnknown: 'whether the objects that wait for a request are there is not known',
    },
    // The problem is raised when the oldest reference has waited for two minutes; no factor shortens that time.
    seconds: 165,
    rest: 25,
    begin: async (scene) => {
      await reload(scene, { 's3.requests-per-cycle': 2 });
      await insertReferences(scene.stage, { dagId: 'flood', runs: 60 });
    },
    cure: async (scene) => {
      await reload(scene, {});
      await deleteRuns(scene.stage, 'flood');
    },
  },
  {
    act: 'The database is away',
    fires: ['AirflowXComExporterStale'],
    mayFire: {
      ...SLOWLY,
      AirflowXComProbeFailing: 'the probe asks the database as well',
      AirflowXComBudgetBurnsFast: 'six hours of the acts before',
      AirflowXComExporterOverrun: 'a cycle waits for the database longer than a second',
    },
    seconds: 25,
    rest: 15,
    begin: ({ stage }) => stage.wire.setMode('cut'),
    cure: ({ stage }) => stage.wire.setMode('pass'),
  },
  {
    act: 'Two exporters with a lock, and neither reaches the database',
    fires: ['AirflowXComExporterNoLeader'],
    mayFire: {
      ...SLOWLY,
      ...EXCHANGE,
      AirflowXComExporterReplicaDown: 'the exporter before them is stopped first',
    },
    seconds: 25,
    rest: 15,
    begin: async (scene) => {
      await exchange(scene, [
        ['--ha', 'lock'],
        ['--ha', 'lock'],
      ]);
      await delay(8_000);
      await scene.stage.wire.setMode('cut');
    },
    cure: ({ stage }) => stage.wire.setMode('pass'),
  },
  {
    act: 'The one that stands by has died',
    fires: ['AirflowXComExporterReplicaDown'],
    mayFire: { ...SLOWLY, ...EXCHANGE },
    seconds: 25,
    rest: 10,
    begin: async ({ exporters }) => {
      await exporters[1]?.stop();
    },
    cure: (scene) =>
      exchange(scene, [
        ['--ha', 'lock'],
        ['--ha', 'lock'],
      ]),
  },
  {
    act: 'The second of two shards was never started',
    fires: ['AirflowXComExporterShardMissing'],
    mayFire: {
      ...SLOWLY,
      ...EXCHANGE,
      AirflowXComBudgetBurnsFast: 'six hours of the acts before',
      AirflowXComProblemUnknown: 'a shard does not know all that one exporter of all dags knew',
    },
    seconds: 15,
    rest: 10,
    begin: (scene) => exchange(scene, [['--shard', '0/2']]),
    cure: (scene) =>
      exchange(scene, [
        ['--ha', 'lock'],
        ['--ha', 'lock'],
      ]),
  },
  {
    act: 'Both have died',
    fires: ['AirflowXComExporterDown'],
    mayFire: SLOWLY,
    seconds: 15,
    rest: 10,
    begin: async ({ exporters }) => {
      for (const exporter of exporters) await exporter.stop();
    },
    cure: (scene) => exchange(scene, [[]]),
  },
  {
    act: 'Prometheus has lost its target',
    fires: ['AirflowXComExporterDown'],
    mayFire: SLOWLY,
    seconds: 20,
    rest: 10,
    begin: ({ stage }) => stage.scrape([]),
    cure: ({ stage, exporters }) => stage.scrape(exporters),
  },
  {
    act: 'Objects without a row grow in number',
    fires: ['AirflowXComOrphansGrowing'],
    mayFire: {
      ...SLOWLY,
      ...EXCHANGE,
      AirflowXComProblemUnknown: 'a quiet Airflow has no references, of which much is unknown',
    },
    seconds: 45,
    rest: 15,
    begin: async (scene) => {
      // This act has an Airflow of its own: growth is measured only when every ended run has been listed.
      const { stage } = scene;
      await insertRun(stage, { ...QUIET, runId: 'run_0', database: stage.quiet.database });
      await exchange(scene, [['--database.url', stage.quiet.url]]);
      await delay(8_000);
      await insertRun(stage, { ...QUIET, runId: ORPHANS.runId, database: stage.quiet.database });
    },
    cure: (scene) => exchange(scene, [[]]),
  },
  {
    act: 'Healthy again, for as long as the budgets remember',
    fires: [],
    mayFire: {
      ...SLOWLY,
      AirflowXComProblemUnknown: 'the exporter of the quiet Airflow knew of orphans, this one does not yet',
    },
    seconds: 120,
    rest: 0,
    begin: () => Promise.resolve(),
    cure: () => Promise.resolve(),
  },
];

const ORPHANS = { dagId: 'quiet', runId: 'run_orphans', objects: 40 };
const QUIET = { dagId: ORPHANS.dagId, rows: 3, value: `'1'::jsonb`, minutesAgo: 15 };
/** The exporter waits this long before it calls an object an orphan. */
const ORPHANS_AGE_SECONDS = 10 * 60 + 10;

/**
 * Leaves orphans. Call this at least ten minutes before the act about them. Gives the time when they are old enough.
 */
export async function leaveOrphans({ objects }: Stage): Promise<number> {
  const { signal } = new AbortController();
  for (let count = 0; count < ORPHANS.objects; count += 1) {
    const key = `${BASE.prefix}/${ORPHANS.dagId}/${ORPHANS.runId}/push/${randomUUID()}`;
    await objects.put({ bucket: BASE.bucket, key, body: new TextEncoder().encode('"orphan"') }, signal);
  }
  return nowSeconds() + ORPHANS_AGE_SECONDS;
}

/** Plays the troubles one after the other. `orphansAt`: epoch seconds. */
export async function playTroubles(stage: Stage, orphansAt: number): Promise<Played[]> {
  const scene: Scene = { stage, exporters: [], signal: AbortSignal.abort() };
  stage.workload();
  await exchange(scene, [[]]);
  // All ranges must be full before anything is judged.
  await delay(20_000);
  const played: Played[] = [];
  for (const trouble of TROUBLES) {
    if (trouble.fires.includes('AirflowXComOrphansGrowing'))
      await delay(Math.max(0, orphansAt - nowSeconds()) * 1_000);
    const ending = new AbortController();
    const from = nowSeconds();
    console.log(`${new Date().toISOString()} ${trouble.act}`);
    scene.signal = ending.signal;
    await trouble.begin(scene);
    await delay(trouble.seconds * 1_000);
    ending.abort();
    const cured = nowSeconds();
    await trouble.cure(scene);
    await delay(trouble.rest * 1_000);
    played.push({ act: trouble.act, from, cured, to: nowSeconds() });
  }
  for (const exporter of scene.exporters) await exporter.stop();
  return played;
}

/** Replaces the running exporters. The targets follow, so that none is missed. */
async function exchange(scene: Scene, argvs: readonly (readonly string[])[]): Promise<void> {
  await scene.stage.scrape([]);
  await delay(3_000);
  for (const exporter of scene.exporters) await exporter.stop();
  scene.exporters = [];
  for (const argv of argvs) scene.exporters.push(await scene.stage.startExporter(...argv));
  await scene.stage.scrape(scene.exporters);
}

async function reload(
  { stage, exporters }: Scene,
  settings: Readonly<Record<string, unknown>> | string,
): Promise<void> {
  await stage.settings(settings);
  for (const exporter of exporters) exporter.reload();
}

/** Configures the workers again, and lets the tasks write again what they wrote meanwhile. */
async function mendWorkers({ stage }: Scene): Promise<void> {
  await delay(500);
  for (const queue of QUEUES) stage.workload().setThreshold(queue, THRESHOLD);
  await stage.workload().clear(large, { holdSeconds: 2 });
  await delay(300);
  await stage.workload().clear(large, { holdSeconds: 2 });
}

function healS3({ stage }: Scene): Promise<void> {
  stage.s3.setFault(null);
  stage.s3Behind.setFault(null);
  return Promise.resolve();
}

/** Adds a run with one mapped task; each copy has pushed the value of this SQL expression. */
async function insertRun(
  stage: Stage,
  run: {
    dagId: string;
    runId?: string;
    rows: number;
    value: string;
    /** How many minutes ago the run ended; without it, the run is running. */
    minutesAgo?: number;
    database?: Stage['database'];
  },
): Promise<void> {
  const { dagId, runId = 'run_1', rows, value, minutesAgo = 0, database = stage.database } = run;
  const state = minutesAgo === 0 ? 'running' : 'success';
  await database.query(/* SQL */ `
    WITH run AS (
      INSERT INTO dag_run (dag_id, run_id, run_type, run_after, start_date, end_date, state)
      VALUES ('${dagId}', '${runId}', 'manual', now(), now() - interval '${minutesAgo} minutes',
        ${minutesAgo === 0 ? 'NULL' : `now() - interval '${minutesAgo} minutes'`}, '${state}')
      RETURNING id
    ), task AS (
      INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, try_number, pool, pool_slots, queue, state)
      SELECT gen_random_uuid(), 'push', '${dagId}', '${runId}', copy, 1, 'default_pool', 1, 'default', 'success'
      FROM generate_series(0, ${rows - 1}) AS copy, run
      RETURNING map_index
    )
    INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)
    SELECT run.id, 'push', map_index, 'return_value', '${dagId}', '${runId}', ${value}, now() - interval '${minutesAgo} minutes'
    FROM task, run`);
}

/**
 * Adds references to existing objects, each in a run of its own: one LIST answers for all of a run. Gives their keys.
 */
async function insertReferences(
  stage: Stage,
  { dagId, runs }: { readonly dagId: string; readonly runs: number },
): Promise<string[]> {
  const keys: string[] = [];
  const { signal } = new AbortController();
  const body = new Uint8Array(THRESHOLD).fill(0x20);
  for (let count = 0; count < runs; count += 1) {
    const place = `${dagId}/run_${count}/push/${randomUUID()}`;
    const key = `${BASE.prefix}/${place}`;
    await stage.objects.put({ bucket: BASE.bucket, key, body }, signal);
    keys.push(key);
    const value = `to_jsonb('${basePath(BASE)}/${place}'::text)`;
    await insertRun(stage, { dagId, runId: `run_${count}`, rows: 1, value });
  }
  return keys;
}

async function deleteRuns(stage: Stage, dagId: string): Promise<void> {
  await stage.database.query(/* SQL */ `DELETE FROM dag_run WHERE dag_id = $1`, [dagId]);
}
