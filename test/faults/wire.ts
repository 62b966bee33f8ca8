import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/**
 * `stall`: open connections stay open and nothing passes. `refuse`: new connections are reset, and open ones as well.
 * `slow`: each piece waits. `cut`: a connection is reset after so many bytes of answers.
 */
export type WireMode =
  | { readonly kind: 'pass' | 'stall' | 'refuse' }
  | { readonly kind: 'slow'; readonly delayMs: number }
  | { readonly kind: 'cut'; readonly afterBytes: number };

/** The address to which the daemon connects in place of a server. The server behind it may change. */
export interface Wire {
  readonly port: number;
  /** Sets the server for new connections; open connections keep theirs. */
  setUpstream(port: number): void;
  setMode(mode: WireMode): void;
  /** Resets all open connections. */
  drop(): void;
  connections(): number;
  stop(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly upstream: Socket;
}

const host = '127.0.0.1';

export async function startWire(upstreamPort: number): Promise<Wire> {
  let port = upstreamPort;
  let mode: WireMode = { kind: 'pass' };
  const links = new Set<Link>();

  function carry(from: Socket, to: Socket, onPassed: (bytes: number) => boolean): void {
    from.on('data', (piece: Buffer) => {
      if (mode.kind === 'stall') {
        // The wire keeps the bytes until it passes again: they are not lost, as in a network that hangs.
        from.pause();
        from.unshift(piece);
        return;
      }
      const cut = onPassed(piece.length);
      const send = () => {
        if (to.destroyed) return;
        if (cut) {
          // Only half of the piece is sent, so that the answer ends in its middle.
          to.write(piece.subarray(0, piece.length >> 1), () => to.resetAndDestroy());
        } else to.write(piece);
      };
      if (mode.kind === 'slow') setTimeout(send, mode.delayMs);
      else send();
    });
  }

  const server = createServer((client) => {
    if (mode.kind === 'refuse') {
      client.resetAndDestroy();
      return;
    }
    const link = { client, upstream: connect({ host, port }) };
    links.add(link);
    let answered = 0;
    carry(client, link.upstream, () => false);
    carry(link.upstream, client, (bytes) => {
      answered += bytes;
      return mode.kind === 'cut' && answered > mode.afterBytes;
    });
    for (const end of [client, link.upstream]) {
      end.on('error', () => undefined);
      end.once('close', () => {
        links.delete(link);
        client.destroy();
        link.upstream.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));

  function drop(): void {
    for (const { client } of links) client.resetAndDestroy();
  }
  return {
    port: (server.address() as AddressInfo).port,
    setUpstream: (next) => {
      port = next;
    },
    setMode: (next) => {
      mode = next;
      if (next.kind === 'refuse') drop();
      if (next.kind !== 'stall')
        for (const { client, upstream } of links) {
          client.resume();
          upstream.resume();
        }
    },
    drop,
    connections: () => links.size,
    stop: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      for (const { client, upstream } of links) {
        client.destroy();
        upstream.destroy();
      }
      await closed;
    },
  };
}
