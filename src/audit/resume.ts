import type { System } from '../airflow/catalogue-queries.ts';
import { systemStatement } from '../airflow/catalogue-queries.ts';
import type { Database } from '../postgres/client.ts';
import { ageOf } from '../postgres/standby.ts';
import type { Duck } from './duck.ts';
import type { Inventory } from './inventory.ts';
import type { Base } from './named-object.ts';
import { sourcesOf } from './read-rows.ts';
import { auditOriginStatement } from './row-statements.ts';
import type { Connections } from './servers.ts';
import { progressOf, setProgress } from './store.ts';

/** The parts of the question that an audit answers. Work goes on only if each of them is as it was. */
interface Question {
  /** The version of the tables and files in the work folder. */
  readonly layout: number;
  readonly database: string | undefined;
  /** Identifies the cluster, which a standby shares with its primary; null when the role may not read it. */
  readonly system: string | null;
  readonly tables: readonly (readonly [table: string, value: string])[];
  readonly places: readonly Base[];
  readonly inventory: readonly [bucket: string, createdAt: number] | null;
}

const CHANGED: Readonly<Record<keyof Question, string>> = {
  layout: 'another version of the audit did the work so far',
  database: 'the database is another one',
  system: 'the database is in another cluster',
  tables: 'Airflow was upgraded: its tables are others',
  places: 'the paths are others',
  inventory: 'the inventory is another one',
};

/** If an earlier run read its rows longer ago, the audit starts over: too many of them have been purged since. */
const STALE_MS = 24 * 3_600_000;

export interface Now {
  readonly question: Question;
  /** The database shows everything that was committed up to this moment, epoch ms; null when a standby cannot tell. */
  readonly asOf: number | null;
  readonly connections: Connections;
}

interface AskOptions extends Connections {
  readonly database: Pick<Database, 'read'>;
  readonly configured: readonly Base[];
  readonly signal: AbortSignal;
}

export async function askNow(
  { database, configured, connectionOf, isKnown, signal }: AskOptions,
  { layout, inventory }: { readonly layout: number; readonly inventory: Inventory | null },
): Promise<Now> {
  const { origin, system } = await database.read(async (query) => {
    const [named] = await query<{ origin: string; mayNameSystem: boolean }>(auditOriginStatement());
    const [cluster] = named?.mayNameSystem === true ? await query<System>(systemStatement()) : [];
    return { origin: named?.origin, system: cluster?.system ?? null };
  }, signal);
  const { asOf } = await ageOf(database, { patienceMs: 0, signal });
  const { live } = await sourcesOf(database, signal);
  return {
    question: {
      layout,
      database: origin,
      system,
      tables: live.map(({ table, value }) => [table, value]),
      places: configured,
      inventory: inventory === null ? null : [inventory.sourceBucket, inventory.createdAt],
    },
    asOf,
    connections: { connectionOf, isKnown },
  };
}

/**
 * Why the work of an earlier run must not go on; null when it may. Objects are judged by the moment at which the rows
 * began to be read. The rows that are read from now on have to be at least as recent, and of the same database.
 */
export async function reasonToStartOver(
  duck: Duck,
  { question, asOf, connections }: Now,
): Promise<string | null> {
  const begun = await progressOf<{ asOf: number | null }>(duck, 'rows');
  if (begun === null) return null;
  const earlier = await progressOf<Partial<Question>>(duck, 'question');
  for (const part of Object.keys(CHANGED) as (keyof Question)[])
    if (JSON.stringify(earlier?.[part]) !== JSON.stringify(question[part])) return CHANGED[part];
  if (question.system === null) return 'the role may not read which cluster the database is in';
  for (const [id, before] of Object.entries(await endpointsOf(duck))) {
    const endpoint = endpointOf(id, connections);
    if (endpoint === before) continue;
    if (before === null) return 'a connection that rows name was not known before';
    if (endpoint === null) return 'a connection that rows name is not known any more';
    return 'object storage has another endpoint or region';
  }
  if (asOf === null || begun.asOf === null) return 'the standby does not say how far it is';
  if (asOf < begun.asOf) return 'the database is behind the one that was read before';
  if (asOf - begun.asOf > STALE_MS) return 'the rows were read more than a day ago';
  return null;
}

export async function keepQuestion(duck: Duck, { question, connections }: Now): Promise<void> {
  await setProgress(duck, 'question', question);
  await keepEndpoints(duck, question.places, connections);
}

/** Keeps where the connections of these places lead. Rows name connections too, so this is kept once more after them. */
export async function keepEndpoints(
  duck: Duck,
  places: readonly Base[],
  connections: Connections,
): Promise<void> {
  const endpoints = places.map(({ connection }) => [connection, endpointOf(connection, connections)]);
  await setProgress(duck, 'endpoints', { ...(await endpointsOf(duck)), ...Object.fromEntries(endpoints) });
}

async function endpointsOf(duck: Duck): Promise<Readonly<Record<string, string | null>>> {
  return (await progressOf<Record<string, string | null>>(duck, 'endpoints')) ?? {};
}

/** Null for a connection that is not known. */
function endpointOf(id: string, { connectionOf, isKnown }: Connections): string | null {
  if (!isKnown(id)) return null;
  const { endpoint, region, variants } = connectionOf(id);
  return JSON.stringify([endpoint, region, variants]);
}
