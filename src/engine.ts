import type { Logger } from 'pino';
import { openDatabase } from './clients/postgres.ts';
import { requireDatabase } from './config.ts';
import type { Config } from './config.ts';
import { createCycle } from './cycle.ts';
import type { Cycle } from './cycle.ts';
import { observedAtOf, settleReport } from './hysteresis.ts';
import type { createJobs, JobEnd } from './jobs.ts';
import { createLeadership } from './leadership.ts';
import type { LedgerState } from './ledger.ts';
import { createBreaker } from './lib/breaker.ts';
import type { Metrics } from './metrics.ts';
import { probeDatabase } from './probe-database.ts';
import { probeInForce } from './probe-in-force.ts';
import type { ProbeResult } from './probe.ts';
import type { Report } from './report.ts';
import { intervalOf, startSchedule } from './schedule.ts';
import type { Schedule } from './schedule.ts';
import { lockNumber } from './shard.ts';
import { openStores } from './stores.ts';
import { createKeeper } from './state-keeper.ts';
import type { StateFile } from './state-file.ts';
import type { JobName } from './status.ts';

/** After so many intervals without a reading the figures are no longer shown as those of now. */
const STALE_INTERVALS = 3;
/** No longer than this are ticks left out after statements that took too long: ten of the default schedule. */
const LONGEST_PAUSE_MS = 300_000;

type Jobs = ReturnType<typeof createJobs>;
/** Why a run of a job failed, or null. `idle`: there was nothing to do, so it was no run. */
type Ending = JobEnd['failure'] | 'idle';

/** What remembers for the plots of the page. */
export interface Past {
  readonly cycle: (report: Report) => void;
  /** `at`: epoch ms. */
  readonly probe: (result: ProbeResult, at: number) => void;
}

/** What runs on one set of settings. */
export interface Engine {
  readonly config: Config;
  report(): Report | null;
  probe(): ProbeResult | null;
  /** What the last cycle sent to S3, of how many requests it might; null: no cycle yet. */
  requests(): { readonly sent: number; readonly ceiling: number } | null;
  stale(): boolean;
  leader(): boolean;
  /** Gives what the next one has to remember. */
  stop(): Promise<LedgerState | null>;
}

