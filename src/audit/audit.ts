import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import type { Database } from '../postgres/client.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { S3Connection } from '../s3/connection.ts';
import type { Confirmed } from './confirm.ts';
import { confirm } from './confirm.ts';
import type { Duck } from './duck.ts';
import { openDuck, requireDuck } from './duck.ts';
import type { Figures } from './figures.ts';
import { figuresOf } from './figures.ts';
import type { HeldPlace } from './held-places.ts';
import { heldPlaces } from './held-places.ts';
import { holdBack } from './held.ts';
import type { Inventory } from './inventory.ts';
import { loadInventory, openInventory } from './inventory.ts';
import { join } from './join.ts';
import { bucketOf, startOf } from './key-sql.ts';
import type { SafeDays } from './lifecycle.ts';
import { safeDays } from './lifecycle.ts';
import type { Unlisted } from './list-objects.ts';
import { listObjects } from './list-objects.ts';
import type { Base } from './named-object.ts';
import { ownAnswer } from './no-answer.ts';
import { distinctPlaces, isSamePlace } from './places.ts';
import type { Rate } from './rate.ts';
import type { RowsRead } from './read-rows.ts';
import { notBehind, readRows, sourcesOf } from './read-rows.ts';
import { comparedAt, PRICED, refuseTwoServers, requireKnown, serversOf, setApart } from './servers.ts';
import { askNow, keepEndpoints, keepQuestion, reasonToStartOver } from './resume.ts';
import { createTables, once } from './store.ts';
import { confirmUnreadable } from './unreadable.ts';
import { claimWork, databaseIn, forgetWork, removeWork } from './work-folder.ts';

