import { z } from 'zod';
import type { ProblemCode } from '../diagnosis/problem-catalogue.ts';
import { PROBLEM_CODES } from '../diagnosis/problem-catalogue.ts';
import { LISTINGS } from '../probe/server-ways.ts';
import type { JobStatus } from './jobs.ts';
import { JOB_NAMES } from './jobs.ts';
import { isoOf, timeSchema } from './json-fields.ts';
import { clearedDocument, clearedSchema, findingSchema, findingsOf } from './problem-document.ts';
import { reportDocument, reportShape, SCHEMA_VERSION, warningsSchema } from './report-document.ts';
import type { Status } from './status.ts';
import { verdictOf, verdictSchema } from './verdict.ts';

export const DEFAULT_LIMIT = 100;
export const MAX_LIMIT = 1_000;

const jobSchema = z
  .strictObject({
    job: z.enum(JOB_NAMES),
    runs: z.int().min(0),
    failures: z.int().min(0),
    skips: z.int().min(0),
    last_run_at: timeSchema.nullable(),
    last_success_at: timeSchema.nullable(),
    last_duration_seconds: z.number().min(0).nullable(),
    last_failure: z.string().nullable(),
  })
  .describe('One of the jobs: two that run on a schedule, and the state file, which goes with a cycle.');

const settingSchema = z
  .strictObject({
    name: z.string(),
    flag: z.string(),
    variable: z.string(),
    shown: z.string().describe('The value, empty when there is none; a secret is masked.'),
    origin: z
      .enum(['flag', 'variable', 'file', 'airflow', 'canary', 'default', 'unknown'])
      .describe(
        'canary: nobody told it, and the pools of workers agree on it; unknown: no default stands in.',
      ),
    from: z
      .string()
      .describe('The flag, the variable or the key it was read from; how to tell it where it is not known.'),
  })
  .describe('One setting in force.');

export const statusSchema = z
  .strictObject({
    schema_version: z.literal(SCHEMA_VERSION),
    version: z.string().describe('The release of the exporter.'),
    now: timeSchema,
    started_at: timeSchema,
    verdict: verdictSchema,
    leader: z.boolean(),
    stale: z
      .boolean()
      .describe(
        'No cycle has read the database in the last three ticks of sample.schedule, or none ever has.',
      ),
    demo_act: z.string().nullable().describe('What the demo is playing.'),
    ...reportShape,
    listing: z
      .enum(LISTINGS)
      .nullable()
      .describe(
        'How the server lists names made to differ, as the first probe that worked has seen: unordered and lacking cost HEADs, and no truth. Null: not known.',
      ),
    clock_skew_seconds: z
      .number()
      .nullable()
      .describe(
        "By how much the storage's clock was ahead of this machine's at the last probe; 0: by less than a minute. Requests are signed by the storage's clock. Null: not known.",
      ),
    cleared: z
      .array(clearedSchema)
      .describe('Problems that went away in the last seven days, the latest first, at most 20.'),
    jobs: z.array(jobSchema),
    settings: z.array(settingSchema),
    warnings: warningsSchema,
  })
  .describe('All that the status page shows but the rows behind the problems.');

export const findingsSchema = z
  .strictObject({
    schema_version: z.literal(SCHEMA_VERSION),
    at: timeSchema.nullable().describe('When the last cycle ended; null before the first: nothing is known.'),
    stale: z.boolean(),
    total: z.int().min(0).describe('How many there are, before the limit.'),
    findings: z.array(findingSchema).describe('Problem by problem, newest first.'),
  })
  .describe('The rows behind the problems.');

export const badRequestSchema = z
  .strictObject({ error: z.string() })
  .describe('What is wrong with a request.');

/** The status page as a value for JSON. */
export function statusDocument(status: Status): z.output<typeof statusSchema> {
  return {
    schema_version: SCHEMA_VERSION,
    version: status.version,
    now: isoOf(status.now),
    started_at: isoOf(status.startedAt),
    verdict: verdictOf(status),
    leader: status.leader,
    stale: status.stale,
    demo_act: status.act,
    ...reportDocument(status.report, status.probe),
    listing: status.listing?.kind ?? null,
    clock_skew_seconds: status.clockSkewSeconds,
    cleared: status.cleared.map(clearedDocument),
    jobs: status.jobs.map(jobOf),
    settings: status.settings.map(({ name, flag, variable, shown, origin, from }) => ({
      name,
      flag,
      variable,
      shown,
      origin,
      from,
    })),
    warnings: [...status.warnings],
  };
}

export interface FindingsQuery {
  readonly problem: ProblemCode | null;
  readonly dagId: string | null;
  readonly limit: number;
}

/** The parameters of the findings, as the description of the API has them. */
export const FINDINGS_PARAMETERS = {
  problem: { description: 'Only those of this problem.', schema: z.enum(PROBLEM_CODES) },
  dag_id: { description: 'Only those of this dag.', schema: z.string().min(1) },
  limit: {
    description: 'The most findings to give.',
    schema: z.int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
  },
} as const;

/** The rows behind the problems. `at` null: no cycle yet, so nothing is known. */
export function findFindings(status: Status, query: FindingsQuery): z.output<typeof findingsSchema> {
  const problems = (status.report?.problems ?? [])
    .filter(({ code }) => query.problem === null || code === query.problem)
    .map((problem) => ({
      ...problem,
      findings: problem.findings.filter(({ dagId }) => query.dagId === null || dagId === query.dagId),
    }));
  return {
    schema_version: SCHEMA_VERSION,
    at: status.report === null ? null : isoOf(status.report.at),
    stale: status.stale,
    total: problems.reduce((sum, { findings }) => sum + findings.length, 0),
    findings: findingsOf(problems, query.limit),
  };
}

function jobOf(job: JobStatus): z.output<typeof jobSchema> {
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
