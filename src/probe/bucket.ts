import { randomUUID } from 'node:crypto';
import type { S3Operation } from '../s3/calls.ts';
import type { ObjectAddress, ObjectStore } from '../s3/client.ts';
import type { S3Connection } from '../s3/connection.ts';
import type { S3Reason, Said, Unknown } from '../s3/failure.ts';
import type { Stores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import { storageInForce } from '../settings/config.ts';
import { goWorkerWay } from './worker-way.ts';

/** `look` and `bucket` are what a push asks for before its PUT: see worker-way.ts. */
export type ProbeOperation = 'look' | S3Operation;

export interface ProbeTarget {
  readonly bucket: string;
  /** Where the probe may write, with or without a slash at the end; empty for the whole bucket. */
  readonly prefix: string;
  /** False: look only, with HEAD and LIST. */
  readonly write: boolean;
  /** Whether the credentials are those of the workers, so that what is refused here is refused to a push. */
  readonly asWorker: boolean;
  /** Epoch milliseconds. */
  readonly now: number;
  /** Different for every probe of every process: it names the object. */
  readonly id: string;
}

export type ProbeStep =
  | { readonly operation: ProbeOperation; readonly ok: true; readonly seconds: number }
  | {
      readonly operation: ProbeOperation;
      readonly ok: false;
      readonly seconds: number;
      /** `content_mismatch`: the storage took the object and then gave back something else, or nothing. */
      readonly reason: S3Reason | 'content_mismatch';
      readonly detail: string;
      /** Null: the storage refused nothing. */
      readonly said: Said | null;
    }
  /** Not attempted, or cut off by the caller: nothing is known. */
  | { readonly operation: ProbeOperation; readonly ok: null };

export interface ProbeResult {
  /** Each operation once, in the order look, bucket, put, head, get, list, delete. */
  readonly steps: readonly ProbeStep[];
  /** Objects of probes that died before they could delete them, deleted now. */
  readonly leftoversDeleted: number;
}

/** Whether the object that was written was found there. */
export function sawObject({ steps }: ProbeResult): boolean {
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
export async function probe(
  store: ObjectStore,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const { bucket, write } = target;
  const base = target.prefix.replace(/\/+$/, '');
  const probes = `${base === '' ? '' : `${base}/`}${folder}/probe-`;
  const address = { bucket, key: `${probes}${target.id}` };
  const body = new TextEncoder().encode(`airflow-xcom-exporter probe ${target.id}\n`);
  const afterAbort = withGrace(signal, graceMs);

  try {
    const [look, bucketSeen] = target.asWorker
      ? await asWorker(store, address, signal)
      : [skipped('look'), skipped('bucket')];
    const before = [look, bucketSeen];
    const put = write
      ? await timed('put', async () => judgeDone(await store.put({ ...address, body }, signal)))
      : skipped('put');
    const written = put.ok === true;

    // A third silence would tell no more.
    const isSilent = timedOut(look) && timedOut(put);
    const head = isSilent
      ? skipped('head')
      : await timed('head', async () => {
          const answer = await store.head(address, signal);
          if (answer.kind === 'unknown') return answer;
          // What could not be written is rightly missing, and there after all if only the answer was lost.
          if (!written) return null;
          if (answer.kind === 'missing') return mismatch('missing right after it was put');
          return answer.bytes === body.length
            ? null
            : mismatch(`${answer.bytes} bytes, ${body.length} were put`);
        });

    // The object, if there is one after all, is a leftover to a later probe.
    if (isSilent || (timedOut(put) && timedOut(head))) {
      const rest = [skipped('get'), skipped('list'), skipped('delete')];
      return { steps: [...before, put, head, ...rest], leftoversDeleted: 0 };
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
      const answer = await store.list({ bucket, prefix: probes, after: null }, signal);
      if (answer.kind === 'unknown') return answer;
      leftovers = answer.objects
        .filter(({ key, lastModified }) => key !== address.key && lastModified < target.now - leftoverAgeMs)
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
    return { steps: [...before, put, head, get, list, remove], leftoversDeleted };
  } finally {
    afterAbort.end();
  }
}

/** The first steps of a push; each is given half of the time of both. */
async function asWorker(
  store: ObjectStore,
  address: ObjectAddress,
  signal: AbortSignal,
): Promise<readonly [ProbeStep, ProbeStep]> {
  const start = performance.now();
  const { look, bucket } = await goWorkerWay(store, address, signal);
  const seconds = (performance.now() - start) / 2_000;
  return [
    stepOf('look', look, seconds),
    bucket.kind === 'untried'
      ? skipped('bucket')
      : stepOf('bucket', bucket.kind === 'seen' ? null : bucket.failure, seconds),
  ];
}

interface Mismatch {
  readonly reason: 'content_mismatch';
  readonly detail: string;
  readonly said: null;
}

/** `judge` gives null when all is well. */
async function timed(
  operation: ProbeOperation,
  judge: () => Promise<Unknown | Mismatch | null>,
): Promise<ProbeStep> {
  const start = performance.now();
  const failure = await judge();
  return stepOf(operation, failure, (performance.now() - start) / 1_000);
}

function stepOf(operation: ProbeOperation, failure: Unknown | Mismatch | null, seconds: number): ProbeStep {
  if (failure === null) return { operation, ok: true, seconds };
  if (failure.reason === 'aborted') return skipped(operation);
  const { reason, detail, said } = failure;
  return { operation, ok: false, seconds, reason, detail, said };
}

function skipped(operation: ProbeOperation): ProbeStep {
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

/** Probes the place where Airflow is to write now; null when no path in S3 is configured. */
export async function probeInForce(
  config: Config,
  { stores, signal }: { stores: Pick<Stores, 'of'>; signal: AbortSignal },
): Promise<ProbeResult | null> {
  const path = storageInForce(config);
  if (path === null) return null;
  const { bucket, prefix } = path;
  const { write } = config.probe;
  const id = path.connection ?? '';
  const asWorker = isOfConnection(config.s3.connections.get(id));
  return probe(stores.of(id), { bucket, prefix, write, asWorker, now: Date.now(), id: randomUUID() }, signal);
}

/** Keys and roles of a connection are the same wherever Airflow's is used; all else is this machine's own. */
function isOfConnection(connection: S3Connection | undefined): boolean {
  return connection !== undefined && (connection.accessKeyId !== null || connection.roleArn !== null);
}
