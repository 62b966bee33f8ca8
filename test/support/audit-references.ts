import type { References } from '../../src/audit/figures.ts';

/** The references of an audit that found one live object, and nothing else. */
export const ONE_LIVE: References = {
  live: 1,
  absent: 0,
  young: 0,
  unreadable: [],
  unsure: 0,
  unjudged: 0,
  undated: 0,
  outside: 0,
  archived: 0,
  foreign: 0,
};
