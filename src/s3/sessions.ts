import type { CreateSessionCommandOutput, S3ClientConfig } from '@aws-sdk/client-s3';

/** The SDK's way to a session: it asks before each request to a directory bucket. */
type Sessions = NonNullable<S3ClientConfig['s3ExpressIdentityProvider']>;
type Session = Awaited<ReturnType<Sessions['getS3ExpressIdentity']>>;

/** S3 gave no session for a directory bucket. The cause is what the request for it threw. */
export class SessionFailure extends Error {
  override readonly name = 'SessionFailure';

  constructor(cause: unknown) {
    super('S3 gave no session', { cause });
  }
}

/** A session lasts five minutes, and is asked for anew in its last one. */
const LAST_MS = 60_000;

/** The request that asks for a session has more to do in its own time. */
const PATIENCE_MS = 3_000;

/** `create`: asks for a session until the signal aborts. `now`: the storage's clock in epoch milliseconds. */
interface SessionSource {
  readonly create: (bucket: string, signal: AbortSignal) => Promise<CreateSessionCommandOutput>;
  readonly now: () => number;
}

/**
 * Keeps the sessions for directory buckets, but no failure. The SDK's own provider keeps a failure for ever, and ends
 * the process with a renewal that fails.
 */
export function createSessions({ create, now }: SessionSource): Sessions {
  const held = new Map<string, { readonly keyId: string; readonly session: Session }>();
  const asked = new Map<string, Promise<Session>>();

  async function ask(bucket: string, keyId: string): Promise<Session> {
    const { Credentials: given, $metadata } = await createInTime((signal) => create(bucket, signal));
    const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey } = given ?? {};
    // S3 answers no success without a session. As in the SDK's errors, the status is part of it.
    if (accessKeyId === undefined || secretAccessKey === undefined)
      throw Object.assign(new Error('the answer has no session'), { $metadata });
    const session: Session = {
      accessKeyId,
      secretAccessKey,
      ...(given?.SessionToken === undefined ? {} : { sessionToken: given.SessionToken }),
      ...(given?.Expiration === undefined ? {} : { expiration: given.Expiration }),
    };
    held.set(bucket, { keyId, session });
    return session;
  }

  /** Requests that begin together share one session. */
  function askOnce(bucket: string, keyId: string): Promise<Session> {
    const name = JSON.stringify([keyId, bucket]);
    const asking =
      asked.get(name) ??
      ask(bucket, keyId).finally(() => {
        asked.delete(name);
      });
    asked.set(name, asking);
    return asking;
  }

  function leftMs({ expiration }: Session): number {
    return (expiration?.getTime() ?? 0) - now();
  }

  return {
    getS3ExpressIdentity: async ({ accessKeyId: keyId }, { Bucket: bucket = '' }) => {
      const one = held.get(bucket);
      const own = one?.keyId === keyId ? one.session : null;
      if (own !== null && leftMs(own) > LAST_MS) return own;
      try {
        return await askOnce(bucket, keyId);
      } catch (error) {
        if (own !== null && leftMs(own) > 0) return own;
        throw new SessionFailure(error);
      }
    },
  };
}

async function createInTime<T>(create: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort();
  }, PATIENCE_MS);
  try {
    return await create(late.signal);
  } catch (error) {
    if (!late.signal.aborted) throw error;
    // The SDK names an answer that is late in this way.
    throw Object.assign(new Error(`no session in ${PATIENCE_MS} ms`), { name: 'TimeoutError' });
  } finally {
    clearTimeout(timer);
  }
}
