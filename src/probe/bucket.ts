import type { S3Operation } from '../s3/calls.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { Asker } from '../s3/connection.ts';
import type { S3Reason, Said, Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import { storageInForce } from '../settings/config.ts';
import type { Litter } from './own-versions.ts';
import { noteVersions } from './own-versions.ts';
import type { Listing } from './server-ways.ts';
import { seeListing } from './server-ways.ts';
import { missingBucket } from './worker-way.ts';
import type { WriteRefusals } from './write-refusal.ts';

export interface ProbeTarget {
  readonly bucket: string;
  /** Where the probe may write, with or without a slash at the end; empty for the whole bucket. */
  readonly prefix: string;
  /** False: look only, with HEAD and LIST. */
  readonly write: boolean;
  /** Epoch milliseconds. */
  readonly now: number;
  /** Names the object; another for each that may probe at the same time. */
  readonly id: string;
}

export type ProbeStep =
  | { readonly operation: S3Operation; readonly ok: true; readonly seconds: number }
  | {
      readonly operation: S3Operation;
      readonly ok: false;
      readonly seconds: number;
      /** `content_mismatch`: the storage took the object and then gave back something else, or nothing. */
      readonly reason: S3Reason | 'content_mismatch';
      readonly detail: string;
      /** Null: the storage refused nothing. */
      readonly said: Said | null;
    }
  /** Not attempted, or cut off by the caller: nothing is known. */
  | { readonly operation: S3Operation; readonly ok: null };

/** The outcome of the operations alone. */
export interface Tried {
  /** Each operation once, in the order put, head, get, list, delete. */
  readonly steps: readonly ProbeStep[];
  /** Objects of probes that died before they could delete them, deleted now. */
  readonly leftoversDeleted: number;
}

export interface ProbeResult extends Tried {
  readonly asker: Asker;
  /**
   * A reference that was written from here on, and whose object is there, says that others write although the test write
   * fails: epoch ms. Null: it did not fail.
   */
  readonly othersWriteFrom: number | null;
}

/** Whether the object that was written was found there. */
export function sawObject({ steps }: Tried): boolean {
  const worked = (operation: S3Operation) =>
    steps.some((step) => step.operation === operation && step.ok === true);
  return worked('put') && worked('head');
}

const folder = '.airflow-xcom-exporter';
const leftoverAgeMs = 3_600_000;
const leftoversAtOnce = 10;
/** What is left to delete the object when the caller aborts. */
const graceMs = 2_000;

/** After these the object is certainly not there; after any other failure of the put it may be. */
const refusals: ReadonlySet<S3Reason> = new Set(['denied', 'no_such_bucket', 'wrong_region', 'clock_skew']);

/**
 * Writes a small object, looks at it in every way Airflow and the exporter do, and deletes it. An operation that
 * fails stops only those that make no sense without it; when neither put nor head is answered in time, the rest
 * is not asked: each would take as long again, and whoever waits for the verdict with it. Never throws.
 */
export async function probe(store: ObjectStore, target: ProbeTarget, signal: AbortSignal): Promise<Tried> {
  const { bucket, write } = target;
  const base = target.prefix.replace(/\/+$/, '');
  const place = `${base === '' ? '' : `${base}/`}${folder}/`;
  const probes = `${place}probe-`;
  const address = { bucket, key: `${probes}${target.id}` };
  const body = new TextEncoder().encode(`airflow-xcom-exporter probe ${target.id}\n`);
  const afterAbort = withGrace(signal, graceMs);

  try {
    const put = write
      ? await timed('put', async () => judgeDone(await store.put({ ...address, body }, signal)))
      : skipped('put');
    const written = put.ok === true;

    const head = await timed('head', async () => {
      const answer = await store.head(address, signal);
      if (answer.kind === 'unknown') return answer;
      // What could not be written is rightly missing, and there after all if only the answer was lost.
      if (!written) return null;
      if (answer.kind === 'missing') return mismatch('missing right after it was put');
      return answer.bytes === body.length ? null : mismatch(`${answer.bytes} bytes, ${body.length} were put`);
    });

    // The object, if there is one after all, is a leftover to a later probe.
    if (timedOut(put) && timedOut(head)) {
      return { steps: [put, head, skipped('get'), skipped('list'), skipped('delete')], leftoversDeleted: 0 };
    }

    const get = written
      ? await timed('get', async () => {
          const answer = await store.get(address, signal);
          if (answer.kind === 'unknown') return answer;
          if (answer.kind === 'missing') return mismatch('missing right after it was put');
          return Buffer.compare(answer.body, body) === 0 ? null : mismatch('other content than was put');
        })
      : skipped('get');

    let leftovers: string[] = [];
    const list = await timed('list', async () => {
      const answer = await store.list({ bucket, prefix: place, after: null }, signal);
      if (answer.kind === 'unknown') return answer;
      leftovers = answer.objects
        .filter(({ key }) => key !== address.key && key.startsWith(probes))
        .filter(({ lastModified }) => lastModified < target.now - leftoverAgeMs)
        .map(({ key }) => key);
      const complete = answer.next === null;
      const listed = answer.objects.some(({ key }) => key === address.key);
      return written && complete && !listed ? mismatch('not listed right after it was put') : null;
    });

    const remove = written
      ? await timed('delete', async () => judgeDone(await store.delete(address, afterAbort.signal)))
      : skipped('delete');
    // An answer that got lost may hide an object: no step of the probe, and no finding if it fails.
    if (write && !written && mayBeThere(put)) await store.delete(address, afterAbort.signal);

    const leftoversDeleted = write ? await deleteAll(store, { bucket, keys: leftovers, signal }) : 0;
    return { steps: [put, head, get, list, remove], leftoversDeleted };
  } finally {
    afterAbort.end();
  }
}

interface Mismatch {
  readonly reason: 'content_mismatch';
  readonly detail: string;
  readonly said: null;
}

/** `judge` gives null when all is well. */
async function timed(
  operation: S3Operation,
  judge: () => Promise<Unknown | Mismatch | null>,
): Promise<ProbeStep> {
  const start = performance.now();
  const failure = await judge();
  const seconds = (performance.now() - start) / 1_000;
  if (failure === null) return { operation, ok: true, seconds };
  if (failure.reason === 'aborted') return skipped(operation);
  const { reason, detail, said } = failure;
  return { operation, ok: false, seconds, reason, detail, said };
}

function skipped(operation: S3Operation): ProbeStep {
  return { operation, ok: null };
}

function judgeDone(answer: { readonly kind: 'done' } | Unknown): Unknown | null {
  return answer.kind === 'done' ? null : answer;
}

function mismatch(detail: string): Mismatch {
  return { reason: 'content_mismatch', detail, said: null };
}

function timedOut(step: ProbeStep): boolean {
  return step.ok === false && step.reason === 'timeout';
}

function mayBeThere(put: ProbeStep): boolean {
  return put.ok === null || (!put.ok && put.reason !== 'content_mismatch' && !refusals.has(put.reason));
}

async function deleteAll(
  store: ObjectStore,
  what: { readonly bucket: string; readonly keys: readonly string[]; readonly signal: AbortSignal },
): Promise<number> {
  let deleted = 0;
  for (const key of what.keys.slice(0, leftoversAtOnce)) {
    const answer = await store.delete({ bucket: what.bucket, key }, what.signal);
    if (answer.kind === 'done') deleted += 1;
  }
  return deleted;
}

/** A signal that aborts some time after the given one. */
function withGrace(signal: AbortSignal, ms: number): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | null = null;
  function abort(): void {
    timer = setTimeout(() => {
      controller.abort();
    }, ms);
  }
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  return {
    signal: controller.signal,
    end: () => {
      signal.removeEventListener('abort', abort);
      if (timer !== null) clearTimeout(timer);
    },
  };
}

