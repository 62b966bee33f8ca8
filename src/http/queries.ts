import type { ProblemCode } from '../diagnosis/problem-catalogue.ts';
import { PROBLEM_CODES, PROBLEMS } from '../diagnosis/problem-catalogue.ts';
import { nearest } from '../lib/nearest.ts';
import type { FindingsQuery } from '../status/status-document.ts';
import { DEFAULT_LIMIT, FINDINGS_PARAMETERS, MAX_LIMIT } from '../status/status-document.ts';
import type { PageView } from './status-page.ts';

/** Query parameters of the page as Express gives them: a string each, a list when one is repeated. */
export function parsePageQuery(
  query: Readonly<Record<string, unknown>>,
): Omit<PageView, 'runbook'> | { readonly error: string } {
  // A list of rows must not change while somebody reads it.
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

/** Query parameters as Express gives them: a string each, a list when one is repeated. */
export function parseFindingsQuery(
  query: Readonly<Record<string, unknown>>,
): FindingsQuery | { error: string } {
  const { problem = null, dag_id: dagId = null, limit = String(DEFAULT_LIMIT), ...unknown } = query;
  const [stranger] = Object.keys(unknown);
  if (stranger !== undefined) return { error: `unknown parameter: there is ${parameterNames.join(', ')}` };
  for (const [name, value] of Object.entries(query))
    if (Array.isArray(value)) return { error: `${name} is given more than once: give it once` };
  if (problem !== null && !isProblemCode(problem)) {
    const near = typeof problem === 'string' ? nearest(problem, PROBLEM_CODES) : null;
    const hint = near === null ? '' : `; did you mean ${near}?`;
    return { error: `problem must be one of ${PROBLEM_CODES.join(', ')}${hint}` };
  }
  if (dagId !== null && (typeof dagId !== 'string' || dagId === ''))
    return { error: 'dag_id must be one dag id' };
  const count = typeof limit === 'string' && /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > MAX_LIMIT) return { error: `limit must be a whole number from 1 to ${MAX_LIMIT}` };
  return { problem, dagId, limit: count };
}

const parameterNames = Object.keys(FINDINGS_PARAMETERS);

function isProblemCode(text: unknown): text is ProblemCode {
  return typeof text === 'string' && Object.hasOwn(PROBLEMS, text);
}
