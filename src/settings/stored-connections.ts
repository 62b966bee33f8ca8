import type { StoredConnection } from '../airflow/stored-connection.ts';
import { openStoredConnection, storedConnectionsStatement } from '../airflow/stored-connection.ts';
import type { Database } from '../postgres/client.ts';
import type { Learned } from '../s3/stores.ts';
import type { Config } from './config.ts';
import { pushFaultsOf, sentenceOf } from './push-fault.ts';
import type { FailingPushes, Warning } from './push-fault.ts';

type Settings = Pick<Config, 's3' | 'stored' | 'xcom'>;

/** How long the connections that were read count as current: people change connections by hand. */
const KEEP_MS = 60_000;

export interface StoredConnections {
  /**
   * Never throws: a failure to read becomes a reason. If no view is given, the result is empty and nothing is asked.
   */
  read(signal: AbortSignal): Promise<ReadonlyMap<string, Learned>>;
  /** Sentences on the connections that the paths name, as of the last reading. */
  warnings(): readonly string[];
  /**
   * Why pushes of workers with one of these fail, as `xcom.pushFaults` of the settings say for other connections.
   */
  pushFaults(): readonly FailingPushes[];
}

/**
 * The connections that are kept in Airflow's database, through a view that shows a few of them. As in Airflow, a
 * variable takes precedence. `clock`: ms, on a clock that nobody sets.
 */
export function createStoredConnections(
  { s3, stored, xcom }: Settings,
  { database, clock }: { readonly database: Pick<Database, 'read'>; readonly clock: () => number },
): StoredConnections {
  let latest: { readonly at: number; readonly answer: Promise<ReadonlyMap<string, Learned>> } | null = null;
  /** Kept so that no connection is lost while the database is away. */
  let known: ReadonlyMap<string, Learned> = new Map();
  let warnings: readonly Warning[] = [];

  async function readAnew(
    view: NonNullable<Config['stored']>,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Learned>> {
    const found = await readNow({ s3, stored: view }, { database, signal });
    if ('failure' in found) {
      latest = null;
      return new Map([...whyNot(s3, found.failure), ...known]);
    }
    known = found.learned;
    warnings = found.warnings;
    return known;
  }

  return {
    warnings: () => warnings.map(sentenceOf),
    pushFaults: () => pushFaultsOf(warnings, xcom),
    read(signal) {
      if (stored === null) return Promise.resolve(new Map());
      if (latest === null || clock() - latest.at >= KEEP_MS)
        latest = { at: clock(), answer: readAnew(stored, signal) };
      return latest.answer;
    },
  };
}

interface ReadAnew {
  readonly learned: ReadonlyMap<string, Learned>;
  readonly warnings: readonly Warning[];
}

async function readNow(
  { s3, stored }: { readonly s3: Config['s3']; readonly stored: NonNullable<Config['stored']> },
  { database, signal }: { readonly database: Pick<Database, 'read'>; readonly signal: AbortSignal },
): Promise<ReadAnew | { readonly failure: string }> {
  const wanted = [...s3.missing.keys()];
  let rows: readonly StoredConnection[];
  try {
    const statement = storedConnectionsStatement(stored.view, wanted);
    rows = await database.read((query) => query<StoredConnection>(statement), signal);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'the view cannot be read';
    return { failure: `${reason} (the view ${stored.view}, which docs/sql/connections-view.sql makes)` };
  }
  const found = rows
    // A variable takes precedence over the table.
    .filter(
      ({ conn_id: id }) =>
        s3.missing.has(id) || ![id, id.toUpperCase()].some((one) => s3.connections.has(one)),
    )
    .map((row) => ({ id: row.conn_id, ...learn(row, stored) }));
  const shown = new Set(rows.map(({ conn_id: id }) => id));
  const absent = wanted
    .filter((id) => !shown.has(id))
    .map((id): readonly [string, Learned] => [
      id,
      { why: `the connection ${id} is in no variable and not in the view ${stored.view}` },
    ]);
  return {
    learned: new Map([...found.map(({ id, learned }) => [id, learned] as const), ...absent]),
    // A connection that no path names is not in use yet.
    warnings: found.flatMap(({ id, warnings }) => (s3.missing.has(id) ? warnings : [])),
  };
}

function whyNot(s3: Config['s3'], failure: string): readonly (readonly [string, Learned])[] {
  return [...s3.missing.keys()].map((id) => [id, { why: `the connection ${id} is not known: ${failure}` }]);
}

function learn(
  row: StoredConnection,
  { keys, toS3, warningsOf }: NonNullable<Config['stored']>,
): { readonly learned: Learned; readonly warnings: readonly Warning[] } {
  try {
    const connection = { id: row.conn_id, given: openStoredConnection(row, keys) };
    const learned = toS3(connection);
    return { learned, warnings: warningsOf(connection, learned) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return {
      learned: { why: `the connection ${row.conn_id} in Airflow's database ${error.message}` },
      warnings: [],
    };
  }
}
