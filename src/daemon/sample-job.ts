import type { Logger } from 'pino';
import type { ClearedProblem } from '../diagnosis/cleared-problems.ts';
import { withCleared } from '../diagnosis/cleared-problems.ts';
import type { ProblemMemory } from '../diagnosis/problem-memory.ts';
import { observedAtOf, settleReport } from '../diagnosis/problem-memory.ts';
import type { Report } from '../diagnosis/report.ts';
import { COMPARED_EVERY } from '../diagnosis/surveyor.ts';
import { createBreaker } from '../lib/breaker.ts';
import { longestWait, msToTick } from '../lib/cron.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Database } from '../postgres/client.ts';
import type { Stores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import type { StoredConnections } from '../settings/stored-connections.ts';
import type { StateFile } from '../state/file.ts';
import type { State } from '../state/records.ts';
import type { JobEnd, JobObserver } from '../status/jobs.ts';
import type { CanarySeen } from './canary-watch.ts';
import type { Cycle } from './cycle.ts';
import { createCycle } from './cycle.ts';
import type { Freshness } from './freshness.ts';
import { freshMs } from './freshness.ts';
import type { Ending } from './job.ts';
import type { Leading } from './leadership.ts';
import type { Probed } from './probe-job.ts';
import { createKeeper } from './state-keeper.ts';
import type { Unshown } from './unshown.ts';
import { NOTHING_UNSHOWN, withoutCounts, withUnshown } from './unshown.ts';

/** How many rows one cycle asks the worker of, in one or two statements. The others follow in the next cycles. */
const WORKERS_A_CYCLE = 1_000;
/**
 * The longest time for which ticks are skipped after statements that took too long: ten ticks of the default schedule.
 */
const LONGEST_PAUSE_MS = 300_000;

/** The memory that the jobs with one set of settings leave to those with the next. */
export interface Handover {
  readonly state: State;
  readonly unshown: Unshown;
  /** Null: nothing was seen of a canary. */
  readonly canarySeen: CanarySeen | null;
}

export interface SampleJob {
  run(signal: AbortSignal): Promise<Ending>;
  report(): Report | null;
  /** The problems that were cleared lately, the latest first. */
  cleared(): readonly ClearedProblem[];
  /** How many requests the last cycle sent to S3; null: no cycle yet. */
  sent(): number | null;
  /** The memory for the next engine; null: there is none. */
  handover(): Handover | null;
  /** Hides the figures: an exporter that stands by has nothing to show. */
  hide(): void;
  /** Forgets the memory. Another exporter counts meanwhile, and this one must not count the same rows again later. */
  forget(): void;
  /** Goes on from the state file if the former leader wrote it. Otherwise an exporter that stood by starts anew. */
  goOn(): Promise<void>;
}

export function createSampleJob(parts: {
  readonly config: Config;
  readonly database: Database;
  readonly stores: Stores;
  readonly stored: StoredConnections;
  readonly before: Handover | null;
  readonly stateFile: StateFile | null;
  readonly metrics: Metrics;
  readonly jobs: JobObserver;
  readonly freshness: Freshness;
  readonly probed: () => Probed;
  /** Whether this exporter still leads. Asked after the reading, because another may have counted the same rows. */
  readonly leads: (signal: AbortSignal) => Promise<Leading>;
  /** Called at the end of every cycle. */
  readonly sampled: (report: Report) => void;
  readonly log: Logger;
}): SampleJob {
  const { config, database, stores, metrics, jobs, freshness, log } = parts;
  const { sampleSchedule } = config;
  const breaker = createBreaker({
    most: () => Math.max(1, Math.floor((10 * LONGEST_PAUSE_MS) / msToTick(sampleSchedule, 10))),
  });
  const keepState = createKeeper({
    file: parts.stateFile,
    finished: (end) => {
      jobs.finished('state', end);
    },
    isLed: config.ha === 'lock',
    cyclesApartMs: () => LONGEST_PAUSE_MS + 2 * longestWait(sampleSchedule),
    log,
  });
  let { cycle, problems, cleared, unshown } = startFrom(parts.before);
  let remembers = parts.before !== null;
  /** When the database was last read, epoch ms. */
  let readAt = 0;
  let report: Report | null = null;
  let sent: number | null = null;
  const state = (): State => ({ window: cycle.state(), problems, cleared });

  function startFrom(before: Handover | null): {
    cycle: Cycle;
    problems: ProblemMemory;
    cleared: readonly ClearedProblem[];
    unshown: Unshown;
  } {
    const { window = null, problems: raised = {}, cleared: ended = [] } = before?.state ?? {};
    return {
      cycle: createCycle({
        config,
        database,
        stores,
        stored: parts.stored,
        restored: window,
        canarySeen: before?.canarySeen ?? null,
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
      problems: raised,
      cleared: ended,
      unshown: before?.unshown ?? NOTHING_UNSHOWN,
    };
  }

  /**
   * Problems are raised on evidence and cleared on evidence of health, so that they do not come and go with each cycle.
   */
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

  async function goOn(): Promise<void> {
    const found = await keepState.found({ remembered: remembers });
    if (found === undefined) return;
    const before =
      found === null ? null : { state: found, unshown: NOTHING_UNSHOWN, canarySeen: cycle.canarySeen() };
    ({ cycle, problems, cleared, unshown } = startFrom(before));
    remembers = found !== null;
  }

  /** Asking again is cheap when a server is away or a lock is held; a long statement is not. */
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
    handover: () => (remembers ? { state: state(), unshown, canarySeen: cycle.canarySeen() } : null),

    hide() {
      report = null;
      metrics.markStale();
    },

    forget() {
      if (remembers) ({ cycle, problems, cleared, unshown } = startFrom(null));
      remembers = false;
      freshness.forget();
    },

    goOn,

    async run(signal) {
      if (!breaker.turn()) {
        jobs.skipped('sample');
        return 'idle';
      }
      remembers = true;
      const before = { sent: stores.sent(), raised: Object.keys(problems).join(), cleared };
      const { result: probe, store } = parts.probed();
      const found = withUnshown(await cycle.run(probe, signal, store), unshown);
      unshown = { increments: found.increments, refusals: found.canary.refusals };
      // The counts wait for the next engine. At the end of the process the next one counts them, from the last file.
      if (signal.aborted) return 'idle';
      const { leads, failure } = await parts.leads(signal);
      if (!leads) return failure;
      const result = settled(found);
      // The next cycle may take as long: figures of cycles longer than their interval must not come and go.
      if (result.databaseFailure === null)
        freshness.renew(freshMs(sampleSchedule) + result.durationSeconds * 1000);
      const publish = () => {
        metrics.publishReport(result, freshness.isStale());
        unshown = NOTHING_UNSHOWN;
      };
      // A count is shown only once it is in the file: after a SIGKILL in between it would be counted again.
      const isNews =
        result.increments.length > 0 ||
        Object.keys(problems).join() !== before.raised ||
        cleared !== before.cleared;
      const isSaved = await keepState.save(state(), { isNews, publish });
      report = isSaved ? result : withoutCounts(result);
      if (!isSaved) {
        await goOn();
        metrics.publishReport(report, freshness.isStale());
      }
      sent = stores.sent() - before.sent;
      parts.sampled(report);
      metrics.setUp('database', result.databaseFailure === null);
      if (result.s3Answered || result.s3Failure !== null)
        metrics.setUp('s3', sent === 0 ? null : result.s3Answered);
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
