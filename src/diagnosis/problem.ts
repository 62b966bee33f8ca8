import { withoutPasswords } from '../lib/without-passwords.ts';
import type { Evidence, Finding, Place, Written } from './evidence.ts';
import { NO_EVIDENCE } from './evidence.ts';
import type { ProblemCode } from './problem-catalogue.ts';

/** A problem that is there, with its figures, places and rows; otherwise that it is not there, or not known and why. */
export type Ruling = Omit<Problem, 'code' | 'since'> | 'clear' | 'unknown' | Undecided;

export interface Undecided {
  /** Why nothing can be said: a part of a sentence. */
  readonly undecided: string;
  /** Something speaks against what was said before, so that is no longer shown. */
  readonly takesBack: boolean;
}

/** Why nothing can be said of a problem, as far as the reason is known. */
export type Reasons = Readonly<Partial<Record<ProblemCode, Undecided['undecided']>>>;

export function isRaised(ruling: Ruling): ruling is Omit<Problem, 'code' | 'since'> {
  return typeof ruling !== 'string' && 'evidence' in ruling;
}

export function undecided(why: string): Undecided {
  return { undecided: withoutPasswords(why), takesBack: false };
}

/** Something speaks against the problem, but does not show either that there is none. */
export function takenBack(why: string): Undecided {
  return { ...undecided(why), takesBack: true };
}

/** To the minute in UTC, so that it reads the same everywhere. */
export function momentOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16)}Z`;
}

export function say(
  evidence: string,
  { where, findings, written }: Omit<Evidence, 'rows'> = NO_EVIDENCE,
): Ruling {
  return { evidence: withoutPasswords(evidence), where, findings, written };
}

export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

export interface Problem {
  readonly code: ProblemCode;
  /** One sentence with figures. */
  readonly evidence: string;
  /** The places that stand out, largest first. */
  readonly where: readonly Place[];
  /** When the rows behind it were written; null: no rows tell it. Absent in the state files of older versions. */
  readonly written?: Written | null;
  /** When the exporter first saw it, epoch ms: the cause may be older. */
  readonly since: number;
  /** When an observation last spoke for it, epoch ms; absent: in the cycle of the report. */
  readonly lastSeen?: number;
  /** The latest rows behind it, newest first, at most MAX_FINDINGS. */
  readonly findings: readonly Finding[];
}

/** The state of knowledge about one problem. `unknown` becomes an absent series. */
export type ProblemState = 'raised' | 'clear' | 'unknown';
