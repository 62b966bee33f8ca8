import type { Logger } from 'pino';
import { SHAPE_TABLES } from '../airflow/shape.ts';
import type { ClearedProblem } from '../diagnosis/cleared-problems.ts';
import type { Report } from '../diagnosis/report.ts';
import { intervalOf } from '../lib/cron.ts';
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
import type { State } from '../state/records.ts';
import type { JobEnd, JobObserver } from '../status/jobs.ts';
import { watchAudit } from './audit-watch.ts';
import { createFreshness } from './freshness.ts';
import type { Ending } from './job.ts';
import { startJob } from './job.ts';
import { createLeadership } from './leadership.ts';
import { createProbeJob } from './probe-job.ts';
import { createSampleJob } from './sample-job.ts';

/** After this many intervals without a reading, the figures are no longer shown as current. */
const STALE_INTERVALS = 3;

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
  stale(): boolean;
  leader(): boolean;
  /** Stops the jobs and returns the state for the next engine. */
  stop(): Promise<State | null>;
}

/** Opens nothing before the first run of a job, which starts at once. */
export function startEngine(parts: {
  config: Config;
  state: State | null;
  stateFile: StateFile | null;
  metrics: Metrics;
  jobs: JobObserver;
  /** Called at the end of every cycle and of every probe of the bucket. */
  past: Past;
  log: Logger;
}): Engine {
  const { config, metrics, jobs, past, log } = parts;
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
  const stored = createStoredConnections(config, { database, clock: Date.now });
  const warned = new Set<string>(config.warnings);
  const learn = async (signal: AbortSignal) => {
    stores.learn(await stored.read(signal));
    for (const warning of stored.warnings().filter((one) => !warned.has(one))) {
      warned.add(warning);
      log.warn(warning);
    }
  };
  const intervalMs = intervalOf(config.sampleSchedule);
  const freshness = createFreshness({
    staleMs: STALE_INTERVALS * intervalMs,
    onRenew: (freshMs) => {
      metrics.setStaleAfter(freshMs / 1000);
    },
    onStale: () => {
      metrics.markStale();
    },
  });
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
    state: parts.state,
    stateFile: parts.stateFile,
    metrics,
    jobs,
    freshness,
    intervalMs,
    probed: () => probe.latest(),
    sampled: past.cycle,
    log,
  });

  async function runSample(signal: AbortSignal): Promise<Ending> {
    // Also done while ticks are skipped, because another exporter may have taken the lock.
    if (config.ha === 'lock') {
      const failure = await askToLead(signal);
      if (!leader) return failure;
    }
    await audits.look();
    await learn(signal);
    return samples.run(signal);
  }

  /** Without the connection nobody knows which exporter leads, so this one stands by. */
  async function askToLead(signal: AbortSignal): Promise<JobEnd['failure']> {
    const { role, failure } = await askForRole(signal);
    if (signal.aborted) return null;
    // Also needed when the lock was lost some ticks ago, or when the memory comes from a state file.
    if (role === 'stands by') samples.forget();
    if (!leader && role === 'leads') await samples.goOn();
    leader = role === 'leads';
    metrics.setLeader(leader);
    metrics.setUp('database', failure === null);
    if (!leader) {
      samples.hide();
      probe.hide();
      audits.hide();
    }
    return failure;
  }

  async function runProbe(signal: AbortSignal): Promise<Ending> {
    if (leader) await learn(signal);
    return probe.run(signal);
  }

  const schedules = [
    startJob({ name: 'probe', expression: config.probe.schedule, run: runProbe }, { jobs, log }),
    startJob({ name: 'sample', expression: config.sampleSchedule, run: runSample }, { jobs, log }),
  ];

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
    stale: () => freshness.isStale(),
    leader: () => leader,
    async stop() {
      await Promise.all(schedules.map((schedule) => schedule.stop()));
      freshness.stop();
      stores.close();
      await database.close();
      return samples.state();
    },
  };
}
