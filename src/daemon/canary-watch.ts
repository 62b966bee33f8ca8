import type { Shape } from '../airflow/shape.ts';
import { hasRun, latestRuns, readCanary } from '../sample/canary.ts';
import type { CanaryMemory } from '../canary/memory.ts';
import { NO_CANARY, noteTasks } from '../canary/memory.ts';
import type { Refusal } from '../canary/report.ts';
import { MOST_REPORT_BYTES } from '../canary/report.ts';
import type { ToldSettings } from '../canary/settings.ts';
import type { CanaryVerdict } from '../canary/verdict.ts';
import { judgeCanary } from '../canary/verdict.ts';
import type { Query } from '../postgres/client.ts';
import type { Config } from '../settings/config.ts';
import type { FoundRun } from '../window/run.ts';

/** The cycles' memory of the canary. */
export interface CanaryWatch {
  /** Reads the results of the runs found now and of the latest runs before. `now`: epoch ms. */
  look(query: Query, found: { shape: Shape; runs: readonly FoundRun[]; now: number }): Promise<void>;
  /** The verdict at the last look; null: no canary has been seen. */
  verdict(): CanaryVerdict | null;
  /** Whether the last look found that there is no canary: no setting names it, or no run of it is left. */
  isGone(): boolean;
  /** How many reports were refused since the last call, by reason. */
  takeRefusals(): ReadonlyMap<Refusal, number>;
  /** Lets the next watch count no refused report again. */
  seen(): CanarySeen;
}

/** The runs of one canary that were read, and the versions of their reports that were counted as refused. */
export interface CanarySeen {
  readonly dagId: string;
  readonly runIds: readonly number[];
  readonly refused: CanaryMemory['refused'];
}

/** `before`: what the watch with the former settings had seen; null: there was none. */
export function createCanaryWatch(
  config: Pick<Config, 'xcom' | 'canaryDagId'>,
  before: CanarySeen | null,
): CanaryWatch {
  const told = toldSettings(config);
  const seen = before?.dagId === config.canaryDagId ? before : null;
  let runIds: readonly number[] = seen?.runIds ?? [];
  let isGone = config.canaryDagId === '';
  let memory: CanaryMemory = seen === null ? NO_CANARY : { ...NO_CANARY, refused: seen.refused };
  let verdict: CanaryVerdict | null = null;
  let refused = new Map<Refusal, number>();
  return {
    async look(query, { shape, runs, now }) {
      const latest = latestRuns(runIds, runs);
      const { canaryDagId: dagId } = config;
      const tasks = await readCanary(query, shape, { dagId, runIds: latest, mostBytes: MOST_REPORT_BYTES });
      // Runs that have no tasks here were deleted, or belong to another database.
      const there = new Set(tasks.map(({ dagRunId }) => dagRunId));
      runIds = latest.filter((id) => there.has(id) || runs.some((run) => run.id === id));
      // A DAG that has none gets one that is found, so it is not asked for again.
      isGone = runIds.length === 0 && (isGone || !(await hasRun(query, dagId)));
      if (isGone) memory = NO_CANARY;
      const noted = noteTasks(memory, tasks, { now });
      memory = noted.memory;
      for (const [reason, count] of noted.refusals) refused.set(reason, (refused.get(reason) ?? 0) + count);
      verdict = judgeCanary(memory, { now, told });
    },
    verdict: () => verdict,
    isGone: () => isGone,
    takeRefusals() {
      const taken = refused;
      refused = new Map();
      return taken;
    },
    seen: () => ({ dagId: config.canaryDagId, runIds, refused: memory.refused }),
  };
}

/** The settings as configured; null stands for a setting that nobody configured. */
function toldSettings({ xcom }: Pick<Config, 'xcom'>): ToldSettings {
  const { backend, paths, threshold } = xcom;
  return { backend, paths: paths === null ? null : paths.map(({ raw }) => raw), threshold };
}
