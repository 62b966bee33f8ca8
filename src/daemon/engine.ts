import type { Logger } from 'pino';
import { SHAPE_TABLES } from '../airflow/shape.ts';
import type { ClearedProblem } from '../diagnosis/cleared-problems.ts';
import type { Report } from '../diagnosis/report.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { openDatabase } from '../postgres/client.ts';
import type { ProbeResult } from '../probe/bucket.ts';
import type { SeenListing } from '../probe/server-ways.ts';
import { openStores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import { requireDatabase } from '../settings/config.ts';
import { lockNumber } from '../settings/shard.ts';
import { createStoredConnections } from '../settings/stored-connections.ts';
import type { StateFile } from '../state/file.ts';
import type { JobObserver } from '../status/jobs.ts';
import { watchAudit } from './audit-watch.ts';
import type { Freshness } from './freshness.ts';
import { freshMs } from './freshness.ts';
import type { Ending } from './job.ts';
import { startJob } from './job.ts';
import type { Leading } from './leadership.ts';
import { createLeadership } from './leadership.ts';
import { createProbeJob } from './probe-job.ts';
import type { Handover } from './sample-job.ts';
import { createSampleJob } from './sample-job.ts';

/** How soon one that stands by asks for the lock again, if no tick comes before: as often as by the default schedule. */
const ASK_AGAIN_MS = 30_000;

/** Remembers cycles and probes for the plots of the page. */
export interface Past {
  readonly cycle: (report: Report) => void;
  /** `at`: epoch ms. */
  readonly probe: (result: ProbeResult, at: number) => void;
}

/** The jobs that run on one set of settings. */
export interface Engine {
  readonly config: Config;
  /** The warnings about the settings, and about connections that were read in the database. */
  warnings(): readonly string[];
  report(): Report | null;
  /** The problems that were cleared lately, the latest first. */
  cleared(): readonly ClearedProblem[];
  probe(): ProbeResult | null;
  /** How the server lists the bucket; null: not known. */
  listing(): SeenListing | null;
  /** Seconds by which the storage's clock is ahead; 0: less than a minute off. Null: not known. */
  clockSkewSeconds(): number | null;
  /** How many requests the last cycle sent to S3, and how many it was allowed to send; null: no cycle yet. */
  requests(): { readonly sent: number; readonly ceiling: number } | null;
  leader(): boolean;
  /** Stops the jobs and returns the memory for the next engine. */
  stop(): Promise<Handover | null>;
}

/** Opens nothing before the first run of a job, which starts at once. */
export function startEngine(parts: {
  config: Config;
  /** The memory of the last engine, or of the state file; null: there is none. */
  before: Handover | null;
  stateFile: StateFile | null;
  metrics: Metrics;
  freshness: Freshness;
  jobs: JobObserver;
  /** Called at the end of every cycle and of every probe of the bucket. */
  past: Past;
  log: Logger;
}): Engine {
  const { config, metrics, jobs, freshness, past, log } = parts;
  const database = openDatabase(requireDatabase(config), {
    lock: lockNumber(config.shard),
    tables: SHAPE_TABLES,
  });
  const stores = openStores(config.s3, {
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
  const stored = createStoredConnections(config, { database, clock: () => performance.now() });
  const warned = new Set<string>(config.warnings);
  const learn = async (signal: AbortSignal) => {
    stores.learn(await stored.read(signal));
    for (const warning of stored.warnings().filter((one) => !warned.has(one))) {
      warned.add(warning);
      log.warn(warning);
    }
  };
  const askForRole = createLeadership({ database, log });
  let leader = config.ha === 'off';
  metrics.setLeader(leader);
  const audits = watchAudit({ stateFile: config.stateFile, metrics, log });
  const probe = createProbeJob({
    config,
    database,
    stores,
    metrics,
    leads: () => leader,
    probed: past.probe,
    log,
  });
  const samples = createSampleJob({
    config,
    database,
    stores,
    stored,
    before: parts.before,
    stateFile: parts.stateFile,
    metrics,
    jobs,
    freshness,
    probed: () => probe.latest(),
    leads,
    sampled: past.cycle,
    log,
  });

  let asking: NodeJS.Timeout | undefined;

  async function runSample(signal: AbortSignal): Promise<Ending> {
    clearTimeout(asking);
    try {
      // Also done while ticks are skipped, because another exporter may have taken the lock.
      const { leads: isLeading, failure } = await leads(signal);
      if (!isLeading) return failure;
      await audits.look();
      await learn(signal);
      return await samples.run(signal);
    } finally {
      // In a pause of the schedule, such as a night, no tick asks: nobody would lead once the leader has ended.
      if (!leader) asking = setTimeout(askAgain, ASK_AGAIN_MS).unref();
    }
  }

  function askAgain(): void {
    sampling.runNow();
  }

  /** Without the connection nobody knows which exporter leads, so this one stands by. */
  async function askToLead(signal: AbortSignal): Promise<Leading> {
    const { role, failure } = await askForRole(signal);
    if (signal.aborted) return { leads: false, failure: null };
    // Also needed when the lock was lost some ticks ago, or when the memory comes from a state file.
    if (role === 'stands by') samples.forget();
    const isNew = !leader && role === 'leads';
    if (isNew) await samples.goOn();
    leader = role === 'leads';
    if (isNew) probes.runNow();
    metrics.setLeader(leader);
    metrics.setUp('database', failure === null);
    if (!leader) {
      samples.hide();
      probe.hide();
      audits.hide();
    }
    // Standing by is a success of this job, and the alert on stale figures counts from its latest success.
    if (!leader && failure === null) metrics.setStaleAfter(freshMs(config.sampleSchedule) / 1000);
    return { leads: leader, failure };
  }

  async function leads(signal: AbortSignal): Promise<Leading> {
    return config.ha === 'lock' ? askToLead(signal) : { leads: true, failure: null };
  }

  async function runProbe(signal: AbortSignal): Promise<Ending> {
    if (leader) await learn(signal);
    return probe.run(signal);
  }

  const probes = startJob({ name: 'probe', expression: config.probe.schedule, run: runProbe }, { jobs, log });
  const sampling = startJob(
    { name: 'sample', expression: config.sampleSchedule, run: runSample },
    { jobs, log },
  );

  return {
    config,
    warnings: () => [...config.warnings, ...stored.warnings()],
    report: () => samples.report(),
    cleared: () => samples.cleared(),
    probe: () => probe.latest().result,
    listing: () => probe.listing(),
    clockSkewSeconds: () => probe.clockSkewSeconds(),
    requests() {
      const sent = samples.sent();
      return sent === null ? null : { sent, ceiling: config.s3.requestsPerCycle };
    },
    leader: () => leader,
    async stop() {
      await Promise.all([probes, sampling].map((job) => job.stop()));
      clearTimeout(asking);
      stores.close();
      await database.close();
      return samples.handover();
    },
  };
}
