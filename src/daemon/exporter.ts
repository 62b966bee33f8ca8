import type { Logger } from 'pino';
import { withHeard } from '../canary/known-settings.ts';
import type { ReloadResult } from '../http/routes.ts';
import type { HttpServer } from '../http/server.ts';
import { startHttpServer } from '../http/server.ts';
import { createMetrics } from '../metrics/metrics.ts';
import type { Config } from '../settings/config.ts';
import { ConfigError, requireDatabase, storageInForce } from '../settings/config.ts';
import type { StateFile } from '../state/file.ts';
import { openStateFile } from '../state/file.ts';
import type { History } from '../status/history.ts';
import { NO_HISTORY, withCycle, withProbe } from '../status/history.ts';
import type { JobName } from '../status/jobs.ts';
import { createJobs } from '../status/jobs.ts';
import type { Status } from '../status/status.ts';
import { verdictOf } from '../status/verdict.ts';
import { fixedSettings, isSameDatabase } from './changed-settings.ts';
import type { Engine, Past } from './engine.ts';
import { startEngine } from './engine.ts';
import { createFreshness, freshMs } from './freshness.ts';
import { createTurns } from './turns.ts';
import { NOTHING_UNSHOWN } from './unshown.ts';

/** How long an old verdict may be shown while a probe is awaited: a probe may be due only once an hour. */
const LONGEST_WAIT_FOR_PROBE_MS = 60_000;

export interface Exporter {
  readonly port: number;
  status(): Status;
  reload(): Promise<ReloadResult>;
  /** The same, but a refusal that was logged by the reload before is not logged again. */
  retry(): Promise<ReloadResult>;
  close(): Promise<void>;
}

export interface ExporterOptions {
  readonly log: Logger;
  readonly version: string;
  /** Reads the settings anew. Throws {@link ConfigError}. */
  readonly readConfig: () => Config;
  /** Called with settings that a reload accepted, also when they are the same. */
  readonly accepted?: (config: Config) => void;
  /** The least time between two reloads: each one that changes something starts with a cycle and a probe. */
  readonly reloadsApartMs: number;
  /** The act that the demo is playing. */
  readonly act?: () => string | null;
}

