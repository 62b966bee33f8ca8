import type { Express } from 'express';
import type { Server } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { messageOf } from '../lib/message-of.ts';
import { ConfigError } from '../settings/config.ts';
import type { HttpServerOptions } from './routes.ts';
import { createApp } from './routes.ts';
import type { WebConfig } from './web-config.ts';
import { openWebConfig } from './web-config.ts';

export interface HttpServer {
  readonly port: number;
  /** Null: there is no web configuration. */
  readonly webConfig: Pick<WebConfig, 'refusal' | 'waits'> | null;
  /** Finishes the requests under way within 2 s at most, then closes every connection. */
  close(): Promise<void>;
}
const CLOSE_MS = 2_000;
/** How often Node looks for requests that take too long; Node's default is 30 s. */
const CHECK_MS = 5_000;

/** Throws a {@link ConfigError} when the web configuration is wrong, and an error when the address is not available. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const webConfig = openOwnWebConfig(options);
  const server = createServer(createApp(options, webConfig), webConfig);
  // A client that never finishes its request must not hold a socket for ever.
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  // Neither must a client that never reads its answer. A reload may take a while, but not this long.
  server.timeout = 60_000;
  // Longer than the usual scrape interval, so that Prometheus keeps its connection.
  server.keepAliveTimeout = 65_000;

  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const port = await listen(server, options);
  return {
    port,
    webConfig,
    close: () => close(server, sockets),
  };
}

function openOwnWebConfig({ webConfigFile, log, webConfigRead }: HttpServerOptions): WebConfig | null {
  if (webConfigFile === null) return null;
  try {
    return openWebConfig(webConfigFile, { log, changed: webConfigRead });
  } catch (error) {
    throw new ConfigError([messageOf(error)]);
  }
}

function createServer(app: Express, webConfig: WebConfig | null): Server {
  let tls = webConfig?.tls() ?? null;
  if (webConfig === null || tls === null)
    return createHttpServer({ connectionsCheckingInterval: CHECK_MS }, app);
  const server = createHttpsServer({ ...tls.options, connectionsCheckingInterval: CHECK_MS }, app);
  // Runs before the listener that starts the handshake: a renewed certificate already serves this connection.
  server.prependListener('connection', () => {
    const renewed = webConfig.renewedTls();
    if (renewed === null) return;
    tls = renewed;
    server.setSecureContext(renewed.options);
  });
  server.on('secureConnection', (socket) => {
    if (tls?.accepts(socket) !== true) socket.destroy();
  });
  return server;
}

async function listen(server: Server, { host, port, log }: HttpServerOptions): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new Error(`Cannot listen on ${host}:${port}: ${explainListen(error)}`, { cause: error }));
    });
    server.listen({ port, ...(host === '' ? {} : { host }) }, resolve);
  });
  // For example, no file descriptor is left for a connection. Without a listener the error would end the process.
  server.on('error', (error) => {
    log.error({ err: error }, 'Cannot accept a connection');
  });
  return (server.address() as AddressInfo).port;
}

function explainListen(error: NodeJS.ErrnoException): string {
  if (error.code === 'EADDRINUSE') {
    return 'another process listens there; stop it or set web.listen-address to a free port';
  }
  if (error.code === 'EACCES') return 'permission denied; set web.listen-address to a port above 1023';
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') {
    return 'this machine has no such address; correct web.listen-address';
  }
  return error.message;
}

async function close(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  server.closeIdleConnections();
  // A connection that was busy until now would be kept alive by its client.
  const sweep = setInterval(() => {
    server.closeIdleConnections();
  }, 50);
  // Node itself does not close a connection whose handshake never ends or whose reader is slow.
  const deadline = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, CLOSE_MS);
  await closed;
  clearInterval(sweep);
  clearTimeout(deadline);
}
