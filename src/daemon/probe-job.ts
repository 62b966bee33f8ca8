import type { Logger } from 'pino';
import type { Metrics } from '../metrics/metrics.ts';
import type { Database } from '../postgres/client.ts';
import type { ProbeResult } from '../probe/bucket.ts';
import { freshId, probeInForce, seeListingInForce } from '../probe/in-force.ts';
import type { Litter } from '../probe/own-versions.ts';
import { litterWords } from '../probe/own-versions.ts';
import { probeId } from '../probe/probe-id.ts';
import type { Listing, SeenListing } from '../probe/server-ways.ts';
import { listingWords } from '../probe/server-ways.ts';
import { createWriteRefusals } from '../probe/write-refusal.ts';
import { probeDatabase } from '../probe/database.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { Said } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import { storageInForce } from '../settings/config.ts';
import type { Ending } from './job.ts';

/** The last finding of the probe. */
export interface Probed {
  /** Null: nothing is known about the bucket. */
  readonly result: ProbeResult | null;
  /** Epoch ms; 0: never. */
  readonly at: number;
  /** The store that was asked; null: none was. The connection may have been replaced since. */
  readonly store: ObjectStore | null;
}

export interface ProbeJob {
  run(signal: AbortSignal): Promise<Ending>;
  latest(): Probed;
  /** How the server lists the bucket, checked once; null: not known. */
  listing(): SeenListing | null;
  /** Seconds by which the storage's clock was ahead at the last probe; 0: less than a minute off. Null: not known. */
  clockSkewSeconds(): number | null;
  /** Hides the finding: an exporter that stands by has nothing to show. */
  hide(): void;
}

const NOTHING_PROBED: ProbeResult = {
  steps: [],
  leftoversDeleted: 0,
  asker: 'exporter',
  othersWriteFrom: null,
  othersReachFrom: null,
  writesFailSince: null,
};

/** An operation that sent nothing, e.g. for lack of credentials, was not tried: `not_watching` tells of it. */
function wasSent({ said }: { readonly said: Said | null }): boolean {
  return said?.unasked !== true;
}

/** How long a refusal to delete versions is believed. */
const ERASE_AGAIN_MS = 3_600_000;

export function createProbeJob(parts: {
  readonly config: Config;
  readonly database: Database;
  readonly stores: Stores;
  readonly metrics: Metrics;
  readonly leads: () => boolean;
  /** Called at the end of every probe of the bucket. `at`: epoch ms. */
  readonly probed: (result: ProbeResult, at: number) => void;
  readonly log: Logger;
}): ProbeJob {
  const { config, database, stores, metrics, log } = parts;
  const id = probeId(config.web);
  const refusals = createWriteRefusals();
  let latest: Probed = { result: null, at: 0, store: null };
  // A refused request is not repeated every minute, because it could raise somebody's alarm. By `performance.now()`.
  let refusedAt: number | null = null;
  let isKeySpent = false;
  let listing: Listing | null = null;
  let clockSkewSeconds: number | null = null;
  let isListingOpen = config.probe.write;

  return {
    latest: () => latest,
    listing: () => (listing === null ? null : { kind: listing, words: listingWords(listing) }),
    clockSkewSeconds: () => clockSkewSeconds,

    hide() {
      latest = { ...latest, result: null };
      metrics.publishProbe(NOTHING_PROBED, null, Date.now());
    },

    async run(signal) {
      if (!parts.leads()) return 'idle';
      const asked = await probeDatabase(database, signal);
      const mayErase = refusedAt === null || performance.now() - refusedAt >= ERASE_AGAIN_MS;
      const place = { stores, id: isKeySpent ? freshId(id) : id, mayErase, signal };
      const path = storageInForce(config);
      const store = path === null ? null : stores.of(path.connection ?? '');
      const probed = await probeInForce(config, { ...place, refusals });
      noteLitter(probed?.litter ?? null);
      noteKey(probed?.isKeySpent === true);
      clockSkewSeconds = probed?.clockSkewSeconds ?? null;
      if (isListingOpen && probed?.steps.every((step) => step.ok === true) === true) {
        isListingOpen = false;
        listing = await seeListingInForce(config, place);
      }
      const result: ProbeResult | null = probed;
      // This exporter may stand by by now.
      if (signal.aborted || !parts.leads()) return 'idle';
      const at = Date.now();
      latest = { result, at, store };
      if (result !== null) parts.probed(result, at);
      const { steps } = result ?? NOTHING_PROBED;
      const sent = steps.filter((step) => step.ok === true || (step.ok === false && wasSent(step)));
      if (steps.length > 0)
        metrics.setUp('s3', sent.length === 0 ? null : sent.some((step) => step.ok === true));
      metrics.publishProbe({ ...(result ?? NOTHING_PROBED), steps: sent }, asked, at);
      return ending(steps);
    },
  };

  function noteLitter(litter: Litter | null): void {
    if (litter?.kind === 'refused') {
      if (refusedAt === null)
        log.warn(
          `the bucket keeps versions of each probe, and they may not be deleted: ${litterWords(litter.failure)}`,
        );
      refusedAt = performance.now();
    } else if (litter !== null && litter.kind !== 'left') {
      if (refusedAt !== null) log.info('versions of the probe may be deleted again');
      refusedAt = null;
    }
  }

  function noteKey(isSpent: boolean): void {
    if (!isSpent || isKeySpent) return;
    isKeySpent = true;
    log.warn(
      'an object is not found that was written under the key of a deleted one: the probe writes a new key each time',
    );
  }

  function ending(steps: ProbeResult['steps']): Ending {
    const [failed] = steps.filter((step) => step.ok === false);
    const words = { probe: steps.map((step) => `${step.operation}=${String(step.ok)}`).join(' ') };
    if (failed === undefined) {
      log.debug(words, 'probe');
      return null;
    }
    log.warn({ ...words, reason: failed.reason, detail: failed.detail }, 'the probe failed');
    return { reason: failed.reason, detail: `${failed.operation}: ${failed.detail}` };
  }
}
