import type { S3Client } from '@aws-sdk/client-s3';

/** The SDK asks for credentials anew in the last five minutes of those that it holds. */
const LAST_MS = 5 * 60_000;

/**
 * From now on temporary credentials end by the clock of the storage, as the SDK measures it. The SDK itself takes this
 * machine's: where that is behind, it signs with keys that have ended.
 */
export function endByStorage({ config }: S3Client): void {
  const { credentials } = config;
  const renewed: typeof credentials = async (options) => {
    const held = await credentials(options);
    const leftMs = (held.expiration?.getTime() ?? Infinity) - Date.now();
    const isOver = leftMs >= LAST_MS && leftMs - config.systemClockOffset < LAST_MS;
    return isOver ? credentials({ ...options, forceRefresh: true }) : held;
  };
  // Otherwise the SDK keeps what this gives, and no longer asks it.
  config.credentials = Object.assign(renewed, { memoized: true });
}
