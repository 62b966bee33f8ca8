import type { Placement } from '../../src/airflow/classify.ts';
import type { Shape } from '../../src/airflow/shape.ts';
import { standingRule } from '../../src/airflow/xcom-path.ts';
import type { Figures } from '../../src/diagnosis/conclude.ts';
import { conclude, decidedOf } from '../../src/diagnosis/conclude.ts';
import type { ProblemCode } from '../../src/diagnosis/problem-catalogue.ts';
import { PROBLEMS } from '../../src/diagnosis/problem-catalogue.ts';
import { survey } from '../../src/diagnosis/survey.ts';
import { newLooks } from '../../src/diagnosis/surveyor.ts';
import type { ProbeResult } from '../../src/probe/bucket.ts';
import type { ToldSetting } from '../../src/settings/catalogue.ts';
import type { Config } from '../../src/settings/config.ts';
import { readConfig } from '../../src/settings/read-config.ts';
import { emptyState } from '../../src/window/ledger-state.ts';
import { createLedger } from '../../src/window/ledger.ts';
import { createLooks } from '../../src/window/looks.ts';
import { newRun } from '../../src/window/run.ts';
import { uuid4 } from './plant.ts';

/** Puts rows directly into a window, and judges them with the settings that a user gave. */

const NOW = Date.UTC(2026, 0, 1, 18);
const DAY = 86_400_000;
export const MIB = 1_048_576;

/** The size that Airflow measured of a value, its place, and its age in minutes (`ago`). */
export interface Written {
  readonly bytes: number;
  readonly ago: number;
  readonly queue: string;
  readonly hostname: string | null;
  readonly operator: string | null;
  readonly byServer: boolean;
  /** The suffix that fsspec adds to the name of an object that it compresses. */
  readonly suffix: string;
  /** The path that the object is under; null when the value is in the database. */
  readonly under: string | null;
}

export const BASE = 's3://aws@bucket/xcom';
const SHAPE: Shape = {
  airflow: '3.0-3.2',
  major: 3,
  tooOld: false,
  name: 'xcom-jsonb',
  sources: [{ table: 'xcom', value: 'jsonb', keyedBy: 'dag_run' }],
  mapIndexColumn: 'map_index',
  hasExecutor: true,
  keepsTries: false,
  knowsOwners: false,
  hasRunAfter: true,
  unread: [],
};

const PROBE: ProbeResult = {
  steps: (['put', 'head', 'get', 'list', 'delete'] as const).map((operation) => ({
    operation,
    ok: true,
    seconds: 0,
  })),
  leftoversDeleted: 0,
  asker: 'workers',
  othersWriteFrom: null,
  othersReachFrom: null,
  writesFailSince: null,
};

const SOMEWHERE = { queue: 'default', hostname: null, operator: null, byServer: false, suffix: '' };

export function kept(bytes: number, ago: number, queue = 'default'): Written {
  return { ...SOMEWHERE, bytes, ago, queue, under: null };
}

export function offloaded(bytes: number, ago: number, { queue = 'default', under = BASE } = {}): Written {
  return { ...SOMEWHERE, bytes, ago, queue, under };
}

export function many(count: number, written: (index: number) => Written): Written[] {
  return Array.from({ length: count }, (_, index) => written(index));
}

export const TOLD: Readonly<Record<ToldSetting, string>> = {
  'xcom.backend': 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
  'xcom.path': BASE,
  'xcom.threshold': '1000',
  'xcom.compression': '',
};

function configOf(told: Readonly<Partial<Record<ToldSetting | 'shard', string>>>): Config {
  return readConfig({
    argv: Object.entries(told).map(([name, text]) => `--${name}=${text}`),
    env: {},
    readFile: () => '',
  });
}

/** The figures for these rows with these settings. Every object was looked up and found. */
export async function judge(
  written: readonly Written[],
  told: Readonly<Partial<Record<ToldSetting | 'shard', string>>>,
): Promise<Figures> {
  const config = configOf(told);
  const state = emptyState();
  const run = newRun(state.runSlots.take(), {
    id: 1,
    dagId: 'orders',
    runId: 'r1',
    live: true,
    readAt: NOW,
    horizon: '7',
    expired: 0,
    gone: false,
    activeAt: NOW,
    listed: { at: NOW, unseen: false, orphans: 0, orphanBytes: 0 },
  });
  state.runSlots.put(run);
  state.runs.set(run.id, run);
  for (const [index, one] of written.entries()) {
    const taskId = `task_${index}`;
    const row = {
      table: 'xcom' as const,
      dagRunId: 1,
      taskInstanceId: null,
      taskId,
      mapIndex: -1,
      key: 'return_value',
      dagId: run.dagId,
      runId: run.runId,
      version: String(index),
      at: NOW - one.ago * 60_000,
      isNull: false,
      stored: one.bytes,
      bytes: one.bytes,
      leastBytes: one.bytes,
      text: null,
    };
    const placement = placementOf(one, taskId);
    const slot = state.rows.link(run, state.rows.write(run, row, { placement, baseline: false }));
    if (placement.storage === 's3') state.rows.setObject(run, slot, { object: 'present', bytes: one.bytes });
    const { queue, hostname, operator } = one;
    state.rows.setWorker(slot, { queue, executor: null, hostname, operator });
    if (one.byServer) state.rows.setServerWritten(slot);
  }
  const { oversize, threshold, paths } = config.xcom;
  const seen = await survey(
    createLedger(state),
    {
      windowMs: DAY,
      oversize,
      threshold,
      standing: standingRule(paths),
      ownersUnread: false,
    },
    newLooks(createLooks()),
  );
  return conclude(
    {
      shape: SHAPE,
      survey: seen,
      orphanGrowth: 'none',
      canary: null,
      isCanaryGone: false,
      standby: { lagSeconds: 0, doubt: null },
      ...decidedOf(seen, { now: NOW, unmeasured: 0 }),
    },
    { config, probe: config.xcom.inForce === null ? null : PROBE, at: NOW },
  );
}

function placementOf({ bytes, under, suffix }: Written, taskId: string): Placement {
  if (under === null) return { storage: 'db', bytes, leastBytes: bytes, exact: true, byDesign: null };
  const [, connection = '', bucket = '', prefix = ''] = /^s3:\/\/(?:(.*)@)?([^/]+)\/(.*)$/.exec(under) ?? [];
  const key = `${prefix}/orders/r1/${taskId}/${uuid4()}${suffix}`;
  return {
    storage: 's3',
    reference: { scheme: 's3', connection, bucket, key, prefix, suffix },
    leaked: false,
  };
}

export async function raisedOf(...args: Parameters<typeof judge>): Promise<ProblemCode[]> {
  return (await judge(...args)).problems.map(({ code }) => code);
}

export function isCritical(code: ProblemCode): boolean {
  return PROBLEMS[code].severity === 'critical';
}
