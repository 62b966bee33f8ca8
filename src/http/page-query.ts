import { PROBLEM_CODES, PROBLEMS, type ProblemCode } from '../problems.ts';
import type { PageView } from './status-page.ts';

/** Query parameters of the page as Express gives them: a string each, a list when one is repeated. */
export function parsePageQuery(
  query: Readonly<Record<string, unknown>>,
): Omit<PageView, 'runbook'> | { readonly error: string } {
  // Who reads a list of rows is not to find another one under the eyes.
  const { problem = null, page = '1', refresh = problem === null ? 'on' : 'off', ...unknown } = query;
  if (Object.keys(unknown).length > 0)
    return { error: 'Unknown parameter: there is problem, page, refresh.' };
  if (problem !== null && !isProblemCode(problem)) {
    return { error: `problem must be one of ${PROBLEM_CODES.join(', ')}.` };
  }
  const number = typeof page === 'string' && /^\d{1,7}$/.test(page) ? Number(page) : 0;
  if (number < 1) return { error: 'page must be a whole number from 1.' };
  if (refresh !== 'on' && refresh !== 'off') return { error: 'refresh must be on or off.' };
  return { problem, page: number, refresh: refresh === 'on' };
}

function isProblemCode(text: unknown): text is ProblemCode {
  return typeof text === 'string' && Object.hasOwn(PROBLEMS, text);
}