/** Opens nothing until the first run of a job, which is at once. */
export function startEngine(parts: {
  config: Config;
  state: LedgerState | null;
  stateFile: StateFile | null;
  metrics: Metrics;
  jobs: Jobs;
  /** Told of every cycle and every probe of the bucket that ends. */
  past: Past;
  log: Logger;
}): Engine {
  const { config, metrics, jobs, past, log } = parts;
  const database = openDatabase(requireDatabase(config), { lock: lockNumber(config.shard) });
  const stores = openStores(config, {
    observer: {
      request: (operation) => {
        metrics.s3Request(operation);
      },
      failure: (operation, reason) => {
        metrics.s3Failure(operation, reason);
      },
    },
    log,
  });
  const keepState = createKeeper({
    file: parts.stateFile,
    finished: (end) => {
      jobs.finished('state', end);
    },
    log,
  });
  let cycle = newCycle(parts.state);
  let remembers = parts.state !== null;
  /** When something was looked at last, epoch ms. */
  const lookedAt = { probe: 0, rows: 0 };
  let report: Report | null = null;
  let probed: ProbeResult | null = null;
  let sent: number | null = null;
  let leader = config.ha === 'off';
  metrics.setLeader(leader);
  const intervalMs = intervalOf(config.sampleSchedule);
  const staleMs = STALE_INTERVALS * intervalMs;
  const breaker = createBreaker({ most: Math.max(1, Math.floor(LONGEST_PAUSE_MS / intervalMs)) });
  const askForRole = createLeadership({ database, log });
  let freshUntil = 0;
  let staleTimer: NodeJS.Timeout | undefined;
  const stale = () => performance.now() > freshUntil;
  keepFresh(staleMs);

  /** On a clock that nobody sets, and its own: a cycle that hangs or breaks off must not keep old figures alive. */
  function keepFresh(ms: number): void {
    freshUntil = performance.now() + ms;
    clearTimeout(staleTimer);
    staleTimer = setTimeout(() => {
      metrics.markStale();
    }, ms).unref();
  }

  function newCycle(restored: LedgerState | null): Cycle {
    return createCycle({
      config,
      database,
      stores,
      restored,
      random: Math.random,
      clock: Date.now,
    });
  }

  /** Without the connection nobody knows who leads: then nobody goes on. */
  async function askToLead(signal: AbortSignal): Promise<JobEnd['failure']> {
    const { role, failure } = await askForRole(signal);
    if (signal.aborted) return null;
    // Another one counts meanwhile: what it has counted is not to be counted here as well, later. Also when the
    // lock was lost some ticks ago, or what is remembered comes from a state file.
    if (role === 'stands by' && remembers) {
      cycle = newCycle(null);
      remembers = false;
    }
    if (!leader && role === 'leads') await goOn();
    leader = role === 'leads';
    metrics.setLeader(leader);
    metrics.setUp('database', failure === null);
    if (!leader) {
      report = probed = null;
      metrics.markStale();
      metrics.publishProbe({ steps: [], leftoversDeleted: 0 }, null, Date.now());
    }
    return failure;
  }

  /** The one that led before may have counted on, in a file that both can see. */
  async function goOn(): Promise<void> {
    const found = await keepState.found({ remembered: remembers });
    if (found === undefined) return;
    cycle = newCycle(found);
    remembers = found !== null;
  }

  async function runSample(signal: AbortSignal): Promise<Ending> {
    // Also while ticks are left out: another one may have taken the lock.
    if (config.ha === 'lock') {
      const failure = await askToLead(signal);
      if (!leader) return failure;
    }
    if (!breaker.turn()) {
      jobs.skipped('sample');
      return 'idle';
    }
    remembers = true;
    const before = stores.sent();
    const result = settled(await cycle.run(probed, signal));
    // The next one may take as long: figures of a cycle longer than its interval must not come and go.
    if (result.databaseFailure === null) keepFresh(staleMs + result.durationSeconds * 1000);
    // Also of a run that was broken off: the ledger has what it counted, and will not give it again.
    const publish = () => {
      metrics.publishReport(result, stale());
    };
    if (signal.aborted) {
      publish();
      return 'idle';
    }
    // What is shown as counted is in the file: a SIGKILL in between would count it again.
    await keepState.save(cycle.snapshot(), { counted: result.increments.length > 0, publish });
    report = result;
    sent = stores.sent() - before;
    past.cycle(result);
    metrics.setUp('database', result.databaseFailure === null);
    if (result.s3Answered || result.s3Failure !== null) metrics.setUp('s3', result.s3Answered);
    logCycle(log, result);
    spareDatabase(result.databaseFailure);
    return result.databaseFailure;
  }

  /** Raised on evidence, cleared on evidence of health: what is shown must not come and go with each cycle. */
  function settled(found: Report): Report {
    if (found.databaseFailure === null) lookedAt.rows = found.at;
    const state = cycle.snapshot();
    const { report: shown, memory } = settleReport(state.problems, found, {
      now: found.at,
      windowMs: config.windowMs,
      observedAt: observedAtOf({ settings: found.at, ...lookedAt }),
    });
    state.problems = memory;
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

  async function runProbe(signal: AbortSignal): Promise<Ending> {
    if (!leader) return 'idle';
    const asked = await probeDatabase(database, signal);
    const probing = await probeInForce(config, { stores, signal });
    const result = probing ?? { steps: [], leftoversDeleted: 0 };
    // What stands by by now has nothing to show.
    if (signal.aborted || !isLeader()) return 'idle';
    probed = probing;
    if (probing !== null) past.probe(probing, Date.now());
    lookedAt.probe = Date.now();
    const [failed] = result.steps.filter((step) => step.ok === false);
    if (result.steps.length > 0)
      metrics.setUp(
        's3',
        result.steps.some((step) => step.ok === true),
      );
    metrics.publishProbe(result, asked, Date.now());
    const words = { probe: result.steps.map((step) => `${step.operation}=${String(step.ok)}`).join(' ') };
    if (failed === undefined) log.debug(words, 'probe');
    else log.warn({ ...words, reason: failed.reason, detail: failed.detail }, 'the probe failed');
    return failed === undefined
      ? null
      : { reason: failed.reason, detail: `${failed.operation}: ${failed.detail}` };
  }

  const isLeader = () => leader;

  function start(name: JobName, expression: string, run: (signal: AbortSignal) => Promise<Ending>): Schedule {
    return startSchedule(
      {
        name,
        expression,
        run: async (signal) => {
          const before = performance.now();
          let ending: Ending = { reason: 'internal', detail: 'see the log of the exporter' };
          try {
            ending = await run(signal);
          } finally {
            const seconds = (performance.now() - before) / 1000;
            if (!signal.aborted && ending !== 'idle')
              jobs.finished(name, { seconds, failure: ending, at: Date.now() });
          }
        },
      },
      {
        log,
        skipped: () => {
          jobs.skipped(name);
        },
      },
    );
  }

  const schedules = [
    start('probe', config.probe.schedule, runProbe),
    start('sample', config.sampleSchedule, runSample),
  ];

  return {
    config,
    report: () => report,
    probe: () => probed,
    requests: () => (sent === null ? null : { sent, ceiling: config.s3.requestsPerCycle }),
    stale,
    leader: () => leader,
    async stop() {
      await Promise.all(schedules.map((schedule) => schedule.stop()));
      clearTimeout(staleTimer);
      stores.close();
      await database.close();
      return remembers ? cycle.snapshot() : null;
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
