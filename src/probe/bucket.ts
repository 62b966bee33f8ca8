import { randomUUID } from 'node:crypto';
import { withGrace } from '../lib/grace.ts';
import type { S3Operation } from '../s3/calls.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { Asker } from '../s3/connection.ts';
import type { Said, Unknown } from '../s3/failure.ts';
import type { S3Reason } from '../s3/reason.ts';
import { FALSELY_THERE } from './worker-way.ts';
import type { WriteHistory } from './write-refusal.ts';

export interface ProbeTarget {
  readonly bucket: string;
  /** The prefix under which the probe may write, with or without a slash at the end; empty for the whole bucket. */
  readonly prefix: string;
  /** False: the probe writes nothing and sends only HEAD and LIST. */
  readonly write: boolean;
  /** Epoch milliseconds. */
  readonly now: number;
  /** Names the object. Probes that may run at the same time need different ids. */
  readonly id: string;
}

export type ProbeStep =
  | { readonly operation: S3Operation; readonly ok: true; readonly seconds: number }
  | {
      readonly operation: S3Operation;
      readonly ok: false;
      readonly seconds: number;
      /** `content_mismatch`: the storage accepted the object and then returned something else, or nothing. */
      readonly reason: S3Reason | 'content_mismatch';
      readonly detail: string;
      /** Null: the storage refused nothing. */
      readonly said: Said | null;
    }
  /** Not attempted, or cut off by the caller: the outcome is not known. */
  | { readonly operation: S3Operation; readonly ok: null };

/** The outcomes of the operations, without the history of earlier probes. */
export interface Tried {
  /** Each operation once, in the order put, head, get, list, delete. */
  readonly steps: readonly ProbeStep[];
  /** How many leftover objects were deleted now. They came from probes that died before they could delete them. */
  readonly leftoversDeleted: number;
}

export interface ProbeResult extends Tried, WriteHistory {
  readonly asker: Asker;
}

/**
 * The false answer that a HEAD of the probe gave; null: none. After one, HEAD is not believed about other objects
 * either.
 */
export function falseHead(probe: Tried | null): string | null {
  const head = probe?.steps.find(({ operation }) => operation === 'head');
  return head?.ok === false && head.reason === 'content_mismatch' ? head.detail : null;
}

/** Whether the probe found the object that it had written. */
export function sawObject({ steps }: Tried): boolean {
  const worked = (operation: S3Operation) =>
    steps.some((step) => step.operation === operation && step.ok === true);
  return worked('put') && worked('head');
}

export const LOST = 'missing right after it was put';
const folder = '.airflow-xcom-exporter';
const leftoverAgeMs = 3_600_000;
const leftoversAtOnce = 10;
const refusals: ReadonlySet<S3Reason> = new Set(['denied', 'no_such_bucket', 'wrong_region', 'clock_skew']);

/** Whether a failed PUT may have written the object all the same, because only its answer was lost. */
export function mayHaveArrived({ reason }: { readonly reason: S3Reason }): boolean {
  return !refusals.has(reason);
}

/**
 * Writes a small object, looks at it in every way that Airflow and the exporter do, and deletes it. A failed operation
 * stops only those that make no sense without it. When neither put nor head is answered in time, the rest is skipped:
 * each would take as long again and delay the verdict. Never throws.
 */