export interface ProbeInForceOptions {
  readonly stores: Pick<Stores, 'of' | 'connectionOf'>;
  /** What is known of the test writes before. */
  readonly refusals: WriteRefusals;
  /** Names the object. */
  readonly id: string;
  /** Whether versions of the test object are deleted for good where the bucket keeps them; false: that was refused. */
  readonly mayErase: boolean;
  readonly signal: AbortSignal;
}

/** What comes to light beside the operations. */
interface Aside {
  readonly litter: Litter;
  readonly clockSkewSeconds: number | null;
}

/** Probes the place where Airflow is to write now; null when no path in S3 is configured. */
export async function probeInForce(
  config: Config,
  { stores, refusals, id, mayErase, signal }: ProbeInForceOptions,
): Promise<(ProbeResult & Aside) | null> {
  const path = storageInForce(config);
  if (path === null) return null;
  const { bucket, prefix } = path;
  const { write } = config.probe;
  const connection = path.connection ?? '';
  const store = stores.of(connection);
  const own = noteVersions(store);
  const now = Date.now();
  const target = { bucket, prefix, now, id };
  const start = performance.now();
  // Each time, for some servers make a bucket that somebody has deleted.
  const missing = write ? await missingBucket(store, bucket, signal) : null;
  const looked = { bucket: missing, seconds: (performance.now() - start) / 1_000 };
  const result = await probe(own.store, { ...target, write: write && missing === null }, signal);
  const steps = result.steps.map((step) => (step.operation === 'put' ? putStep(step, looked) : step));
  return {
    ...result,
    steps,
    asker: connection === '' ? 'exporter' : stores.connectionOf(connection).asker,
    othersWriteFrom: refusals.note(
      steps.find(({ operation }) => operation === 'put'),
      now,
    ),
    litter: mayErase ? await own.erase(signal) : 'refused',
    clockSkewSeconds: store.clockSkewSeconds(),
  };
}

/** A write to a bucket that is not there was not tried, and is known to fail. */
function putStep(
  tried: ProbeStep,
  { bucket, seconds }: { readonly bucket: Unknown | null; readonly seconds: number },
): ProbeStep {
  if (bucket === null) return tried;
  const { reason, detail, said } = bucket;
  return { operation: 'put', ok: false, seconds, reason, detail, said };
}

/** Looks how the server lists there; null when no path in S3 is configured, or no answer tells. */
export async function seeListingInForce(
  config: Config,
  { stores, id, mayErase, signal }: Omit<ProbeInForceOptions, 'refusals'>,
): Promise<Listing | null> {
  const path = storageInForce(config);
  if (path === null) return null;
  const { bucket, prefix } = path;
  const own = noteVersions(stores.of(path.connection ?? ''));
  const listing = await seeListing(own.store, { bucket, prefix, id }, signal);
  if (mayErase) await own.erase(signal);
  return listing;
}
