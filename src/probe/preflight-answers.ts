import { withinGrace } from '../lib/grace.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { Said, Unknown } from '../s3/failure.ts';
import type { S3Reason } from '../s3/reason.ts';
import { asTold, LOST, mayHaveArrived } from './bucket.ts';
import type { WorkerWay } from './worker-way.ts';
import { FALSELY_THERE, goWorkerWay } from './worker-way.ts';

export type PreflightOperation = 'put' | 'head' | 'get' | 'list' | 'delete';

export const OPERATIONS: readonly PreflightOperation[] = ['put', 'head', 'get', 'list', 'delete'];

export interface AccessTarget {
  readonly bucket: string;
  /** The prefix under which Airflow should write, without a slash at the end; empty for the whole bucket. */
  readonly prefix: string;
  /** False: nothing is put or deleted. */
  readonly write: boolean;
  /** Different for every call: it names the object. */
  readonly id: string;
  /** Whether the worker uses the same credentials, those of the connection. Otherwise they are the exporter's own. */
  readonly asWorker: boolean;
}

export type Answered =
  | { readonly kind: 'allowed'; readonly detail: string }
  | {
      readonly kind: 'refused';
      readonly reason: S3Reason;
      readonly detail: string;
      /** Null: the storage refused nothing. */
      readonly said: Said | null;
    }
  | { readonly kind: 'skipped'; readonly detail: string };

export type Refused = Extract<Answered, { kind: 'refused' }>;

export interface Answers extends Readonly<Record<PreflightOperation, Answered>> {
  readonly way: WorkerWay;
}

/** Sends the requests of a push, in its order, and then the rest: a failed one hides no other. */
export async function askAll(
  store: ObjectStore,
  target: AccessTarget,
  signal: AbortSignal,
): Promise<Answers> {
  const { bucket, prefix, write } = target;
  const folder = `${prefix === '' ? '' : `${prefix}/`}.airflow-xcom-exporter/`;
  const address = { bucket, key: `${folder}probe-${target.id}` };
  const body = new TextEncoder().encode(`airflow-xcom-exporter probe ${target.id}\n`);
  const unwritten = { kind: 'skipped', detail: 'not tried: probe.write is false' } as const;

  const way = await goWorkerWay(store, address, signal);
  // Some servers create a missing bucket on a PUT.
  if (way.bucket.kind === 'unseen' && way.bucket.failure.reason === 'no_such_bucket') {
    const none = allowed(way.bucket.failure);
    return { way, put: none, head: none, get: none, list: none, delete: none };
  }
  const put: Answered = write ? allowed(await store.put({ ...address, body }, signal)) : unwritten;
  const there =
    put.kind === 'allowed' ? 'yes' : put.kind === 'refused' && mayHaveArrived(put) ? 'perhaps' : 'no';
  const head = await store.head(address, signal);
  const got = await store.get(address, signal);
  const listed = await store.list({ bucket, prefix: folder, after: null, maxKeys: 1 }, signal);
  const removed = write ? await withinGrace(signal, (grace) => store.delete(address, grace)) : null;
  const isWhole = {
    head: head.kind === 'present' && head.bytes === body.length,
    get: got.kind === 'got' && Buffer.compare(got.body, body) === 0,
  };
  const answers = {
    put,
    head: seen(head, { there, isWhole: isWhole.head }),
    get: seen(got, { there, isWhole: isWhole.get }),
    list: allowed(listed),
    delete: removed === null ? unwritten : allowed(removed),
  };
  const others = Object.values(answers).filter((answer) => answer.kind === 'refused');
  const ofHead = answers.head.kind === 'refused' ? asTold(answers.head, others) : answers.head;
  return { ...answers, way, head: ofHead };
}

/** Judges an answer: an object that was put must be there unchanged, and one that was not put must not be there. */
function seen(
  answer: Unknown | { readonly kind: 'present' | 'got' | 'missing' },
  { there, isWhole }: { readonly there: 'yes' | 'perhaps' | 'no'; readonly isWhole: boolean },
): Answered {
  if (answer.kind === 'unknown') return allowed(answer);
  const isMissing = answer.kind === 'missing';
  if (isMissing && there !== 'yes') return { kind: 'allowed', detail: 'allowed: the object is not there' };
  if (isWhole && there === 'perhaps') return { kind: 'allowed', detail: 'allowed: the object is there' };
  if (isWhole && there === 'yes') return { kind: 'allowed', detail: 'allowed' };
  const detail = isMissing ? LOST : there === 'no' ? FALSELY_THERE : 'something else than was put';
  return { kind: 'refused', reason: 'server_error', detail, said: null };
}

function allowed(answer: Unknown | { readonly kind: 'done' | 'listed' }): Answered {
  if (answer.kind !== 'unknown') return { kind: 'allowed', detail: 'allowed' };
  const { reason, detail, said } = answer;
  return { kind: 'refused', reason, detail, said };
}

export function refusals(answers: Answers): readonly Refused[] {
  return OPERATIONS.map((name) => answers[name]).filter((answer) => answer.kind === 'refused');
}