export interface AuditOptions {
  readonly database: Pick<Database, 'read'>;
  readonly storeOf: (connection: string) => Pick<ObjectStore, 'list' | 'head' | 'peek'>;
  readonly connectionOf: (id: string) => S3Connection;
  /** False for an id that only rows name, when another connection stands in for it. */
  readonly isKnown: (id: string) => boolean;
  /** The places that Airflow is configured to write to. */
  readonly configured: readonly Base[];
  /** The address of a manifest.json; null when the audit lists the objects. */
  readonly inventory: string | null;
  /** The folder that keeps the work done so far. The audit makes it, and removes it when it is complete. */
  readonly work: string;
  readonly olderThanMs: number;
  readonly memoryBytes: number;
  /** `pages` limits pages of the database, `requests` limits requests to storage. */
  readonly pages: Rate;
  readonly requests: Rate;
  readonly concurrency: number;
  /** Waits as long as a purging task may take from deleting an object to deleting its row. */
  readonly settle: (signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  /** Takes what the audit is doing. The next words take their place. */
  readonly report: (words: string) => void;
  /** Takes a sentence that the reader has to see. */
  readonly note: (sentence: string) => void;
}

export interface Audit {
  /** The rows were read as of this moment, epoch ms; null when a standby cannot say. */
  readonly rowsAsOf: number | null;
  /** When the inventory was made, epoch ms; null when objects were listed. */
  readonly inventoryAt: number | null;
  readonly sources: readonly string[];
  readonly places: readonly Base[];
  readonly unlisted: readonly Unlisted[];
  /** The places whose orphans are listed, but not for deletion. */
  readonly held: readonly HeldPlace[];
  readonly figures: Figures;
  readonly confirmed: Confirmed;
  readonly safe: SafeDays;
  /** Objects younger than this must not be deleted, epoch ms; null when no object may be deleted. */
  readonly deletedUpTo: number | null;
}

const HOUR_MS = 3_600_000;
/** How long a task may take from its object to its row, and how much two clocks may differ. */
const PUSH_MS = HOUR_MS;
/** How far an inventory may lag behind its own date. */
const INVENTORY_LAG_MS = 24 * HOUR_MS;
/** The version of the tables and files in the work folder. The audit does not continue work of another version. */
const LAYOUT = 7;
const NEVER = -1;
const ALWAYS = 253_402_300_799_999;

/**
 * Compares all objects that rows name with all objects that are there. The audit reads rows first: an object put after
 * that is too young to be judged. If a row is gone by the time the audit looks for its object, reading the row again
 * shows that.
 *
 * The tables still exist while `use` runs; when `use` has succeeded, the audit deletes the work folder.
 */
export async function audit<Result>(
  options: AuditOptions,
  use: (audit: Audit, duck: Duck) => Promise<Result>,
): Promise<Result> {
  const { work, report, signal } = options;
  requireDuck();
  requireKnown(options.configured, options.isKnown);
  refuseTwoServers(options.configured, serversOf(options));
  claimWork(work);
  const inventory =
    options.inventory === null
      ? null
      : await openInventory(options.inventory, { ...options, folder: joinPath(work, 'inventory') });
  const duck = await openWork(options, inventory);
  try {
    const audited = await examine(duck, options, inventory);
    signal.throwIfAborted();
    report('writing the lists');
    const result = await use(audited, duck);
    await duck.close();
    removeWork(work);
    return result;
  } finally {
    await duck.close();
  }
}

/**
 * Only reads what rows name, for a comparison that is too large for this machine. The table still exists while `use`
 * runs.
 */
export async function readReferences(
  options: Omit<AuditOptions, 'inventory'>,
  use: (rows: RowsRead, duck: Duck) => Promise<void>,
): Promise<void> {
  const { work } = options;
  requireDuck();
  claimWork(work);
  const duck = await openWork(options, null);
  try {
    const rows = await rowsOf(duck, options);
    options.report('writing the references');
    await use(rows, duck);
    await duck.close();
    removeWork(work);
  } finally {
    await duck.close();
  }
}

function rowsOf(duck: Duck, options: Omit<AuditOptions, 'inventory'>): Promise<RowsRead> {
  return once(duck, 'rows done', async () => {
    const rows = await readRows({
      ...options,
      duck,
      bases: options.configured,
      pace: options.pages,
      clock: () => performance.now(),
      report: ({ pages, named, table }) => {
        options.report(`reading ${table}: ${named} references, ${pages} pages`);
      },
    });
    await keepEndpoints(duck, rows.bases, options);
    return rows;
  });
}

/** Continues the work of an earlier run if that run was asked the same question, and not long ago. */
async function openWork(
  options: Omit<AuditOptions, 'inventory'>,
  inventory: Inventory | null,
): Promise<Duck> {
  const { work, memoryBytes, note } = options;
  const spill = `spill-${randomUUID()}`;
  const open = () => openDuck({ file: databaseIn(work), temporary: joinPath(work, spill), memoryBytes });
  const now = await askNow(options, { layout: LAYOUT, inventory });
  let duck = await open();
  // DuckDB has the file open now, so no other process works in this folder.
  for (const name of readdirSync(work))
    if (name.startsWith('spill-') && name !== spill)
      rmSync(joinPath(work, name), { recursive: true, force: true });
  await createTables(duck);
  const reason = await reasonToStartOver(duck, now);
  if (reason !== null) {
    note(`The audit starts over: ${reason}.`);
    await duck.close();
    forgetWork(work);
    duck = await open();
    await createTables(duck);
  }
  await keepQuestion(duck, now);
  return duck;
}

async function examine(duck: Duck, options: AuditOptions, inventory: Inventory | null): Promise<Audit> {
  const { olderThanMs, report, signal } = options;
  const serverOf = serversOf(options);
  const rows = await rowsOf(duck, options);
  const database = notBehind(options.database, rows, signal);
  await duck.reopen();
  const isAsked = comparedAt([...options.configured, ...rows.bases], serverOf);
  const configured = distinctPlaces(options.configured, isAsked);
  const seen = distinctPlaces(rows.bases, isAsked).filter(
    (base) => !configured.some((one) => isSamePlace(one, base)),
  );
  // Another connection would stand in for one that is not known, and lead to another server.
  const asked = seen.filter(isAsked);
  const listing = await once(duck, 'objects done', () =>
    inventory === null
      ? listObjects({
          ...options,
          duck,
          configured,
          seen: asked,
          pace: options.requests,
          report: ({ objects, lanes, done }) => {
            report(`listing: ${objects} objects, ${done} of ${lanes} parts`);
          },
        })
      : loadInventory(inventory, {
          ...options,
          duck,
          configured,
          seen: asked,
          folder: joinPath(options.work, 'inventory'),
          report: ({ files, of }) => {
            report(`reading the inventory: ${files} of ${of} files`);
          },
        }),
  );
  const { places } = listing;
  const isListed = (base: Base) => places.some((place) => startOf(base).startsWith(startOf(place)));
  const unasked = seen.filter((base) => !asked.includes(base) && !isListed(base));
  const unlisted = [
    ...listing.unlisted,
    ...unasked.map((base) => {
      const reason = serverOf(base.connection) === null ? 'unknown_connection' : 'other_server';
      return { ...base, ...ownAnswer(base.connection, reason) };
    }),
  ];
  await duck.reopen();
  report('comparing');
  const bases = [...configured, ...seen];
  const since = rows.asOf === null ? null : Math.min(rows.asOf, inventory?.createdAt ?? Infinity);
  const deletedUpTo = since === null ? null : since - olderThanMs;
  const judgedUpTo = since === null ? NEVER : since - PUSH_MS;
  const rowsUpTo = inventory === null ? ALWAYS : inventory.createdAt - INVENTORY_LAG_MS;
  await join({ duck, work: options.work, places, bases, judgedUpTo, rowsUpTo });
  report('looking again at what is missing');
  const { live } = await sourcesOf(database, signal);
  const apart = await setApart({ duck, places, serverOf });
  const asking = { ...options, duck, bases, sources: live, pace: options.requests };
  const unanswered = await confirmUnreadable({ ...asking, isApart: apart.isApart });
  const listedUpTo = Math.min(judgedUpTo, rowsUpTo);
  const confirmed = await confirm({
    ...asking,
    places,
    serverOf,
    apart,
    unanswered,
    listedUpTo,
  });
  const buckets = await duck.run<{ name: string }>(
    `SELECT DISTINCT ${bucketOf('location')} AS name FROM named`,
  );
  const held = heldPlaces({
    configured: options.configured,
    bases: rows.bases,
    buckets: buckets.map(({ name }) => name),
    doubts: confirmed.doubts,
  });
  await holdBack({
    ...options,
    database,
    duck,
    bases,
    held,
    deletedUpTo: deletedUpTo ?? NEVER,
    hasTaskInstances: live.some(({ owner }) => owner === 'task_instance_id'),
  });
  const figures = await figuresOf(duck, {
    places,
    bases,
    isApart: apart.isApart,
    hasPrices: places.every(({ connection }) => serverOf(connection) === PRICED),
  });
  return {
    rowsAsOf: rows.asOf,
    inventoryAt: inventory?.createdAt ?? null,
    sources: rows.sources,
    places,
    unlisted,
    held,
    figures,
    confirmed,
    safe: safeDays(figures, { rowsAsOf: rows.asOf, now: Date.now() }),
    deletedUpTo,
  };
}
