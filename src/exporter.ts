import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { isS3Path } from './airflow/xcom-path.ts';
import { openDatabase } from './clients/postgres.ts';
import type { Database } from './clients/postgres.ts';
import { openObjectStore } from './clients/s3.ts';
import type { ObjectStore } from './clients/s3.ts';
import { ConfigError, requireDatabase } from './config.ts';
import type { Config } from './config.ts';
import { createCycle } from './cycle.ts';
import type { Cycle } from './cycle.ts';
import { startHttpServer } from './http/server.ts';
import type { ReloadResult } from './http/server.ts';
import { createMetrics } from './metrics.ts';
import type { DatabaseProbe, Metrics } from './metrics.ts';
import { probe } from './probe.ts';
import type { ProbeResult } from './probe.ts';
import type { Report } from './report.ts';
import { intervalOf, startSchedule } from './schedule.ts';
import type { Schedule } from './schedule.ts';
import { createJobs } from './jobs.ts';
import { readStateFile, writeStateFile } from './state-file.ts';
import type { Status } from './status.ts';

export interface Exporter {
  readonly port: number;
  status(): Status;
  reload(): Promise<ReloadResult>;
  close(): Promise<void>;
}

export interface ExporterOptions {
  readonly log: Logger;
  readonly version: string;
  /** Reads the settings anew. Throws {@link ConfigError}. */
  readonly readConfig: () => Config;
  /** What the demo is playing. */
  readonly act?: () => string | null;
}

/** After so many intervals without a reading the figures are no longer shown as those of now. */
const STALE_INTERVALS = 3;

