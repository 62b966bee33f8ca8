import type { Shape } from '../airflow/shape.ts';
import { latestRuns, readCanary } from '../sample/canary.ts';
import { NO_CANARY, noteTasks } from '../canary/memory.ts';
import type { Refusal } from '../canary/report.ts';
import { MOST_REPORT_BYTES } from '../canary/report.ts';
import type { ToldSettings } from '../canary/settings.ts';
import type { CanaryVerdict } from '../canary/verdict.ts';
import { judgeCanary } from '../canary/verdict.ts';
import type { Query } from '../postgres/client.ts';
import type { Config } from '../settings/config.ts';
import type { FoundRun } from '../window/run.ts';

/** What the cycles remember of the canary. */
export interface CanaryWatch {
  /** Reads what its runs have left: those found now, and the latest of those before. `now`: epoch ms. */
  look(query: Query, found: { shape: Shape; runs: readonly FoundRun[]; now: number }): Promise<void>;
  /** As of the last look; null: no canary has been seen. */
  verdict(): CanaryVerdict | null;
  /** Reports that were refused since this was asked last. */
  takeRefusals(): ReadonlyMap<Refusal, number>;
}

export function createCanaryWatch(config: Pick<Config, 'xcom' | 'origins'>): CanaryWatch {
  const told = toldSettings(config);
  let runIds: readonly number[] = [];
  let memory = NO_CANARY;
  let verdict: CanaryVerdict | null = null;
  let refused = new Map<Refusal, number>();
  return {
    async look(query, { shape, runs, now }) {
      const latest = latestRuns(runIds, runs);
      const tasks = await readCanary(query, shape, { runIds: latest, mostBytes: MOST_REPORT_BYTES });
      // Runs that were deleted, or are of another database.
      const there = new Set(tasks.map(({ dagRunId }) => dagRunId));
      runIds = latest.filter((id) => there.has(id) || runs.some((run) => run.id === id));
      const noted = noteTasks(memory, tasks, { now });
      memory = noted.memory;
      for (const [reason, count] of noted.refusals) refused.set(reason, (refused.get(reason) ?? 0) + count);
      verdict = judgeCanary(memory, { now, told });
    },
    verdict: () => verdict,
    takeRefusals() {
      const taken = refused;
      refused = new Map();
      return taken;
    },
  };
}

/** The settings that were told; null stands for what nobody told. */
function toldSettings({ xcom }: Pick<Config, 'xcom'>): ToldSettings {
  const { backend, paths, threshold } = xcom;
  return { backend, paths: paths === null ? null : paths.map(({ raw }) => raw), threshold };
}
