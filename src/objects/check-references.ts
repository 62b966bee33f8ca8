import type { Shape } from '../airflow/shape.ts';
import type { StandingRule, XComPath } from '../airflow/xcom-path.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import { createPace } from '../lib/pace.ts';
import type { Database } from '../postgres/client.ts';
import { nullIfBehind } from '../postgres/failure.ts';
import type { Age } from '../postgres/standby.ts';
import { ageOf, doubtOfAge, MOST_LAG_SECONDS, readUpTo } from '../postgres/standby.ts';
import type { ObjectStore } from '../s3/client.ts';
import { attribute } from '../sample/workers.ts';
import type { Config } from '../settings/config.ts';
import { storageInForce } from '../settings/config.ts';
import type { BaseLooks } from '../window/bases.ts';
import { basesOf } from '../window/bases.ts';
import { CHUNK_ROWS, indexInChunk } from '../window/columns.ts';
import type { UncheckedReason } from '../window/flags.ts';
import * as is from '../window/flags.ts';
import type { Increment, Learnt } from '../window/increments.ts';
import { objectIncrements } from '../window/increments.ts';
import type { Ledger } from '../window/ledger.ts';
import { readRow } from '../window/remembered-row.ts';
import { baseAt, flagsAt, workerAt } from '../window/row-fields.ts';
import type { Place } from './allowance.ts';
import type { Confirmed } from './confirm.ts';
import { confirm } from './confirm.ts';
import type { UnfinishedListings } from './orphans.ts';
import type { AskedStores } from './pinned-stores.ts';
import { pinStores } from './pinned-stores.ts';
import type { Verified } from './verify.ts';
import { NOTHING_ASKED, verify } from './verify.ts';

export interface CheckOptions {
  readonly config: Config;
  readonly database: Pick<Database, 'read'>;
  readonly stores: AskedStores;
  readonly shape: Shape;
  readonly standing: StandingRule;
  readonly looks: BaseLooks;
  /** Kept from cycle to cycle. */
  readonly unfinished: UnfinishedListings;
  /** Whether the probe has just seen its own object in the bucket in force. */
  readonly sawProbe: boolean;
  /** The store that the probe asked; null: the one of now. Another one may be of another server. */
  readonly probedStore: ObjectStore | null;
  /** Whether a HEAD by the probe has just given a false answer: then no HEAD is believed. */
  readonly isHeadFalse: boolean;
  readonly now: number;
  /** The age of the rows when they were read. */
  readonly age: Age;
  readonly random: () => number;
}

