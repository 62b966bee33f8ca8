import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ProblemCode } from '../diagnosis/problem-catalogue.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { DagRun } from './dag-run.ts';
import { QUEUES } from './dags.ts';
import type { Workload } from './workload.ts';

/** The parts of the demo that an act may change. */
export interface Stage {
  readonly workload: Workload;
  /** The bucket, reached without Airflow and without the faults. */
  readonly bucket: { readonly objects: ObjectStore; readonly name: string };
  /** While denied, every PUT to the bucket gets 403 AccessDenied. */
  readonly denyWrites: (denied: boolean) => void;
  /** Gives the exporter another `xcom.threshold`. Rejects when the exporter refuses it. */
  readonly setExporterThreshold: (bytes: number) => Promise<void>;
  /** Changes the settings of workers and exporter together, so that no canary reports half of the change. */
  readonly withoutCanary: (change: () => Promise<void>) => Promise<void>;
  /** The threshold of a healthy worker, in bytes. */
  readonly threshold: number;
  /** How long a cleared run stays running: longer than the exporter's sampling interval. */
  readonly holdSeconds: number;
}

type Harmed = (run: DagRun) => boolean;

export interface Act {
  readonly title: string;
  /** The problem that the exporter has to report during the act; null: none. */
  readonly problem: ProblemCode | null;
  /** Goes on until the signal aborts; resolves with a test for the runs that it harmed. */
  readonly play: (stage: Stage, signal: AbortSignal) => Promise<Harmed>;
  /** Does what an operator would do. */
  readonly cure: (stage: Stage, harmed: Harmed) => Promise<void>;
}

const never = -1;
/** Share of an act before its cure; the rest shows that the problem goes away. */
const troubleShare = 0.6;
const cleanUpPauseMs = 200;
const inFlightMs = 300;

const ACTS: readonly Act[] = [
  {
    title: 'Healthy: large values go to the bucket, small ones stay in the database',
    problem: null,
    play: () => Promise.resolve(() => false),
    cure: () => Promise.resolve(),
  },
  {
    title: 'The threshold is lost: every value stays in the database',
    problem: 'threshold_disabled',
    play: async ({ workload, setExporterThreshold, withoutCanary, threshold }) => {
      await withoutCanary(async () => {
        for (const queue of QUEUES) workload.setThreshold(queue, never);
        await setExporterThreshold(never);
      });
      return holdsOversize(threshold);
    },
    cure: (stage, harmed) =>
      stage.withoutCanary(async () => {
        for (const queue of QUEUES) stage.workload.setThreshold(queue, stage.threshold);
        await clear(stage, harmed);
        await stage.setExporterThreshold(stage.threshold);
      }),
  },
  {
    title: 'The workers of queue legacy lack the backend: their large values stay in the database',
    problem: 'worker_bypass',
    play: ({ workload, threshold }) => {
      workload.setThreshold('legacy', never);
      return Promise.resolve(holdsOversize(threshold));
    },
    cure: async (stage, harmed) => {
      stage.workload.setThreshold('legacy', stage.threshold);
      await clear(stage, harmed);
    },
  },
  {
    title:
      'The workers of queue nightly, on which no task runs, have lost the threshold: their canary says so',
    problem: 'worker_settings_differ',
    play: ({ workload }) => {
      workload.setThreshold('nightly', never);
      return Promise.resolve(() => false);
    },
    cure: ({ workload, threshold }) => {
      workload.setThreshold('nightly', threshold);
      return Promise.resolve();
    },
  },
  {
    title: 'A clean-up job deletes objects of daily_sales that rows still refer to',
    problem: 'objects_missing',
    play: deleteObjects,
    cure: clear,
  },
  {
    title: 'A bucket policy denies writes: tasks with large values fail',
    problem: 'write_denied',
    play: ({ denyWrites }) => {
      denyWrites(true);
      return Promise.resolve((run) => run.hasFailed());
    },
    cure: async (stage, harmed) => {
      stage.denyWrites(false);
      await clear(stage, harmed);
    },
  },
];

export interface PlayOptions {
  readonly actSeconds: number;
  /** True: each act once; false: for ever. */
  readonly once: boolean;
  /** Ends the play, without the cure of the current act. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Receives the current act, in words for the status page. */
  readonly onAct: (text: string) => void;
}

/** Plays the acts, each with its cure. Resolves when the last is over or the signal has aborted. */
export async function playActs(stage: Stage, options: PlayOptions): Promise<void> {
  try {
    do {
      for (const [index, act] of ACTS.entries()) await playAct(stage, { ...options, act, number: index + 1 });
    } while (!options.once);
  } catch (error) {
    if (!options.signal.aborted) throw error;
  }
}

async function playAct(stage: Stage, options: PlayOptions & { act: Act; number: number }): Promise<void> {
  const { act, number, actSeconds, signal, log, onAct } = options;
  const name = `Act ${number} of ${ACTS.length}`;
  log.info({ act: number, problem: act.problem }, `${name}: ${act.title}`);
  onAct(`${name}: ${act.title}`);

  const end = new AbortController();
  const playing = act.play(stage, AbortSignal.any([signal, end.signal]));
  // A failure is handled below, where the promise is awaited.
  playing.catch(() => undefined);
  try {
    await delay(actSeconds * troubleShare * 1_000, undefined, { signal });
  } finally {
    end.abort();
  }
  await act.cure(stage, await playing);
  if (act.problem !== null) onAct(`${name}, cured: ${act.title}`);
  await delay(actSeconds * (1 - troubleShare) * 1_000, undefined, { signal });
}

function holdsOversize(threshold: number): Harmed {
  return (run) => run.written().some(({ objectKey, bytes }) => objectKey === null && bytes >= threshold);
}

/** Clears twice: the second pass finds what a task was about to write during the first. */
async function clear({ workload, holdSeconds }: Stage, harmed: Harmed): Promise<void> {
  await workload.clear(harmed, { holdSeconds });
  await delay(inFlightMs);
  await workload.clear(harmed, { holdSeconds });
}

/** Deletes the objects of the latest runs, running ones included, as they appear. */
async function deleteObjects({ workload, bucket }: Stage, signal: AbortSignal): Promise<Harmed> {
  const deleted = new Set<string>();
  while (!signal.aborted) {
    const runs = workload.runs().filter(({ dagId }) => dagId === 'daily_sales');
    for (const { objectKey } of runs.slice(-3).flatMap((run) => run.written())) {
      if (objectKey === null || deleted.has(objectKey)) continue;
      deleted.add(objectKey);
      await bucket.objects.delete({ bucket: bucket.name, key: objectKey }, signal);
    }
    await delay(cleanUpPauseMs, undefined, { signal }).catch(() => undefined);
  }
  return (run) => run.written().some(({ objectKey }) => objectKey !== null && deleted.has(objectKey));
}
