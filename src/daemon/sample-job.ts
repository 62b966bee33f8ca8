import type { Logger } from 'pino';
import type { ClearedProblem } from '../diagnosis/cleared-problems.ts';
import { withCleared } from '../diagnosis/cleared-problems.ts';
import type { ProblemMemory } from '../diagnosis/problem-memory.ts';
import { observedAtOf, settleReport } from '../diagnosis/problem-memory.ts';
import type { Report } from '../diagnosis/report.ts';
import { COMPARED_EVERY } from '../diagnosis/surveyor.ts';
import { createBreaker } from '../lib/breaker.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Database } from '../postgres/client.ts';
import type { Stores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import type { StoredConnections } from '../settings/stored-connections.ts';
import type { StateFile } from '../state/file.ts';
import type { State } from '../state/records.ts';
import type { JobEnd, JobObserver } from '../status/jobs.ts';
import type { Cycle } from './cycle.ts';
import { createCycle } from './cycle.ts';
import type { Freshness } from './freshness.ts';
import type { Ending } from './job.ts';
import type { Probed } from './probe-job.ts';
import { createKeeper } from './state-keeper.ts';

/** Whose rows are asked about in one cycle: a statement or two. The others follow in the next ones. */
const WORKERS_A_CYCLE = 1_000;
/** No longer than this are ticks left out after statements that took too long: ten of the default schedule. */
const LONGEST_PAUSE_MS = 300_000;

export interface SampleJob {
  run(signal: AbortSignal): Promise<Ending>;
  report(): Report | null;
  /** The problems that were cleared lately, the latest first. */
  cleared(): readonly ClearedProblem[];
  /** The requests that the last cycle sent to S3; null: no cycle yet. */
  sent(): number | null;
  /** The state that the next one goes on with; null: there is none. */
  state(): State | null;
  /** An exporter that stands by has nothing to show. */
  hide(): void;
  /** Another exporter counts meanwhile: what it has counted is not to be counted here as well, later. */
  forget(): void;
  /** The one that led before may have counted on, in a file that both can see. */
  goOn(): Promise<void>;
}

export function createSampleJob(parts: {
  readonly config: Config;
  readonly database: Database;
  readonly stores: Stores;
  readonly stored: StoredConnections;
  readonly state: State | null;
  readonly stateFile: StateFile | null;
  readonly metrics: Metrics;
  readonly jobs: JobObserver;
  readonly freshness: Freshness;
  readonly intervalMs: number;
  readonly probed: () => Probed;
  /** Told of every cycle that ends. */
  readonly sampled: (report: Report) => void;
  readonly log: Logger;
}): SampleJob {
  const { config, database, stores, metrics, jobs, freshness, log } = parts;
  const breaker = createBreaker({ most: Math.max(1, Math.floor(LONGEST_PAUSE_MS / parts.intervalMs)) });
  const keepState = createKeeper({
    file: parts.stateFile,
    finished: (end) => {
      jobs.finished('state', end);
    },
    log,
  });
  let { cycle, problems, cleared } = startFrom(parts.state);
  let remembers = parts.state !== null;
  /** When the database was read last, epoch ms. */
  let readAt = 0;
  let report: Report | null = null;
  let sent: number | null = null;
  const state = (): State => ({ window: cycle.state(), problems, cleared });

  function startFrom(restored: State | null): {
    cycle: Cycle;
    problems: ProblemMemory;
    cleared: readonly ClearedProblem[];
  } {
    return {
      cycle: createCycle({
        config,
        database,
        stores,
        stored: parts.stored,
        restored: restored?.window ?? null,
        workersACycle: WORKERS_A_CYCLE,
        random: Math.random,
        clock: Date.now,
        comparison: {
          every: COMPARED_EVERY,
          differs: (message) => {
            log.error(message);
          },
        },
      }),
      problems: restored?.problems ?? {},
      cleared: restored?.cleared ?? [],
    };
  }

  /** Raised on evidence, cleared on evidence of health: what is shown must not come and go with each cycle. */
  function settled(found: Report): Report {
    if (found.databaseFailure === null) readAt = found.at;
    const options = {
      now: found.at,
      windowMs: config.windowMs,
      observedAt: observedAtOf({ settings: found.at, probe: parts.probed().at, database: readAt }),
    };
    const { report: shown, memory } = settleReport(problems, found, options);
    cleared = withCleared(cleared, { before: problems, after: memory, found: found.states, options });
    problems = memory;
    return shown;
  }

  /** To ask again a server that is away, or for a lock, costs nobody anything; a long statement does. */
  function spareDatabase(failure: JobEnd['failure']): void {
    if (failure?.reason === 'statement_timeout')
      log.warn(
        { ticks: breaker.trip() },
        'a statement took too long: ticks are left out to spare the database',
      );
    else if (failure === null && breaker.reset())
      log.info('the database answers in time again: no tick is left out any more');
  }

  return {
    report: () => report,
    cleared: () => cleared,
    sent: () => sent,
    state: () => (remembers ? state() : null),

    hide() {
      report = null;
      metrics.markStale();
    },

    forget() {
      if (remembers) ({ cycle, problems, cleared } = startFrom(null));
      remembers = false;
    },

    async goOn() {
      const found = await keepState.found({ remembered: remembers });
      if (found === undefined) return;
      ({ cycle, problems, cleared } = startFrom(found));
      remembers = found !== null;
    },

    async run(signal) {
      if (!breaker.turn()) {
        jobs.skipped('sample');
        return 'idle';
      }
      remembers = true;
      const before = { sent: stores.sent(), raised: Object.keys(problems).join(), cleared };
      const result = settled(await cycle.run(parts.probed().result, signal));
      // The next one may take as long: figures of a cycle longer than its interval must not come and go.
      if (result.databaseFailure === null) freshness.renew(result.durationSeconds * 1000);
      // Also of a run that was broken off: the ledger has what it counted, and will not give it again.
      const publish = () => {
        metrics.publishReport(result, freshness.isStale());
      };
      if (signal.aborted) {
        publish();
        return 'idle';
      }
      // A count is shown once it is in the file: a SIGKILL in between would count it again.
      const isNews =
        result.increments.length > 0 ||
        Object.keys(problems).join() !== before.raised ||
        cleared !== before.cleared;
      await keepState.save(state(), { isNews, publish });
      report = result;
      sent = stores.sent() - before.sent;
      parts.sampled(result);
      metrics.setUp('database', result.databaseFailure === null);
      if (result.s3Answered || result.s3Failure !== null) metrics.setUp('s3', result.s3Answered);
      logCycle(log, result);
      spareDatabase(result.databaseFailure);
      return result.databaseFailure;
    },
  };
}

function logCycle(log: Logger, report: Report): void {
  const { databaseFailure, s3Failure, window, problems } = report;
  const line = {
    seconds: report.durationSeconds,
    rows: window?.rows ?? null,
    problems: problems.map(({ code }) => code),
    coverage: report.coverage,
    ...(databaseFailure === null ? {} : { database: databaseFailure.detail }),
    ...(s3Failure === null ? {} : { s3: `${s3Failure.reason} (${s3Failure.detail})` }),
  };
  if (databaseFailure !== null) log.warn(line, 'cycle: the database could not be read');
  else log.info(line, 'cycle');
}
