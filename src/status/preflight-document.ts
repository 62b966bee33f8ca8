import { z } from 'zod';
import type { PreflightStep } from '../probe/preflight-step.ts';
import { PREFLIGHT_CHECKS } from '../probe/preflight-step.ts';
import type { Greeting } from '../s3/greeting.ts';
import { SCHEMA_VERSION } from './report-document.ts';
import type { Verdict } from './verdict.ts';
import { verdictSchema } from './verdict.ts';

const stepSchema = z
  .strictObject({
    check: z.enum(PREFLIGHT_CHECKS),
    ok: z.boolean().nullable().describe('Null: not known, or rightly not tried.'),
    detail: z.string(),
    iam_action: z.string().nullable().describe('The action that the policy lacks, as s3:PutObject.'),
    fix: z.string().nullable(),
  })
  .describe('One thing that was tried, each by itself.');

const targetSchema = z
  .strictObject({
    path: z.string().describe('xcom.path in force.'),
    bucket: z.string(),
    prefix: z.string(),
    connection: z.string(),
    shown: z.string().describe('How it is reached: kind of credentials, region, endpoint.'),
    url: z.string(),
    bucket_region: z.string().nullable(),
    clock_skew_seconds: z
      .int()
      .nullable()
      .describe("By how much the storage's clock is ahead of this machine's."),
  })
  .describe('What was tried.');

/** The output of `check --probe-only --json`. */
export const preflightSchema = z
  .strictObject({
    schema_version: z.literal(SCHEMA_VERSION),
    version: z.string().describe('The release of the exporter.'),
    exit_code: z.union([z.literal(0), z.literal(1), z.literal(2)]),
    verdict: verdictSchema,
    target: targetSchema.nullable().describe('Null when xcom.path is not known or names no place in S3.'),
    checks: z.array(stepSchema),
  })
  .describe('What `check --probe-only --json` prints.');

export type PreflightDocument = z.output<typeof preflightSchema>;

export interface Preflight {
  /** Null when no path in S3 is known: nothing was tried. */
  readonly target: {
    readonly path: string;
    readonly bucket: string;
    readonly prefix: string;
    readonly connection: string;
    readonly shown: string;
    readonly greeting: Greeting;
  } | null;
  readonly isPathTold: boolean;
  readonly steps: readonly PreflightStep[];
  readonly version: string;
}

/** 0: all that was tried is allowed; 1: something is wrong; 2: something could not be found out. */
export function preflightCode({ target, steps }: Preflight): 0 | 1 | 2 {
  if (steps.some(({ ok }) => ok === false)) return 1;
  return target === null || steps.some(({ isOpen }) => isOpen) ? 2 : 0;
}

export function preflightVerdict(preflight: Preflight): Verdict {
  const { target, isPathTold, steps } = preflight;
  const wrong = steps.filter(({ ok }) => ok === false);
  const missing = [...new Set(wrong.flatMap(({ iamAction }) => iamAction ?? []))];
  const open = steps.filter(({ isOpen }) => isOpen).map(({ check }) => check);
  const notes = [
    ...(target === null
      ? [`xcom.path ${isPathTold ? 'names no place in S3' : 'is not known'}: nothing was tried.`]
      : []),
    ...(missing.length > 0 ? [`Missing in the policy: ${missing.join(', ')}.`] : []),
    ...(open.length > 0 ? [`Not found out: ${open.join(', ')}.`] : []),
  ];
  switch (preflightCode(preflight)) {
    case 0:
      return { state: 'healthy', title: 'Ready', notes };
    case 1:
      return {
        state: 'problems',
        title: wrong.length === 1 ? '1 thing is wrong' : `${wrong.length} things are wrong`,
        notes,
      };
    case 2:
      return { state: 'unknown', title: 'Could not decide', notes };
  }
}

export function preflightDocument(preflight: Preflight): PreflightDocument {
  const { target, steps, version } = preflight;
  return {
    schema_version: SCHEMA_VERSION,
    version,
    exit_code: preflightCode(preflight),
    verdict: preflightVerdict(preflight),
    target: target === null ? null : targetOf(target),
    checks: steps.map(({ check, ok, detail, iamAction, fix }) => ({
      check,
      ok,
      detail,
      iam_action: iamAction,
      fix,
    })),
  };
}

function targetOf(target: NonNullable<Preflight['target']>): NonNullable<PreflightDocument['target']> {
  const { path, bucket, prefix, connection, shown, greeting } = target;
  const answered = greeting.kind === 'answered' ? greeting : null;
  return {
    path,
    bucket,
    prefix,
    connection,
    shown,
    url: greeting.url,
    bucket_region: answered?.bucketRegion ?? null,
    clock_skew_seconds: answered?.skewSeconds ?? null,
  };
}
