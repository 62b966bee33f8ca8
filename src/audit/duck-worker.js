// @ts-check
/**
 * DuckDB runs in a thread of its own, because its appender blocks the thread that calls it. This is plain JavaScript,
 * because a thread starts from this file as it is, both in the sources and in the build.
 */
import { rmSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/**
 * @typedef {import('./duck-messages.ts').Request} Request
 * @typedef {import('./duck-messages.ts').Answer} Answer
 */

/** Rows in one chunk: the size of a vector in DuckDB. */
const CHUNK_ROWS = 2048;

/** @type {typeof import('@duckdb/node-api') | null} */
let duckdb = null;
/** @type {import('@duckdb/node-api').DuckDBInstance | null} */
let instance = null;
/** @type {import('@duckdb/node-api').DuckDBConnection | null} */
let connection = null;

function open() {
  if (connection === null) throw new Error('The database of the audit is not open');
  return connection;
}

/** @param {Extract<Request, { kind: 'append' }>} request */
async function append({ table, types, columns, progress }) {
  if (duckdb === null) throw new Error('DuckDB is not loaded');
  const { DuckDBDataChunk, DOUBLE, VARCHAR } = duckdb;
  const on = open();
  // Rows and the progress that counts them go into one transaction: after a kill, both are there or neither is.
  await on.run('BEGIN');
  try {
    const rows = columns[0]?.length ?? 0;
    const appender = await on.createAppender(table);
    for (let from = 0; from < rows; from += CHUNK_ROWS) {
      const to = Math.min(rows, from + CHUNK_ROWS);
      const chunk = DuckDBDataChunk.create(
        types.map((type) => (type === 'text' ? VARCHAR : DOUBLE)),
        to - from,
      );
      chunk.setColumns(columns.map((column) => column.slice(from, to)));
      appender.appendDataChunk(chunk);
    }
    appender.closeSync();
    for (const [step, state] of progress)
      await on.run('INSERT OR REPLACE INTO progress VALUES ($1, $2)', [step, state]);
    await on.run('COMMIT');
  } catch (error) {
    await on.run('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

function close() {
  connection?.closeSync();
  instance?.closeSync();
  connection = instance = null;
}

/** @param {Request} request */
async function handle(request) {
  switch (request.kind) {
    case 'open': {
      close();
      duckdb ??= await import('@duckdb/node-api');
      // Otherwise files that an earlier opening spilled into this folder could stay.
      rmSync(request.settings.temp_directory, { recursive: true, force: true });
      instance = await duckdb.DuckDBInstance.create(request.file, request.settings);
      connection = await instance.connect();
      return [];
    }
    case 'run': {
      const reader = await open().runAndReadAll(request.sql, [...request.values]);
      return reader.getRowObjectsJS();
    }
    case 'append':
      await append(request);
      return [];
    case 'close':
      close();
      return [];
  }
}

/** @param {Answer} message */
function answer(message) {
  parentPort?.postMessage(message);
}

/** One request at a time, in the order in which they come: another request must not end up in an append's transaction. */
let last = Promise.resolve();
parentPort?.on('message', (/** @type {{ id: number, request: Request }} */ { id, request }) => {
  last = last
    .then(() => handle(request))
    .then(
      (rows) => {
        answer({ id, rows });
      },
      (/** @type {unknown} */ error) => {
        answer({ id, error: error instanceof Error ? error.message : String(error) });
      },
    );
});
