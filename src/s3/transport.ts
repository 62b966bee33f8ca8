import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { Way } from './agents.ts';
import { openAgents } from './agents.ts';

/**
 * One attempt may take half of the whole call's time, so that a second one still fits. `requestTimeout` covers the wait
 * for the headers, `socketTimeout` every later silence. The steps towards a connection end before the attempt does,
 * each before the next, so that the one that failed is told. `triesAgain`: whether the SDK tries again after a way
 * that was late; default true.
 *
 * @throws {Error} when the file of certificate authorities cannot be read.
 */
export function openTransport(
  way: Way,
  limits: {
    readonly requestTimeoutMs: number;
    readonly concurrency: number;
    readonly triesAgain?: boolean;
  },
): NodeHttpHandler {
  const attemptMs = Math.ceil(limits.requestTimeoutMs / 2);
  return new NodeHttpHandler({
    connectionTimeout: Math.ceil(attemptMs * 0.9),
    requestTimeout: attemptMs,
    // Without this the timeout is only a warning, and the request goes on.
    throwOnRequestTimeout: true,
    socketTimeout: attemptMs,
    ...openAgents(way, {
      keepAlive: true,
      maxSockets: limits.concurrency,
      triesAgain: limits.triesAgain ?? true,
      patienceMs: Math.ceil(attemptMs * 0.8),
    }),
  });
}
