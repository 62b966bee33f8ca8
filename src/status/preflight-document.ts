import { z } from 'zod';
import type { PreflightStep } from '../probe/preflight-step.ts';
import { PREFLIGHT_CHECKS } from '../probe/preflight-step.ts';
import type { Greeting } from '../s3/greeting.ts';
import type { FailingPushes } from '../settings/push-fault.ts';
import { SCHEMA_VERSION, warningsSchema } from './report-document.ts';
import type { Verdict } from './verdict.ts';
import { pushFaultNote, verdictSchema } from './verdict.ts';

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
    url: z.string().nullable().describe('Null when the AWS SDK has no address for the bucket.'),
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
    target: targetSchema.nullable().describe('Null when nothing was tried: a note of the verdict says why.'),
    checks: z.array(stepSchema),
    warnings: warningsSchema,
  })
  .describe('What `check --probe-only --json` prints.');

export type PreflightDocument = z.output<typeof preflightSchema>;

export interface Preflight {
  readonly target: Target | { readonly untried: string };
  readonly steps: readonly PreflightStep[];
  /** Why pushes of workers with these settings fail; null: nothing says that. */
  readonly pushFault: FailingPushes | null;
  /** Sentences about odd settings. */
  readonly warnings: readonly string[];
  readonly version: string;
}

interface Target {
  readonly path: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly connection: string;
  readonly shown: string;
  readonly greeting: Greeting;
}

/** 0: all that was tried is allowed; 1: something is wrong; 2: something could not be found out. */
export function preflightCode({ target, steps, pushFault }: Preflight): 0 | 1 | 2 {
  if (isCertain(pushFault) || steps.some(({ ok }) => ok === false)) return 1;
  return pushFault !== null || 'untried' in target || steps.some(({ isOpen }) => isOpen) ? 2 : 0;
}

function isCertain(fault: FailingPushes | null): boolean {
  return fault !== null && fault.effect !== 'pushes may fail';
}

export function preflightVerdict(preflight: Preflight): Verdict {
  const { target, steps, pushFault } = preflight;
  const wrong = steps.filter(({ ok }) => ok === false);
  const missing = [...new Set(wrong.flatMap(({ iamAction }) => iamAction ?? []))];
  const open = steps.filter(({ isOpen }) => isOpen).map(({ check }) => check);
  const notes = [
    ...('untried' in target ? [target.untried] : []),
    ...pushFaultNote(preflight),
    ...(missing.length > 0 ? [`Missing in the policy: ${missing.join(', ')}.`] : []),
    ...(open.length > 0 ? [`Not found out: ${open.join(', ')}.`] : []),
  ];
  switch (preflightCode(preflight)) {
    case 0:
      return { state: 'healthy', title: 'Ready', notes };
    case 1:
      return { state: 'problems', title: problemsTitle(wrong.length, pushFault), notes };
    case 2:
      return { state: 'unknown', title: 'Could not decide', notes };
  }
}

function problemsTitle(wrong: number, pushFault: FailingPushes | null): string {
  if (pushFault !== null && isCertain(pushFault)) return `With these settings ${pushFault.effect}`;
  return wrong === 1 ? '1 thing is wrong' : `${wrong} things are wrong`;
}

export function preflightDocument(preflight: Preflight): PreflightDocument {
  const { target, steps, warnings, version } = preflight;
  return {
    schema_version: SCHEMA_VERSION,
    version,
    exit_code: preflightCode(preflight),
    verdict: preflightVerdict(preflight),
    target: 'untried' in target ? null : targetOf(target),
    checks: steps.map(({ check, ok, detail, iamAction, fix }) => ({
      check,
      ok,
      detail,
      iam_action: iamAction,
      fix,
    })),
    warnings: [...warnings],
  };
}

function targetOf(target: Target): NonNullable<PreflightDocument['target']> {
  const { path, bucket, prefix, connection, shown, greeting } = target;
  const answered = greeting.kind === 'answered' ? greeting : null;
  return {
    path,
    bucket,
    prefix,
    connection,
    shown,
    url: greeting.kind === 'unsent' ? null : greeting.url,
    bucket_region: answered?.bucketRegion ?? null,
    clock_skew_seconds: answered?.skewSeconds ?? null,
  };
}
