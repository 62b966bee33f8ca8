import type { S3Client } from '@aws-sdk/client-s3';
import type { Logger } from 'pino';

/** The smallest clock difference that a server may refuse; AWS refuses from a quarter of an hour on. */
const refusableMs = 60_000;

/**
 * Seconds by which the storage's clock was ahead of this machine's at its last answer. 0: less than a minute off,
 * because the date is cut to seconds and an answer takes time. Null: no answer has told the time.
 */
export function clockSkewSeconds({ config: { systemClockOffset } }: S3Client): number | null {
  // The SDK starts with exactly 0; a measured offset has milliseconds.
  if (systemClockOffset === 0) return null;
  return Math.abs(systemClockOffset) < refusableMs ? 0 : Math.round(systemClockOffset / 1_000);
}

/** Statuses with which a server refuses a signature for its time. A 404 is an answer. */
const refusals: ReadonlySet<unknown> = new Set([400, 401, 403]);

interface Thrown {
  readonly $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean };
}

/**
 * Lets the clock cause a second attempt only when the clock can be the reason. The SDK sets its clock by the date of
 * every answer, to the millisecond. From four minutes on, the SDK believes that the new time would change any
 * unsuccessful answer, even a 404. Without this, every call for a missing object would use up all allowed attempts.
 */
export function correctClockOnce(client: S3Client, log: Logger): void {
  let isSaid = false;

  function say(aheadMs: number): void {
    const isOff = Math.abs(aheadMs) >= refusableMs;
    if (isOff && !isSaid) {
      const seconds = Math.round(Math.abs(aheadMs) / 1_000);
      const side = aheadMs > 0 ? 'behind' : 'ahead of';
      log.warn(
        `the clock of this machine is ${seconds} s ${side} that of the storage: requests are signed by the storage's`,
      );
    }
    isSaid = isOff;
  }

  client.middlewareStack.addRelativeTo(
    <Args, Output>(next: (args: Args) => Promise<Output>) =>
      async (args: Args) => {
        const signedBy = client.config.systemClockOffset;
        try {
          return await next(args);
        } catch (error) {
          const { $metadata } = Object(error) as Thrown;
          const corrected = Math.abs(client.config.systemClockOffset - signedBy);
          if ($metadata?.clockSkewCorrected === true)
            $metadata.clockSkewCorrected = corrected >= refusableMs && refusals.has($metadata.httpStatusCode);
          throw error;
        } finally {
          say(client.config.systemClockOffset);
        }
      },
    { relation: 'before', toMiddleware: 'httpSigningMiddleware', name: 'correctClockOnce' },
  );
}
