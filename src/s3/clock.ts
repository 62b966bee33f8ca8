import type { S3Client } from '@aws-sdk/client-s3';
import type { Logger } from 'pino';

/** The least by which a time has to be off for a server to refuse it; AWS refuses from a quarter of an hour on. */
const refusableMs = 60_000;

/**
 * By how much the clock of the storage is ahead of this machine's, as its last answer has it; 0: by less than a minute,
 * for a date is cut to seconds and an answer takes its time. Null: no answer has said it.
 */
export function clockSkewSeconds({ config: { systemClockOffset } }: S3Client): number | null {
  // What the SDK begins with; a measured one has milliseconds.
  if (systemClockOffset === 0) return null;
  return Math.abs(systemClockOffset) < refusableMs ? 0 : Math.round(systemClockOffset / 1_000);
}

/** Statuses with which a server refuses the time of a signature. A 404 is an answer. */
const refusals: ReadonlySet<unknown> = new Set([400, 401, 403]);

interface Thrown {
  readonly $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean };
}

/**
 * Lets the clock be the reason of a second attempt only where it can be one. The SDK sets its clock by the date of every
 * answer, to the millisecond, and from four minutes on it takes each answer that is no success, a 404 as well, for one
 * that the new time would change: every call for what is not there would be sent as often as attempts are allowed.
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
