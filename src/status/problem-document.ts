/** Problems and the rows behind them as values for JSON. */
import { z } from 'zod';
import type { ClearedProblem } from '../diagnosis/cleared-problems.ts';
import type { Finding } from '../diagnosis/evidence.ts';
import { MAX_FINDINGS } from '../diagnosis/evidence.ts';
import { PROBLEM_CODES, PROBLEMS, runbookOf } from '../diagnosis/problem-catalogue.ts';
import type { Problem } from '../diagnosis/problem.ts';
import { count, isoOf, seconds, timeSchema } from './json-fields.ts';

const problemCodeSchema = z.enum(PROBLEM_CODES);
const placesSchema = z
  .array(z.strictObject({ label: z.string(), value: z.string(), rows: count }))
  .describe('The places that stand out, largest first.');

export const problemSchema = z
  .strictObject({
    code: problemCodeSchema,
    severity: z.enum(['critical', 'warning', 'info']),
    title: z.string(),
    evidence: z.string().describe('One sentence with figures.'),
    where: placesSchema,
    since: timeSchema.describe(
      'When the exporter first saw it, not when it began: rows_written and the cause may be older.',
    ),
    rows_written: z
      .strictObject({ first: timeSchema, last: timeSchema })
      .nullable()
      .describe('When the first and the last of the rows behind it were written; null: no rows tell it.'),
    last_seen: timeSchema.describe('When something was last observed that speaks for it.'),
    remedy: z.string(),
    runbook: z
      .string()
      .describe(
        'The section of the runbook: a path in the repository, in the package and on a running exporter.',
      ),
    findings: count.describe(
      `How many of the rows behind it are listed as findings, at most ${MAX_FINDINGS}.`,
    ),
  })
  .describe('One problem that is there.');

export const clearedSchema = z
  .strictObject({
    code: problemCodeSchema,
    severity: z.enum(['critical', 'warning', 'info']),
    title: z.string(),
    evidence: z.string().describe('As it was said last.'),
    where: placesSchema,
    since: timeSchema.describe('When the exporter first saw it.'),
    cleared_at: timeSchema.describe('When the exporter looked and it was gone.'),
    lasted_seconds: seconds.describe('From the one to the other.'),
  })
  .describe('One problem that is gone.');

export const findingSchema = z
  .strictObject({
    problem: problemCodeSchema,
    dag_id: z.string(),
    run_id: z.string(),
    task_id: z.string(),
    map_index: z.int(),
    key: z.string(),
    bytes: z.number().min(0).nullable(),
    queue: z.string().nullable(),
    executor: z.string().nullable(),
    hostname: z.string().nullable(),
    operator: z.string().nullable(),
    at: timeSchema.describe("The row's own timestamp."),
    object: z
      .strictObject({ bucket: z.string(), key: z.string() })
      .nullable()
      .describe('The object that the row points at; null: it points at none.'),
    path_of: z
      .strictObject({
        dag_id: z.string(),
        run_id: z.string(),
        task_id: z.string(),
        key: z.string().nullable(),
        map_index: z.int().nullable(),
      })
      .nullable()
      .describe(
        'The row whose path this one holds; null: it holds no other’s. key and map_index are null where that row is not in the window.',
      ),
  })
  .describe('One row behind a problem. Never holds the value.');

export type FindingDocument = z.output<typeof findingSchema>;

/** The first rows behind the problems, problem by problem, newest first. */
export function findingsOf(problems: readonly Problem[], limit = Infinity): FindingDocument[] {
  return problems
    .flatMap(({ code, findings }) => findings.map((finding) => ({ code, finding })))
    .slice(0, limit)
    .map(({ code, finding }) => findingOf(code, finding));
}

export function problemOf(problem: Problem, reportedAt: number): z.output<typeof problemSchema> {
  const { code, evidence, where, since, lastSeen = reportedAt, findings, written = null } = problem;
  const { severity, title, remedy } = PROBLEMS[code];
  return {
    code,
    severity,
    title,
    evidence,
    where: placesOf(where),
    since: isoOf(since),
    rows_written: written === null ? null : { first: isoOf(written.first), last: isoOf(written.last) },
    last_seen: isoOf(lastSeen),
    remedy,
    runbook: runbookOf(code),
    findings: findings.length,
  };
}

function placesOf(where: Problem['where']): z.output<typeof placesSchema> {
  return where.map(({ label, value, rows }) => ({ label, value, rows }));
}

export function clearedDocument(cleared: ClearedProblem): z.output<typeof clearedSchema> {
  const { code, evidence, where, since, clearedAt } = cleared;
  const { severity, title } = PROBLEMS[code];
  return {
    code,
    severity,
    title,
    evidence,
    where: placesOf(where),
    since: isoOf(since),
    cleared_at: isoOf(clearedAt),
    lasted_seconds: (clearedAt - since) / 1000,
  };
}

function findingOf(problem: Problem['code'], finding: Finding): FindingDocument {
  return {
    problem,
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
    object: objectOf(finding),
    path_of: pathOwnerOf(finding),
  };
}

function objectOf({ object = null }: Finding): FindingDocument['object'] {
  return object === null ? null : { bucket: object.bucket, key: object.key };
}

function pathOwnerOf({ pathOf = null }: Finding): FindingDocument['path_of'] {
  if (pathOf === null) return null;
  const { dagId, runId, taskId, key, mapIndex } = pathOf;
  return { dag_id: dagId, run_id: runId, task_id: taskId, key, map_index: mapIndex };
}