/** Opens, wires and starts everything; what was opened is closed last-in first-out, also when starting fails. */
export async function startExporter(first: Config, options: ExporterOptions): Promise<Exporter> {
  const { log, version } = options;
  const startedAt = Date.now();
  const undo: (() => Promise<void> | void)[] = [];
  const metrics = createMetrics({
    version,
    maxDags: first.maxDags,
    windowSeconds: first.windowMs / 1000,
    probeWrite: first.probe.write,
  });
  const jobs = createJobs(metrics);
  let engine: Engine | null = null;
  let draining = false;

  async function close(): Promise<void> {
    draining = true;
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
      try {
        await step();
      } catch (error) {
        log.error({ err: error }, 'could not close cleanly');
      }
    }
  }

  /** All or nothing: the old settings stay until the new ones have been read and accepted. */
  async function reload(): Promise<ReloadResult> {
    try {
      const next = options.readConfig();
      requireDatabase(next);
      const fixed = fixedSettings(first, next);
      if (fixed.length > 0) throw new ConfigError(fixed);
      const before = engine;
      engine = null;
      const carried = before === null ? null : await before.stop();
      engine = startEngine({ config: next, carried, metrics, jobs, log });
      metrics.configReloaded(true, Date.now());
      log.info('settings reloaded');
      return { ok: true };
    } catch (error) {
      metrics.configReloaded(false, Date.now());
      if (!(error instanceof ConfigError)) throw error;
      log.error({ problems: error.problems }, 'settings not reloaded: the old ones stay in force');
      return { ok: false, problems: error.problems };
    }
  }

  function status(): Status {
    return {
      version,
      startedAt,
      now: Date.now(),
      leader: engine?.leader() ?? false,
      report: engine?.report() ?? null,
      stale: engine?.stale() ?? false,
      probe: engine?.probe() ?? null,
      jobs: jobs.status(),
      settings: engine?.config.origins ?? first.origins,
      airflowBaseUrl: engine?.config.airflowBaseUrl ?? first.airflowBaseUrl,
      act: options.act?.() ?? null,
    };
  }

  try {
    requireDatabase(first);
    const restored = first.stateFile === null ? null : readStateFile(first.stateFile);
    const server = await startHttpServer({
      ...first.web,
      webConfigFile: first.web.configFile,
      metrics,
      status,
      ready: () => !draining && jobs.attempted('sample'),
      reload,
      log,
    });
    undo.push(() => server.close());
    metrics.configReloaded(true, Date.now());
    metrics.setUp('database', false);
    if (first.xcom.paths.some(isS3Path)) metrics.setUp('s3', false);
    engine = startEngine({ config: first, carried: { cycle: null, state: restored }, metrics, jobs, log });
    undo.push(async () => {
      await engine?.stop();
    });
    log.info({ port: server.port }, 'listening');
    return { port: server.port, status, reload, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Settings that a reload cannot change: what is listened on, and what the series were made from. */
function fixedSettings(first: Config, next: Config): string[] {
  const names = ['web.listen-address', 'web.config.file', 'labels.max-dags', 'window', 'state.file'] as const;
  const shown = (config: Config, name: string) =>
    config.origins.find((origin) => origin.name === name)?.shown;
  return names
    .filter((name) => shown(first, name) !== shown(next, name))
    .map((name) => `${name}: cannot change by a reload: restart the exporter`);
}

type Jobs = ReturnType<typeof createJobs>;
type Carried = { readonly cycle: Cycle | null; readonly state: ReturnType<typeof readStateFile> };

/** What runs on one set of settings. */
interface Engine {
  readonly config: Config;
  report(): Report | null;
  probe(): ProbeResult | null;
  stale(): boolean;
  leader(): boolean;
  stop(): Promise<Carried>;
}

function startEngine(parts: {
  config: Config;
  carried: Carried | null;
  metrics: Metrics;
  jobs: Jobs;
  log: Logger;
}): Engine {
  const { config, metrics, jobs, log } = parts;
  const database = openDatabase(requireDatabase(config));
  const stores = openStores(config, metrics, log);
  const cycle = createCycle({
    config,
    database,
    store: stores.of,
    restored: parts.carried?.state ?? null,
    random: Math.random,
    clock: Date.now,
  });
  const startedAt = Date.now();
  let report: Report | null = null;
  let readAt: number | null = null;
  let probed: ProbeResult | null = null;
  let leader = config.ha === 'off';
  metrics.setLeader(leader);
  const staleMs = STALE_INTERVALS * intervalOf(config.sampleSchedule);
  const stale = () => Date.now() - (readAt ?? startedAt) > staleMs;

  async function lead(signal: AbortSignal): Promise<boolean> {
    if (config.ha === 'off') return true;
    try {
      leader = await database.lead(signal);
    } catch {
      // Without the connection nobody knows who holds the lock: an active one must not go on.
      leader = false;
    }
    metrics.setLeader(leader);
    if (!leader) metrics.markStale();
    return leader;
  }

  async function runSample(signal: AbortSignal): Promise<void> {
    if (!(await lead(signal))) return;
    const before = Date.now();
    const result = await cycle.run(probed, signal);
    if (signal.aborted) return;
    report = result;
    if (result.databaseFailure === null) readAt = result.at;
    metrics.setUp('database', result.databaseFailure === null);
    if (result.s3Answered || result.s3Failure !== null) metrics.setUp('s3', result.s3Answered);
    metrics.publishReport(result, stale());
    jobs.finished('sample', {
      seconds: (Date.now() - before) / 1000,
      failure: result.databaseFailure,
      at: Date.now(),
    });
    if (config.stateFile !== null) saveState(config.stateFile);
    logCycle(log, result);
  }

  function saveState(path: string): void {
    try {
      writeStateFile(path, cycle.snapshot());
    } catch (error) {
      log.error(
        { path, err: error },
        'cannot write the state file: a restart will count from the last one written',
      );
    }
  }

  async function runProbe(signal: AbortSignal): Promise<void> {
    if (!leader) return;
    const before = Date.now();
    const asked = await probeDatabase(database, signal);
    const target = config.xcom.paths.find(isS3Path);
    const result: ProbeResult =
      target === undefined
        ? { steps: [], leftoversDeleted: 0 }
        : await probe(
            stores.of(target.connection ?? ''),
            {
              bucket: target.bucket,
              prefix: target.prefix,
              write: config.probe.write,
              now: Date.now(),
              id: randomUUID(),
            },
            signal,
          );
    if (signal.aborted) return;
    probed = target === undefined ? null : result;
    const [failed] = result.steps.filter((step) => step.ok === false);
    if (result.steps.length > 0)
      metrics.setUp(
        's3',
        result.steps.some((step) => step.ok === true),
      );
    metrics.publishProbe(result, asked, Date.now());
    jobs.finished('probe', {
      seconds: (Date.now() - before) / 1000,
      failure:
        failed === undefined
          ? null
          : { reason: failed.reason, detail: `${failed.operation}: ${failed.detail}` },
      at: Date.now(),
    });
    const words = { probe: result.steps.map((step) => `${step.operation}=${String(step.ok)}`).join(' ') };
    if (failed === undefined) log.debug(words, 'probe');
    else log.warn({ ...words, reason: failed.reason }, 'the probe failed');
  }

  const schedules: Schedule[] = [
    startSchedule(
      { name: 'probe', expression: config.probe.schedule, run: runProbe },
      {
        log,
        skipped: () => {
          jobs.skipped('probe');
        },
      },
    ),
    startSchedule(
      { name: 'sample', expression: config.sampleSchedule, run: runSample },
      {
        log,
        skipped: () => {
          jobs.skipped('sample');
        },
      },
    ),
  ];

  return {
    config,
    report: () => report,
    probe: () => probed,
    stale,
    leader: () => leader,
    async stop() {
      await Promise.all(schedules.map((schedule) => schedule.stop()));
      stores.close();
      await database.close();
      return { cycle, state: cycle.snapshot() };
    },
  };
}

/** One object store for each connection id that a path or a row may name, opened when first asked for. */
function openStores(
  config: Config,
  metrics: Metrics,
  log: Logger,
): { readonly of: (connection: string) => ObjectStore; close(): void } {
  const stores = new Map<string, ObjectStore>();
  const { connections } = config.s3;
  const fallback = config.xcom.paths.find(isS3Path)?.connection ?? '';
  return {
    of(connection) {
      // A row may name a connection that this process does not know: the one in force is the best guess.
      const id = connections.has(connection) ? (connection === '' ? fallback : connection) : fallback;
      const settings = connections.get(id) ?? connections.get('');
      if (settings === undefined)
        throw new Error(`Cannot open object storage: no connection ${JSON.stringify(id)}`);
      const open = stores.get(id);
      if (open !== undefined) return open;
      const observer = {
        request: metrics.s3Request.bind(metrics),
        failure: metrics.s3Failure.bind(metrics),
      };
      const store = openObjectStore(settings, { observer, log });
      stores.set(id, store);
      return store;
    },
    close() {
      for (const store of stores.values()) store.close();
    },
  };
}

async function probeDatabase(database: Database, signal: AbortSignal): Promise<DatabaseProbe> {
  const before = performance.now();
  try {
    await database.read((query) => query({ name: 'probe', text: 'SELECT 1', values: [] }), signal);
    return { ok: true, seconds: (performance.now() - before) / 1000 };
  } catch (error) {
    const reason = error instanceof Error && 'reason' in error ? String(error.reason) : 'query_failed';
    return { ok: false, seconds: (performance.now() - before) / 1000, reason };
  }
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