/** Asks S3 about references, reads the rows behind bad news once more, and takes in what is then certain. */
export async function checkReferences(
  ledger: Ledger,
  { config, database, shape, standing, looks, isHeadFalse, age: read, ...options }: CheckOptions,
  signal: AbortSignal,
): Promise<{ verified: Verified; increments: Increment[]; age: Age }> {
  const path = storageInForce(config);
  const base = path === null ? null : placeOf(path);
  const { sawProbe, probedStore } = options;
  const stores = pinStores(options.stores);
  const isControl =
    sawProbe && base !== null && (probedStore === null || probedStore === stores.of(base.connection));
  const verified = isHeadFalse
    ? NOTHING_ASKED
    : await verify(
        ledger,
        {
          ...options,
          stores,
          bases: (config.xcom.paths ?? []).filter(isS3Path).map(placeOf),
          from: options.now - config.windowMs,
          control: isControl ? base : null,
          isCurrent: doubtOfAge(read) === null,
          requests: config.s3.requestsPerCycle,
        },
        signal,
      );
  const suspects = verified.answers.filter(({ object }) => object !== 'present').map(({ slot }) => slot);
  // A standby must first reach the moment of the bad news: a row that it still shows may be gone by then.
  const patient = { patienceMs: MOST_LAG_SECONDS * 1_000, signal };
  const age = suspects.length === 0 || doubtOfAge(read) !== null ? read : await ageOf(database, patient);
  const rows = ledger.rows();
  const readAgain = () =>
    readUpTo(database, { age, ...patient }, async (query) => {
      const there = await confirm(query, shape, {
        suspects,
        entryOf: (slot) => readRow(rows, ledger.runOf(slot), slot),
      });
      const unnamed = [...there.keys()].filter(
        (slot) => workerAt(rows.chunkOf(slot), indexInChunk(slot)) === 0,
      );
      await attribute(query, shape, { ledger, slots: unnamed });
      return there;
    });
  // Null: no server could be asked that has reached this moment.
  const confirmed =
    suspects.length === 0
      ? new Map<number, Confirmed>()
      : age.lagSeconds === 0
        ? await readAgain().catch(nullIfBehind)
        : null;

  const unchecked = new Map(verified.unchecked);
  const learnt: Learnt[] = [];
  // These rows were purged or rewritten meanwhile: the next cycle reads the rows that replaced them.
  const gone: number[] = [];
  const pace = createPace();
  for (const [at, { slot, object, bytes }] of verified.answers.entries()) {
    if (at % 1_024 === 0) await pace.rest();
    if (object !== 'present' && confirmed === null) {
      unchecked.set(slot, 'unconfirmed');
      continue;
    }
    if (object !== 'present' && confirmed?.has(slot) === false) {
      gone.push(slot);
      continue;
    }
    const { archived, purging } = confirmed?.get(slot) ?? { archived: false, purging: false };
    // The object is neither reported nor taken as sound. It is asked about again until the row or the try ends, or until
    // it is known if anybody reads the row. A try that purges an object that was whole is no reason to doubt it.
    if (purging || archived === null) {
      if (!purging) unchecked.set(slot, 'unknown_reader');
      else if (is.isUnverified(rows.flagsOf(slot))) unchecked.set(slot, 'unconfirmed');
      continue;
    }
    learnt.push({ slot, first: is.isUnverified(rows.flagsOf(slot)) });
    rows.setObject(ledger.runOf(slot), slot, { object, bytes });
    if (archived) rows.setArchived(slot);
  }
  const bases = await basesOf(ledger, { standing, threshold: config.xcom.threshold, looks });
  const increments = objectIncrements(ledger, learnt, { bases, now: options.now });
  ledger.forget(gone);
  return {
    verified,
    increments: [...increments, ...(await noteUnchecked(ledger, { ...verified, unchecked }))],
    age,
  };
}

function placeOf({ connection, bucket, prefix }: XComPath): Place {
  return { connection: connection ?? '', bucket, prefix };
}

/**
 * Notes why nothing is known of an object that was never looked up, or no longer of one that was whole. Counts the
 * reference when the reason is new.
 */
export async function noteUnchecked(
  ledger: Ledger,
  { unchecked, rest }: Pick<Verified, 'unchecked' | 'rest'>,
): Promise<Increment[]> {
  const pace = createPace();
  const counts = new Map<UncheckedReason, number>();
  const rows = ledger.rows();
  const note = (slot: number, reason: UncheckedReason) => {
    rows.setUnchecked(slot, reason);
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  };
  for (const [slot, reason] of unchecked) {
    const flags = rows.flagsOf(slot);
    const wasWhole = is.objectOf(flags) === 'present';
    if (wasWhole && is.uncheckedOf(flags) !== reason) note(slot, reason);
  }
  const isAnyUnverified = [...ledger.runs().values()].some((run) => run.unverified > 0);
  for (const chunk of isAnyUnverified ? rows.chunks : []) {
    for (let index = 0; index < CHUNK_ROWS; index += 1) {
      const flags = flagsAt(chunk, index);
      if (!is.isUnverified(flags)) continue;
      const reason = unchecked.get(chunk.first + index) ?? rest(rows.bases.at(baseAt(chunk, index)));
      const before = is.uncheckedOf(flags);
      if (reason === null || reason === before) continue;
      // Its own refusal says more than that of others, and it is asked about after those that were never asked about.
      if (reason === 'not_asked' && before === 'denied') continue;
      note(chunk.first + index, reason);
    }
    await pace.rest();
  }
  return [...counts].map(([reason, by]) => ({ metric: 'references_unchecked_total', reason, by }));
}
