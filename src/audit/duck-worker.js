// @ts-check
/**
 * DuckDB in a thread of its own, for its appender blocks whoever calls it. Plain JavaScript: a thread starts from a file
 * as it stands, in the sources as in the build.
 */
import { rmSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/**
 * @typedef {import('./duck-messages.ts').Request} Request
 * @typedef {import('./duck-messages.ts').Answer} Answer
 */

/** Rows of one chunk: DuckDB's own size of a vector. */
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
  // Rows and what says that they are there are one transaction: a run that is killed finds both or neither.
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
      // What a killed run spilled stays otherwise.
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

parentPort?.on('message', (/** @type {{ id: number, request: Request }} */ { id, request }) => {
  handle(request).then(
    (rows) => {
      answer({ id, rows });
    },
    (/** @type {unknown} */ error) => {
      answer({ id, error: error instanceof Error ? error.message : String(error) });
    },
  );
});