/** Opens, wires and starts everything. Whatever was opened is closed last-in first-out, also when the start fails. */
export async function startExporter(first: Config, options: ExporterOptions): Promise<Exporter> {
  const { log, version } = options;
  const startedAt = Date.now();
  const undo: (() => Promise<void> | void)[] = [];
  const keepsState = first.stateFile !== null;
  const metrics = createMetrics({
    version,
    maxDags: first.maxDags,
    windowSeconds: first.windowMs / 1000,
    probeWrite: first.probe.write,
    keepsState,
    shard: first.shard,
  });
  const jobs = createJobs(
    {
      finished: (job, { seconds, failure, at }) => {
        metrics.jobFinished(job, { seconds, failure: failure?.reason ?? null, at });
      },
      skipped: (job) => {
        metrics.jobSkipped(job);
      },
    },
    { keepsState },
  );
  // Kept outside the engine: the figures of one are no fresher because another starts.
  const freshness = createFreshness({
    onRenew: (ms) => {
      metrics.setStaleAfter(ms / 1000);
    },
    onStale: () => {
      metrics.markStale();
    },
  });
  undo.push(() => {
    freshness.stop();
  });
  freshness.limit(freshMs(first.sampleSchedule));
  let engine: Engine | null = null;
  let server: HttpServer | null = null;
  let stateFile: StateFile | null = null;
  let draining = false;
  let reloadedAt: number | null = null;
  /** The findings of the former settings; shown until the new settings have been tried. Null: they have been. */
  let former: Former | null = null;
  // Kept outside the engine, because a reload starts another engine.
  let history: History = NO_HISTORY;
  const past: Past = {
    cycle: (report) => {
      history = withCycle(history, report);
    },
    probe: (result, at) => {
      history = withProbe(history, result, at);
    },
  };
  const shared = { metrics, jobs, freshness, past, log };
  /** Whether each of the two configurations was right when last read. */
  const right = { settings: true, web: true };
  const configRead = (what: keyof typeof right, isRight: boolean): void => {
    right[what] = isRight;
    metrics.configReloaded(right.settings && right.web, Date.now());
  };

  async function close(): Promise<void> {
    draining = true;
    // Otherwise a reload under way would start an engine that nobody stops.
    await reloads.close();
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
      try {
        await step();
      } catch (error) {
        log.error({ err: error }, 'could not close cleanly');
      }
    }
  }

  /** Reloads run one after another: two at once would each start an engine, and one would never be stopped. */
  const reloads = createTurns(reloadNow, { apartMs: options.reloadsApartMs });

  /** The problems that the last reload was refused for and that were logged; empty: there were none. */
  let refusalTold = '';
  function reload(): Promise<ReloadResult> {
    refusalTold = '';
    return reloads.next();
  }

  /** All or nothing: the old settings stay until the new ones have been read and accepted. */
  async function reloadNow(): Promise<ReloadResult> {
    if (draining) return { ok: false, problems: ['the exporter is shutting down'] };
    try {
      const next = options.readConfig();
      requireDatabase(next);
      const refused = server?.webConfig?.refusal() ?? null;
      const wrong = [...fixedSettings(first, next), ...(refused === null ? [] : [refused])];
      if (wrong.length > 0) throw new ConfigError(wrong);
      refusalTold = '';
      options.accepted?.(next);
      const waiting = server?.webConfig?.waits() ?? [];
      const waits = waiting.length === 0 ? {} : { waits: waiting };
      if (next.digest === engine?.config.digest) {
        configRead('settings', true);
        log.info(waits, 'settings read again: nothing has changed');
        return { ok: true, unchanged: true, ...waits };
      }
      const look = shownLook();
      const before = (await engine?.stop()) ?? null;
      // Whatever is shown until the new settings have been tried is no fresher than they let it be.
      freshness.limit(freshMs(next.sampleSchedule));
      if (!isSameDatabase(engine?.config ?? first, next)) {
        freshness.forget();
        metrics.markStale();
      }
      former = { look, runs: runsNow(), since: performance.now() };
      engine = startEngine({ ...shared, config: next, before, stateFile });
      reloadedAt = Date.now();
      log.level = next.log.level;
      configRead('settings', true);
      log.info(waits, 'settings reloaded');
      return { ok: true, ...waits };
    } catch (error) {
      configRead('settings', false);
      if (!(error instanceof ConfigError)) throw error;
      const refusal = error.problems.join('; ');
      if (refusal !== refusalTold)
        log.error({ problems: error.problems }, 'settings not reloaded: the old ones stay in force');
      refusalTold = refusal;
      return { ok: false, problems: error.problems };
    }
  }

  /** Whether the settings in force have never been tried. An exporter that stands by does not probe. */
  function isReloading(): boolean {
    if (former === null) return false;
    const { runs, since } = former;
    const now = runsNow();
    const isProbing = engine?.leader() === true && performance.now() - since < LONGEST_WAIT_FOR_PROBE_MS;
    const isAwaited = now.sample === runs.sample || (isProbing && now.probe === runs.probe);
    // They do not come back, whatever happens to the new ones.
    if (!isAwaited) former = null;
    return isAwaited;
  }

  /** How many runs have ended. Times would not do: the clock may be set back. */
  function runsNow(): Former['runs'] {
    const runsOf = (name: JobName) => jobs.status().find(({ job }) => job === name)?.runs ?? 0;
    return { sample: runsOf('sample'), probe: runsOf('probe') };
  }

  function shownLook(): Look {
    return isReloading() && former !== null ? former.look : lookOf(engine, first);
  }

  function status(): Status {
    return {
      version,
      startedAt,
      reloadedAt,
      reloading: isReloading(),
      now: Date.now(),
      ...shownLook(),
      stale: freshness.isStale(),
      everRead: freshness.wasRead(),
      cleared: engine?.cleared() ?? [],
      jobs: jobs.status(),
      history,
      settings: withHeard(engine?.config.origins ?? first.origins, engine?.report()?.heard ?? []),
      warnings: engine?.warnings() ?? first.warnings,
      airflowBaseUrl: engine?.config.airflowBaseUrl ?? first.airflowBaseUrl,
      act: options.act?.() ?? null,
    };
  }

  try {
    requireDatabase(first);
    stateFile = first.stateFile === null ? null : openStateFile(first.stateFile, first.shard);
    const restored = (await stateFile?.read()) ?? null;
    const unused = stateFile?.unused() ?? null;
    if (unused !== null) log.warn(unused);
    const listening = await startHttpServer({
      ...first.web,
      webConfigFile: first.web.configFile,
      metrics: {
        snapshot() {
          // The verdict changes without a job, as when the figures become stale: each scrape has that of its moment.
          metrics.setVerdict(verdictOf(status()).state);
          return metrics.snapshot();
        },
      },
      status,
      ready: () => !draining && jobs.attempted('sample'),
      reload,
      webConfigRead: (taken) => {
        configRead('web', taken);
      },
      log,
    });
    server = listening;
    undo.push(() => listening.close());
    configRead('settings', true);
    const before = restored === null ? null : { state: restored, unshown: NOTHING_UNSHOWN, canarySeen: null };
    engine = startEngine({ ...shared, config: first, before, stateFile });
    undo.push(async () => {
      await engine?.stop();
    });
    log.info({ port: listening.port }, 'listening');
    return { port: listening.port, status, reload, retry: () => reloads.next(), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The findings of settings that were replaced, and how many runs had ended by then. */
interface Former {
  readonly look: Look;
  readonly runs: { readonly sample: number; readonly probe: number };
  /** By `performance.now()`. */
  readonly since: number;
}

/** The findings with one set of settings. */
type Look = Pick<
  Status,
  'leader' | 'report' | 'probe' | 'listing' | 'clockSkewSeconds' | 'hasStorage' | 'requests'
>;

function lookOf(engine: Engine | null, first: Config): Look {
  return {
    leader: engine?.leader() ?? false,
    report: engine?.report() ?? null,
    probe: engine?.probe() ?? null,
    listing: engine?.listing() ?? null,
    clockSkewSeconds: engine?.clockSkewSeconds() ?? null,
    hasStorage: storageInForce(engine?.config ?? first) !== null,
    requests: engine?.requests() ?? null,
  };
}
