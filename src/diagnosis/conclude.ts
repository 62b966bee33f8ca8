import type { Shape, UnknownShape } from '../airflow/shape.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';
import type { ProbeResult } from '../probe/bucket.ts';
import { falseHead } from '../probe/bucket.ts';
import type { Config } from '../settings/config.ts';
import { toldSettings } from '../settings/config.ts';
import { gravestFault } from '../settings/push-fault.ts';
import { knownFigures, unseenFigures } from './broken-objects.ts';
import type { Sampled } from './diagnose.ts';
import { diagnose } from './diagnose.ts';
import { observedOf } from './observed.ts';
import type { ProblemCode } from './problem-catalogue.ts';
import type { ProblemState } from './problem.ts';
import type { BackendInfo, Report } from './report.ts';
import type { Survey } from './survey.ts';

/** The part of a report that is about the deployment rather than about its own cycle. */
export type Figures = Pick<
  Report,
  | 'told'
  | 'backend'
  | 'observed'
  | 'window'
  | 'states'
  | 'undecided'
  | 'takenBack'
  | 'problems'
  | 'standbyDoubt'
  | 'unreadColumns'
  | 'pushFault'
  | 'lagSeconds'
  | 'coverage'
>;

export interface ConcludeOptions {
  readonly config: Pick<Config, 'xcom' | 'shard' | 'logs' | 'tasksRun'>;
  readonly probe: ProbeResult | null;
  /** Epoch ms. */
  readonly at: number;
}

/** The verdict on what is known. Without a reading of the database only settings and the probe count. */
export function conclude(
  sampled: Sampled | UnknownShape | null,
  { config, probe, at }: ConcludeOptions,
): Figures {
  const { states, problems, undecided, takenBack } = diagnose({ config, sampled, probe });
  const known = sampled === null || 'unsupported' in sampled ? null : sampled;
  return {
    told: toldSettings(config),
    backend: known === null ? null : backendInfo(config, known.shape),
    observed: known === null ? null : observedOf(known.survey),
    window: known === null ? null : figuresOf(known, probe),
    states,
    undecided,
    takenBack,
    // The date is that of this look alone: diagnosis/problem-memory.ts knows the earlier ones.
    problems: problems.map((problem) => ({ ...problem, since: at })),
    standbyDoubt: known === null ? null : known.standby.doubt,
    unreadColumns: known === null ? [] : known.shape.unread,
    pushFault: gravestFault(config.xcom.pushFaults, known?.shape.airflow ?? null),
    lagSeconds: known === null ? null : lagOf(known),
    coverage: known === null ? null : known.coverage,
  };
}

function figuresOf({ survey, now }: Sampled, probe: ProbeResult | null): Survey['window'] {
  return falseHead(probe) === null ? knownFigures(survey, now) : unseenFigures(survey.window);
}

/** Keeps the figures of the last reading while the database is away; only the results of settings and probe are new. */
export function concludeAgain(before: Figures, options: ConcludeOptions): Figures {
  const fresh = conclude(null, options);
  // A problem that the rows of the last reading took back does not become true because there is no newer reading.
  const held = before.takenBack.filter((code) => fresh.states[code] === 'raised');
  const states = { ...before.states };
  for (const [code, state] of Object.entries(fresh.states) as [ProblemCode, ProblemState][])
    if (state !== 'unknown' && !held.includes(code)) states[code] = state;
  // Fields are named one by one: words on the report's own cycle, above all its increments, must not be repeated.
  const { told, backend, observed, window, standbyDoubt, unreadColumns, lagSeconds, coverage } = before;
  return {
    told,
    backend,
    observed,
    window,
    standbyDoubt,
    unreadColumns,
    pushFault: gravestFault(options.config.xcom.pushFaults, backend?.airflow ?? null),
    lagSeconds,
    coverage,
    states,
    undecided: { ...fresh.undecided, ...before.undecided },
    takenBack: [...fresh.takenBack, ...held],
    problems: [
      ...fresh.problems.filter(({ code }) => !held.includes(code)),
      ...before.problems.filter(({ code }) => fresh.states[code] === 'unknown'),
    ],
  };
}

/** How much of the window is decided, and how long the rest has waited. `now`: epoch ms, by the database's clock. */
export function decidedOf(
  { count, unlooked, inexact }: Survey,
  { now, unmeasured }: { readonly now: number; readonly unmeasured: number },
): Pick<Sampled, 'now' | 'coverage' | 'lagSeconds' | 'unmeasured'> {
  const { waiting, inVain } = unlooked;
  const unsized = Math.max(inexact, unmeasured);
  const oldest = Math.min(waiting.oldest ?? now, inVain.oldest ?? now);
  return {
    now,
    coverage: count === 0 ? 1 : Math.max(0, 1 - (waiting.rows + inVain.rows + unsized) / count),
    lagSeconds: (now - oldest) / 1000,
    unmeasured: unsized,
  };
}

function lagOf({ lagSeconds, standby }: Sampled): number | null {
  return standby.lagSeconds === null ? null : Math.max(lagSeconds, standby.lagSeconds);
}

/** All fields are null when nobody told a path; when the path is told to be empty, the bucket is empty. */
function placeOf({ paths, inForce }: Config['xcom']): Pick<BackendInfo, 'bucket' | 'prefix' | 'connection'> {
  if (paths === null) return { bucket: null, prefix: null, connection: null };
  const { bucket = '', prefix = '', connection = null } = inForce ?? {};
  return { bucket: withoutPasswords(bucket), prefix: withoutPasswords(prefix), connection: connection ?? '' };
}

function backendInfo({ xcom }: Pick<Config, 'xcom'>, shape: Shape): BackendInfo {
  return {
    airflow: shape.airflow,
    schema: shape.name,
    ...placeOf(xcom),
    compression: xcom.compression === null ? null : withoutPasswords(xcom.compression),
  };
}
