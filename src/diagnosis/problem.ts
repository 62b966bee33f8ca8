import type { Evidence, Finding, Place } from './evidence.ts';
import { NO_EVIDENCE } from './evidence.ts';
import type { ProblemCode } from './problem-catalogue.ts';

/** A problem that is there, told by its figures, places and rows; or that it is not, or not known. */
export type Ruling = Omit<Problem, 'code' | 'since'> | 'clear' | 'unknown';

export function say(evidence: string, { where, findings }: Omit<Evidence, 'rows'> = NO_EVIDENCE): Ruling {
  return { evidence, where, findings };
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
  /** When this run of the exporter first said it, epoch ms. */
  readonly since: number;
  /** When what was observed last spoke for it, epoch ms; absent: in the cycle of the report. */
  readonly lastSeen?: number;
  /** The latest rows behind it, newest first, at most MAX_FINDINGS. */
  readonly findings: readonly Finding[];
}

/** The state of knowledge about one problem. `unknown` becomes an absent series. */
export type ProblemState = 'raised' | 'clear' | 'unknown';
