import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { Way } from './agents.ts';
import { openAgents } from './agents.ts';

const connectTimeoutMs = 2_000;

/**
 * One attempt may take half of the whole call's time, so that a second one still fits. `requestTimeout` covers the wait
 * for the headers, `socketTimeout` every later silence.
 *
 * @throws {Error} when the file of certificate authorities cannot be read.
 */
export function openTransport(
  way: Way,
  limits: { readonly requestTimeoutMs: number; readonly concurrency: number },
): NodeHttpHandler {
  const attemptMs = Math.ceil(limits.requestTimeoutMs / 2);
  return new NodeHttpHandler({
    connectionTimeout: Math.min(connectTimeoutMs, attemptMs),
    requestTimeout: attemptMs,
    // Without this the timeout is only a warning, and the request goes on.
    throwOnRequestTimeout: true,
    socketTimeout: attemptMs,
    ...openAgents(way, { keepAlive: true, maxSockets: limits.concurrency }),
  });
}
