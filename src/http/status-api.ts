import { PROBLEM_CODES, PROBLEMS, type ProblemCode } from '../problems.ts';
import type { Finding, Problem } from '../report.ts';
import type { JobStatus, Status } from '../status.ts';
import { verdictOf } from './verdict.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

/** The status page as a value for JSON: names in snake case, times in ISO 8601, sizes in bytes; null is not known. */
export function statusDocument(status: Status) {
  const { report } = status;
  return {
    version: status.version,
    now: isoOf(status.now),
    started_at: isoOf(status.startedAt),
    verdict: verdictOf(status),
    leader: status.leader,
    stale: status.stale,
    demo_act: status.act,
    cycle:
      report === null
        ? null
        : {
            at: isoOf(report.at),
            duration_seconds: report.durationSeconds,
            database_failure: report.databaseFailure,
            s3_failure: report.s3Failure,
            s3_answered: report.s3Answered,
            lag_seconds: report.lagSeconds,
            coverage: report.coverage,
          },
    backend: report?.backend ?? null,
    threshold_bytes: report?.thresholdBytes ?? null,
    oversize_bytes: report?.oversizeBytes ?? null,
    window: windowOf(status),
    problem_states: report?.states ?? null,
    problems: (report?.problems ?? []).map(problemOf),
    probe: status.probe?.steps ?? null,
    jobs: status.jobs.map(jobOf),
    settings: status.settings,
  };
}

export interface FindingsQuery {
  readonly problem: ProblemCode | null;
  readonly dagId: string | null;
  readonly limit: number;
}

/** Query parameters as Express gives them: a string each, a list when one is repeated. */
export function parseFindingsQuery(
  query: Readonly<Record<string, unknown>>,
): FindingsQuery | { error: string } {
  const { problem = null, dag_id: dagId = null, limit = String(DEFAULT_LIMIT), ...unknown } = query;
  const [stranger] = Object.keys(unknown);
  if (stranger !== undefined) return { error: 'unknown parameter: there is problem, dag_id, limit' };
  if (problem !== null && !isProblemCode(problem)) {
    return { error: `problem must be one of ${PROBLEM_CODES.join(', ')}` };
  }
  if (dagId !== null && (typeof dagId !== 'string' || dagId === ''))
    return { error: 'dag_id must be one dag id' };
  const count = typeof limit === 'string' && /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > MAX_LIMIT) return { error: `limit must be a whole number from 1 to ${MAX_LIMIT}` };
  return { problem, dagId, limit: count };
}

/** The rows behind the problems, problem by problem, newest first. `at` null: no cycle yet, so nothing is known. */
export function findFindings(status: Status, query: FindingsQuery) {
  const found = (status.report?.problems ?? [])
    .filter(({ code }) => query.problem === null || code === query.problem)
    .flatMap(({ code, findings }) => findings.map((finding) => ({ problem: code, ...findingOf(finding) })))
    .filter(({ dag_id }) => query.dagId === null || dag_id === query.dagId);
  return {
    at: status.report === null ? null : isoOf(status.report.at),
    stale: status.stale,
    total: found.length,
    findings: found.slice(0, query.limit),
  };
}

function isProblemCode(text: unknown): text is ProblemCode {
  return typeof text === 'string' && Object.hasOwn(PROBLEMS, text);
}

function problemOf({ code, evidence, where, since, findings }: Problem) {
  return { code, ...PROBLEMS[code], evidence, where, since: isoOf(since), findings: findings.length };
}

function findingOf(finding: Finding) {
  return {
    dag_id: finding.dagId,
    run_id: finding.runId,
    task_id: finding.taskId,
    map_index: finding.mapIndex,
    key: finding.key,
    bytes: finding.bytes,
    queue: finding.queue,
    executor: finding.executor,
    hostname: finding.hostname,
    operator: finding.operator,
    at: isoOf(finding.at),
  };
}

function windowOf({ report }: Status) {
  const window = report?.window ?? null;
  if (window === null) return null;
  return {
    seconds: window.seconds,
    rows: window.rows,
    bytes: window.bytes,
    oversize_in_db_rows: window.oversizeRows,
    oversize_in_db_bytes: window.oversizeBytes,
    broken_references: window.broken,
    orphan_objects: window.orphanObjects,
    orphan_bytes: window.orphanBytes,
  };
}

function jobOf(job: JobStatus) {
  return {
    job: job.job,
    runs: job.runs,
    failures: job.failures,
    skips: job.skips,
    last_run_at: isoOrNull(job.lastRunAt),
    last_success_at: isoOrNull(job.lastSuccessAt),
    last_duration_seconds: job.lastDurationSeconds,
    last_failure: job.lastFailure,
  };
}

function isoOrNull(at: number | null): string | null {
  return at === null ? null : isoOf(at);
}

function isoOf(at: number): string {
  return new Date(at).toISOString();
}
