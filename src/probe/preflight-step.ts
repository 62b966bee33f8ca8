export const PREFLIGHT_CHECKS = [
  'endpoint',
  'tls',
  'clock',
  'region',
  'credentials',
  'look',
  'bucket',
  'put',
  'head',
  'get',
  'list',
  'delete',
  'versions',
  'listing',
  'strangers',
] as const;

export type PreflightCheck = (typeof PREFLIGHT_CHECKS)[number];

/** The result of one check. `ok` null: not known; `isOpen` says whether it should be known. */
export interface PreflightStep {
  readonly check: PreflightCheck;
  readonly ok: boolean | null;
  /** The check was meant to be decided and could not be. */
  readonly isOpen: boolean;
  readonly detail: string;
  /** The action that the policy lacks, e.g. `s3:PutObject`; null when no action is missing. */
  readonly iamAction: string | null;
  /** The remedy, or null. */
  readonly fix: string | null;
}

export function good(check: PreflightCheck, detail: string): PreflightStep {
  return { check, ok: true, isOpen: false, detail, iamAction: null, fix: null };
}

export function bad(
  check: PreflightCheck,
  detail: string,
  { fix, iamAction = null }: { fix: string; iamAction?: string | null },
): PreflightStep {
  return { check, ok: false, isOpen: false, detail, iamAction, fix };
}

export function open(check: PreflightCheck, detail: string): PreflightStep {
  return { check, ok: null, isOpen: true, detail, iamAction: null, fix: null };
}

/** A check that was rightly not tried. */
export function idle(check: PreflightCheck, detail: string): PreflightStep {
  return { check, ok: null, isOpen: false, detail, iamAction: null, fix: null };
}
