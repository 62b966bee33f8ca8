import type { Duck } from './duck.ts';
import type { AskOptions } from './looks.ts';
import { headAll, keepVerdicts, sampleOf } from './looks.ts';
import type { Base } from './named-object.ts';
import type { NoAnswer } from './no-answer.ts';
import { noAnswer, ownAnswer } from './no-answer.ts';

export interface UnreadableOptions extends AskOptions {
  readonly duck: Duck;
  readonly bases: readonly Base[];
  /** SQL: whether the listing says nothing about a reference. */
  readonly isApart: string;
}

/**
 * A listing does not show whether an object was restored from its archive. Some servers keep the name of the storage
 * class and hand the object out. So objects in archive classes are asked for. Returns why some are not known.
 */
export async function confirmUnreadable(options: UnreadableOptions): Promise<NoAnswer[]> {
  const { duck, bases, isApart } = options;
  const look = { duck, table: 'unreadable', listed: 'unreadable' } as const;
  // Verdicts of an audit that was killed are forgotten.
  await duck.run(
    `UPDATE unreadable SET verdict = CASE WHEN ${isApart} THEN 'unjudged' ELSE 'unreadable' END`,
  );
  const candidates = await sampleOf(look, bases);
  if (candidates.length === 0) return [];
  const answers = await headAll(candidates, options);
  const verdicts = answers.map((answer) => {
    if (answer.kind !== 'present') return 'unsure';
    return answer.archive === null ? 'live' : 'unreadable';
  });
  await keepVerdicts(look, candidates, verdicts);
  return answers.flatMap((answer, index) => {
    const { connection = '' } = candidates[index] ?? {};
    if (answer.kind === 'present') return [];
    return [answer.kind === 'unknown' ? noAnswer(connection, answer) : ownAnswer(connection, 'gone_since')];
  });
}
