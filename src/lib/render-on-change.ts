import { setImmediate as nextTick } from 'node:timers/promises';
import { gzipHead } from './gzip-join.ts';
import type { GzipHead } from './gzip-join.ts';

export interface Rendered {
  readonly text: Buffer;
  readonly gzip: GzipHead;
}

/** What takes long to write out (10,000 series block the loop for some 30 ms): once for each change, however many read it. */
export function renderOnChange(write: () => Promise<Buffer>): {
  touch(): void;
  rendered(): Promise<Rendered>;
} {
  let scheduled = false;
  let current = schedule();

  function schedule(): Promise<Rendered> {
    scheduled = true;
    const rendering = render();
    // Whoever reads it gets the error; with no reader it must not end the process.
    rendering.catch(() => undefined);
    return rendering;
  }

  async function render(): Promise<Rendered> {
    // The end of the tick: several publishes in a row are one rendering.
    await nextTick();
    scheduled = false;
    const text = await write();
    return { text, gzip: gzipHead(text) };
  }

  return {
    touch() {
      if (!scheduled) current = schedule();
    },
    rendered: () => current,
  };
}
