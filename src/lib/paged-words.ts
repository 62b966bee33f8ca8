/** A long row of 32-bit numbers that grows piece by piece: nothing is copied, and nothing of it is left as garbage. */
export interface PagedWords {
  /** 0 where nothing was put. */
  get(at: number): number;
  put(at: number, value: number): void;
}

const PAGE_BITS = 14;
const PAGE_WORDS = 1 << PAGE_BITS;

export function createPagedWords(): PagedWords {
  const pages: Uint32Array[] = [];
  return {
    get: (at) => pages[at >>> PAGE_BITS]?.[at & (PAGE_WORDS - 1)] ?? 0,
    put(at, value) {
      const number = at >>> PAGE_BITS;
      while (pages.length <= number) pages.push(new Uint32Array(PAGE_WORDS));
      const page = pages[number];
      if (page !== undefined) page[at & (PAGE_WORDS - 1)] = value;
    },
  };
}
