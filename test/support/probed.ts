import type { ProbeResult } from '../../src/probe/bucket.ts';

/** The probe of a bucket in which everything works. */
export const PROBED: ProbeResult = {
  steps: (['put', 'head', 'get', 'list', 'delete'] as const).map((operation) => ({
    operation,
    ok: true,
    seconds: 0.01,
  })),
  leftoversDeleted: 0,
  asker: 'workers',
  othersWriteFrom: null,
  othersReachFrom: null,
  writesFailSince: null,
};
