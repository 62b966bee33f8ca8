import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/**
 * `stall`: connections stay open and nothing passes. `refuse`: no new connections; open ones go on. `cut`: all
 * connections are reset, new ones at once.
 */
export type TcpMode = 'pass' | 'stall' | 'refuse' | 'cut';

/** A proxy in front of a real server that can break the connections between them. */
export interface TcpFaultProxy {
  readonly host: string;
  readonly port: number;
  setMode(mode: TcpMode): Promise<void>;
  /** Resets what is open, of which the server does not learn until the function that this gives is called. */
  lose(): () => void;
  /** How many connections from clients are open now. */
  connections(): number;
  stop(): Promise<void>;
}

interface Link {
  isLost: boolean;
  readonly client: Socket;
  readonly upstream: Socket;
}

const host = '127.0.0.1';

export async function startTcpFaultProxy(options: {
  readonly upstream: { readonly host: string; readonly port: number };
}): Promise<TcpFaultProxy> {
  let mode: TcpMode = 'pass';
  const links = new Set<Link>();
  const server = createServer((client) => {
    if (mode === 'cut') {
      client.resetAndDestroy();
      return;
    }
    const link: Link = { isLost: false, client, upstream: connect(options.upstream) };
    links.add(link);
    for (const end of [link.client, link.upstream]) {
      // After an error comes 'close', which takes the other end down as well.
      end.on('error', () => undefined);
      end.once('close', () => {
        links.delete(link);
        if (link.isLost) return;
        link.client.destroy();
        link.upstream.destroy();
      });
    }
    if (mode === 'pass') join(link);
  });

  function listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  }
  await listen(0);
  const { port } = server.address() as AddressInfo;

  return {
    host,
    port,
    connections: () => links.size,
    lose: () => {
      const lost = [...links];
      for (const link of lost) {
        link.isLost = true;
        part(link);
        link.client.resetAndDestroy();
      }
      return () => {
        for (const { upstream } of lost) upstream.destroy();
      };
    },
    setMode: async (next) => {
      mode = next;
      for (const link of links) {
        if (next === 'cut') link.client.resetAndDestroy();
        else if (next === 'stall') part(link);
        else if (next === 'pass') join(link);
      }
      if (next === 'refuse') server.close();
      else if (!server.listening) await listen(port);
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => {
        if (server.listening)
          server.close(() => {
            resolve();
          });
        else resolve();
      });
      for (const { client, upstream } of links) {
        client.destroy();
        upstream.destroy();
      }
      await closed;
    },
  };
}

function join({ client, upstream }: Pick<Link, 'client' | 'upstream'>): void {
  part({ client, upstream });
  client.pipe(upstream);
  upstream.pipe(client);
}

function part({ client, upstream }: Pick<Link, 'client' | 'upstream'>): void {
  client.unpipe(upstream);
  upstream.unpipe(client);
}
