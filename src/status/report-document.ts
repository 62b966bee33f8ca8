/** A report as a value for JSON: names in snake case, times in ISO 8601, sizes in bytes; null is not known. */
import { z } from 'zod';
import { PROBLEM_CODES } from '../diagnosis/problem-catalogue.ts';
import type { Report } from '../diagnosis/report.ts';
import { STORAGES } from '../diagnosis/report.ts';
import type { Tried, ProbeStep } from '../probe/bucket.ts';
import { BROKEN_REASONS } from '../window/flags.ts';
import { canaryDocument, canarySchema } from './canary-document.ts';
import { count, isoOf, seconds, timeSchema } from './json-fields.ts';
import { problemOf, problemSchema } from './problem-document.ts';

/**
 * The version of every document that the API and `check --json` give. Raised when a field is removed or changes its
 * meaning; a new field does not raise it.
 */
export const SCHEMA_VERSION = 1;

const failureSchema = z
  .strictObject({ reason: z.string(), detail: z.string() })
  .nullable()
  .describe('Why there was no answer; null when there was one, or nothing was asked.');

export const cycleSchema = z
  .strictObject({
    at: timeSchema.describe('When the cycle ended.'),
    duration_seconds: seconds,
    database_failure: failureSchema,
    s3_failure: failureSchema,
    s3_answered: z.boolean(),
    lag_seconds: z
      .number()
      .nullable()
      .describe(
        'Age of the oldest row that was seen and is not decided, and no less than a standby is behind.',
      ),
    coverage: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .describe('Share of what the window holds that is measured or looked up.'),
  })
  .describe('The last look at the database and the bucket.');

export const backendSchema = z
  .strictObject({
    airflow: z.string().describe('The releases of Airflow that have tables of this shape.'),
    schema: z.string(),
    bucket: z.string().nullable(),
    prefix: z.string().nullable(),
    connection: z.string().nullable(),
    compression: z.string().nullable(),
  })
  .describe('What was recognised, and what is configured; null: nobody told it.');

export const effectiveSchema = z
  .strictObject({
    threshold_above_bytes: count
      .nullable()
      .describe('The threshold is larger: a task has a value of this size in the database.'),
    threshold_at_most_bytes: count
      .nullable()
      .describe(
        'The threshold is no larger: the smallest object. Not above the other: there is no single one.',
      ),
    values: count.describe('Values in the database that this rests on.'),
    objects: count.describe('Uncompressed objects that this rests on.'),
    paths: z
      .array(z.strictObject({ path: z.string(), references: count }))
      .describe('Base paths under which references of the window lie, the most used first.'),
    references_elsewhere: count.describe('References under other base paths.'),
  })
  .describe('Threshold and path as the data tell them, whatever is configured.');

export const windowSchema = z
  .strictObject({
    seconds: z.number().positive(),
    rows: z.record(z.enum(STORAGES), count),
    bytes: z.record(z.enum(STORAGES), z.number().min(0).nullable()),
    oversize_in_db_rows: count,
    oversize_in_db_bytes: z.number().min(0),
    broken_references: z.record(z.enum(BROKEN_REASONS), count.nullable()),
    orphan_objects: count.nullable(),
    orphan_bytes: z.number().min(0).nullable(),
  })
  .describe('What the window holds now: rows of that time in runs that were active in it.');

export const problemStatesSchema = z
  .record(z.enum(PROBLEM_CODES), z.enum(['raised', 'clear', 'unknown']))
  .describe('Every problem there is, with what is known of it.');

const operation = z.enum(['put', 'head', 'get', 'list', 'delete']);
export const probeStepSchema = z
  .discriminatedUnion('ok', [
    z.strictObject({ operation, ok: z.literal(true), seconds }),
    z.strictObject({ operation, ok: z.literal(false), seconds, reason: z.string(), detail: z.string() }),
    z.strictObject({ operation, ok: z.null() }).describe('Not tried, or broken off.'),
  ])
  .describe('One operation of the probe.');

export const reportShape = {
  cycle: cycleSchema.nullable(),
  backend: backendSchema.nullable(),
  threshold_bytes: z.int().nullable().describe('null: nobody told it.'),
  effective: effectiveSchema.nullable(),
  oversize_bytes: count.nullable(),
  window: windowSchema.nullable(),
  problem_states: problemStatesSchema.nullable(),
  problems: z.array(problemSchema).describe('Those that are raised, the most telling first.'),
  probe: z.array(probeStepSchema).nullable(),
  canary: canarySchema.nullable().describe('null: no canary has been seen.'),
} as const;

export type ReportDocument = z.output<z.ZodObject<typeof reportShape>>;

export const warningsSchema = z.array(z.string()).describe('What is odd about the settings.');

/** The part that the API and `check --json` have in common. */
export function reportDocument(report: Report | null, probed: Tried | null): ReportDocument {
  return {
    cycle: report === null ? null : cycleOf(report),
    backend: report === null ? null : backendOf(report),
    threshold_bytes: report?.thresholdBytes ?? null,
    effective: report === null ? null : effectiveDocument(report),
    oversize_bytes: report?.oversizeBytes ?? null,
    window: report === null ? null : windowOf(report),
    problem_states: report === null ? null : { ...report.states },
    problems: report === null ? [] : report.problems.map((problem) => problemOf(problem, report.at)),
    probe: probed?.steps.map(stepOf) ?? null,
    canary: canaryDocument(report?.canary.verdict ?? null),
  };
}

function cycleOf(report: Report): ReportDocument['cycle'] {
  return {
    at: isoOf(report.at),
    duration_seconds: report.durationSeconds,
    database_failure: failureOf(report.databaseFailure),
    s3_failure: failureOf(report.s3Failure),
    s3_answered: report.s3Answered,
    lag_seconds: report.lagSeconds,
    coverage: report.coverage,
  };
}

function failureOf(failure: { readonly reason: string; readonly detail: string } | null) {
  return failure === null ? null : { reason: failure.reason, detail: failure.detail };
}

/** Fields are named one by one: a field that a report gains is not given out before it is described. */
function backendOf({ backend }: Report): ReportDocument['backend'] {
  if (backend === null) return null;
  const { airflow, schema, bucket, prefix, connection, compression } = backend;
  return { airflow, schema, bucket, prefix, connection, compression };
}

function effectiveDocument({ observed }: Report): ReportDocument['effective'] {
  if (observed === null) return null;
  const { threshold, values, objects, paths, elsewhere } = observed;
  return {
    threshold_above_bytes: threshold.above,
    threshold_at_most_bytes: threshold.atMost,
    values,
    objects,
    paths: paths.map(({ path, rows }) => ({ path, references: rows })),
    references_elsewhere: elsewhere,
  };
}

function windowOf({ window }: Report): ReportDocument['window'] {
  if (window === null) return null;
  return {
    seconds: window.seconds,
    rows: { ...window.rows },
    bytes: { ...window.bytes },
    oversize_in_db_rows: window.oversizeRows,
    oversize_in_db_bytes: window.oversizeBytes,
    broken_references: { ...window.broken },
    orphan_objects: window.orphanObjects,
    orphan_bytes: window.orphanBytes,
  };
}

function stepOf(step: ProbeStep): z.output<typeof probeStepSchema> {
  const { operation } = step;
  if (step.ok === null) return { operation, ok: null };
  const { seconds } = step;
  return step.ok
    ? { operation, ok: true, seconds }
    : { operation, ok: false, seconds, reason: step.reason, detail: step.detail };
}
