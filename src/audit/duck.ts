import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { Answer, Batch, DuckSettings, Request } from './duck-messages.ts';

/** DuckDB on a file, in a thread of its own. */
export interface Duck {
  /** The caller gives the type of the rows, which has to fit the statement. */
  run<Row>(sql: string, values?: readonly (string | number)[]): Promise<Row[]>;
  append(batch: Batch): Promise<void>;
  /** Closes the file and opens it again, so that DuckDB gives back the memory that it took beyond its limit. */
  reopen(): Promise<void>;
  close(): Promise<void>;
}

export interface DuckOptions {
  readonly file: string;
  /** The folder for spilled data. It belongs to this run alone, and every opening clears it. */
  readonly temporary: string;
  /** The most memory that the whole process may take. */
  readonly memoryBytes: number;
}

const MIB = 2 ** 20;
/** The memory that Node, the clients and DuckDB's own code take before the first row. */
const BASE_BYTES = 220 * MIB;
/** One step takes a quarter more memory than DuckDB's limit. */
const OVER = 1.3;
const LEAST_BYTES = 200 * MIB;
/** With less memory, DuckDB cannot join two million keys. */
export const LEAST_MEMORY_BYTES = 512 * MIB;

function settingsOf({ temporary, memoryBytes }: DuckOptions): DuckSettings {
  const limit = Math.max(LEAST_BYTES, Math.floor((memoryBytes - BASE_BYTES) / OVER));
  return {
    temp_directory: temporary,
    memory_limit: `${Math.floor(limit / MIB)}MiB`,
    threads: '2',
    preserve_insertion_order: 'false',
    // The allocator gives freed memory back sooner. With its defaults, `npm run bench:audit-inventory` peaks at 1,057 MB
    // instead of 836.
    allocator_background_threads: 'true',
    allocator_flush_threshold: '16MiB',
    allocator_bulk_deallocation_flush_threshold: '32MiB',
    // Otherwise DuckDB would fetch extensions that are not built in from the network.
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  };
}

/** @throws {Error} when another process has the file open. */
export async function openDuck(options: DuckOptions): Promise<Duck> {
  const worker = new Worker(new URL('duck-worker.js', import.meta.url));
  const waiting = new Map<number, { resolve: (rows: never[]) => void; reject: (error: Error) => void }>();
  let asked = 0;
  let ended: Error | null = null;

  function end(error: Error): void {
    ended ??= error;
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  }
  worker.on('message', (answer: Answer) => {
    const waiter = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('error' in answer) waiter?.reject(new Error(`Cannot work with DuckDB: ${answer.error}`));
    else waiter?.resolve(answer.rows as never[]);
  });
  worker.on('error', end);
  worker.on('exit', () => {
    end(new Error('The thread of DuckDB ended'));
  });

  function ask<Row>(request: Request): Promise<Row[]> {
    return new Promise((resolve, reject) => {
      if (ended !== null) {
        reject(ended);
        return;
      }
      asked += 1;
      waiting.set(asked, { resolve, reject });
      worker.postMessage({ id: asked, request });
    });
  }

  const open = () => ask({ kind: 'open', file: options.file, settings: settingsOf(options) });
  async function close(): Promise<void> {
    await ask({ kind: 'close' }).catch(() => undefined);
    await worker.terminate();
  }
  try {
    await open();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    run: (sql, values = []) => ask({ kind: 'run', sql, values }),
    append: async (batch) => {
      await ask({ kind: 'append', ...batch });
    },
    reopen: async () => {
      await open();
    },
    close,
  };
}

/** @throws {Error} when the package is not installed; the audit calls this before it begins anything. */
export function requireDuck(): void {
  try {
    createRequire(import.meta.url).resolve('@duckdb/node-api');
  } catch {
    throw new Error(
      'The audit needs the optional package @duckdb/node-api, which is not installed here: npm install @duckdb/node-api',
    );
  }
}
