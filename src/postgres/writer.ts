import pg from 'pg';

/** A connection that may write, for the demo and the tests. The exporter itself uses only `openDatabase`. */
export interface PostgresWriter {
  /** Several statements in one text are allowed when no values are given. */
  query<Row>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>;
  /** Waits for running statements and closes. A second call does nothing. */
  close(): Promise<void>;
}

export interface WriterSettings {
  /** `postgresql://user:password@host:port/database` */
  readonly url: string;
  /** How many connections at most. Default 4. */
  readonly connections?: number;
}

/** @throws {Error} when the server cannot be reached; the message carries no password. */
export async function openWriter(settings: WriterSettings): Promise<PostgresWriter> {
  const pool = new pg.Pool({
    connectionString: settings.url,
    max: settings.connections ?? 4,
    connectionTimeoutMillis: 5_000,
    application_name: 'airflow-xcom-exporter-writer',
  });
  // The pool emits 'error' when the server ends an idle session; without a listener, this would end the process.
  pool.on('error', () => undefined);
  try {
    await pool.query('SELECT 1');
  } catch (cause) {
    await pool.end();
    const { host, pathname } = new URL(settings.url);
    throw new Error(`Cannot connect to the database ${pathname.slice(1)} on ${host}: ${String(cause)}`, {
      cause,
    });
  }
  let closed: Promise<void> | null = null;
  return {
    query: async (text, values) => {
      const answer = await pool.query(text, values === undefined ? undefined : [...values]);
      return answer.rows as never;
    },
    close: () => {
      closed ??= pool.end();
      return closed;
    },
  };
}
