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

/** What one check found. Null: not known, see `isOpen` for whether it should be. */
export interface PreflightStep {
  readonly check: PreflightCheck;
  readonly ok: boolean | null;
  /** It was to be found out and could not be. */
  readonly isOpen: boolean;
  readonly detail: string;
  /** What is missing in the policy, as `s3:PutObject`; null where it is not that. */
  readonly iamAction: string | null;
  /** What to do, or null. */
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

/** Rightly not tried. */
export function idle(check: PreflightCheck, detail: string): PreflightStep {
  return { check, ok: null, isOpen: false, detail, iamAction: null, fix: null };
}
