import { PROBLEMS } from './problem-catalogue.ts';
import type { Grounds, ProblemCode } from './problem-catalogue.ts';

/** The observation that decides a problem. Settings are always known as well. */
export type Source = 'settings' | 'probe' | 'database';

type SourceOf<Code extends ProblemCode> = (typeof PROBLEMS)[Code]['restsOn'] extends {
  readonly database: 'tables' | 'rows';
}
  ? 'database'
  : (typeof PROBLEMS)[Code]['restsOn']['probe'] extends readonly []
    ? 'settings'
    : 'probe';

/** The problems that one source decides. */
export type CodeFrom<From extends Source> = {
  [Code in ProblemCode]: SourceOf<Code> extends From ? Code : never;
}[ProblemCode];

export function sourceOf(code: ProblemCode): Source {
  const { database, probe }: Grounds = PROBLEMS[code].restsOn;
  if (database !== 'nothing') return 'database';
  return probe.length === 0 ? 'settings' : 'probe';
}
