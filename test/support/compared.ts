import type { Comparison } from '../../src/diagnosis/surveyor.ts';

/** Every cycle compares what it has kept with what it would build anew. */
export const ALWAYS_COMPARED: Comparison = {
  every: 1,
  differs: (message) => {
    throw new Error(message);
  },
};