export async function probe(store: ObjectStore, target: ProbeTarget, signal: AbortSignal): Promise<Tried> {
  const { bucket, write } = target;
  const base = target.prefix.replace(/\/+$/, '');
  const place = `${base === '' ? '' : `${base}/`}${folder}/`;
  const probes = `${place}probe-`;
  const address = { bucket, key: `${probes}${target.id}` };
  const body = new TextEncoder().encode(`airflow-xcom-exporter probe ${target.id}\n`);
  const afterAbort = withGrace(signal);

  try {
    const put = write
      ? await timed('put', async (onSent) => judgeDone(await store.put({ ...address, onSent, body }, signal)))
      : skipped('put');
    const written = put.ok === true;

    const seen = await timed('head', async (onSent) => {
      const answer = await store.head({ ...address, onSent }, signal);
      if (answer.kind === 'unknown') return answer;
      // An object that could not be written is rightly missing. It may be present if only the PUT's answer was lost.
      if (!written) return null;
      if (answer.kind === 'missing') return mismatch(LOST);
      return answer.bytes === body.length ? null : mismatch(`${answer.bytes} bytes, ${body.length} were put`);
    });

    // A new name each time, so that no cache has an answer for it.
    const absent = { bucket, key: `${place}absent-${randomUUID()}` };
    const isBelievable = seen.ok !== true || (await store.head(absent, signal)).kind !== 'present';
    const head: ProbeStep = isBelievable ? seen : { ...seen, ok: false, ...mismatch(FALSELY_THERE) };

    // If the object exists after all, a later probe deletes it as a leftover.
    if (timedOut(put) && timedOut(head)) {
      return { steps: [put, head, skipped('get'), skipped('list'), skipped('delete')], leftoversDeleted: 0 };
    }

    const get = written
      ? await timed('get', async (onSent) => {
          const answer = await store.get({ ...address, onSent }, signal);
          if (answer.kind === 'unknown') return answer;
          if (answer.kind === 'missing') return mismatch(LOST);
          return Buffer.compare(answer.body, body) === 0 ? null : mismatch('other content than was put');
        })
      : skipped('get');

    let leftovers: string[] = [];
    const list = await timed('list', async (onSent) => {
      const answer = await store.list({ bucket, prefix: place, after: null, onSent }, signal);
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
      ? await timed('delete', async (onSent) =>
          judgeDone(await store.delete({ ...address, onSent }, afterAbort.signal)),
        )
      : skipped('delete');
    // A lost answer may hide an object. This DELETE is no step of the probe, and its failure is not reported.
    if (write && !written && mayBeThere(put)) await store.delete(address, afterAbort.signal);

    const leftoversDeleted = write ? await deleteAll(store, { bucket, keys: leftovers, signal }) : 0;
    return { steps: ofOneSpeaker([put, head, get, list, remove]), leftoversDeleted };
  } finally {
    afterAbort.end();
  }
}

/** A refused HEAD has no body, so the answers to the other requests show who refused it. */
function ofOneSpeaker(steps: readonly ProbeStep[]): readonly ProbeStep[] {
  const failed = steps.filter((step) => step.ok === false);
  const head = failed.find(({ operation }) => operation === 'head');
  const told = head === undefined ? head : asTold(head, failed);
  if (told !== head) return steps.map((step) => (step === head && told !== undefined ? told : step));
  // When nothing succeeded and a proxy refused another request with the same status, the proxy refused the HEAD too.
  const stranger = failed.find(({ said }) => said?.by === 'proxy');
  if (stranger === undefined || steps.some(({ ok }) => ok === true)) return steps;
  return steps.map((step) =>
    step.operation === 'head' &&
    step.ok === false &&
    step.said?.code === null &&
    step.said.status === stranger.said?.status
      ? { ...step, said: { ...step.said, by: 'proxy' } }
      : step,
  );
}

/**
 * A redirect looks like a proxy's own when a proxy has removed S3's headers. If S3 gave the same status with a code to
 * another request, the redirect is S3's too.
 */
export function asTold<
  T extends { readonly reason: S3Reason | 'content_mismatch'; readonly said: Said | null },
>(head: T, others: readonly T[]): T {
  const { said } = head;
  if (said?.by !== 'proxy' || said.code !== null) return head;
  const other = others.find(
    (one) => one.said?.by === 's3' && one.said.code !== null && one.said.status === said.status,
  );
  return other === undefined ? head : { ...head, reason: other.reason, said: { ...said, by: 's3' } };
}

interface Mismatch {
  readonly reason: 'content_mismatch';
  readonly detail: string;
  readonly said: null;
}

/** `judge` returns null when all is well. The wait for a turn behind requests of our own is no latency of S3. */
async function timed(
  operation: S3Operation,
  judge: (onSent: () => void) => Promise<Unknown | Mismatch | null>,
): Promise<ProbeStep> {
  let start = performance.now();
  const failure = await judge(() => {
    start = performance.now();
  });
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
  return (
    put.ok === null ||
    (!put.ok && put.reason !== 'content_mismatch' && mayHaveArrived({ reason: put.reason }))
  );
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
