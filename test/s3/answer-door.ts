import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/**
 * What becomes of the answers to requests whose first line fits: they come later, or so many bytes of them pass before the
 * connection is closed as if all had been said. The server has done by then what it was asked for.
 */
export interface AnswerFault {
  readonly request: RegExp;
  readonly answer: { readonly delayMs: number } | { readonly bytes: number };
}

/** A door in front of a server that changes nothing but when and how much it says. */
export interface AnswerDoor {
  readonly url: string;
  setFault(fault: AnswerFault | null): void;
  stop(): Promise<void>;
}

const host = '127.0.0.1';

/** For clients that wait for each answer before they send the next request on its connection, as HTTP clients do. */
export async function startAnswerDoor(upstream: URL): Promise<AnswerDoor> {
  const open = new Set<Socket>();
  let fault: AnswerFault | null = null;

  const server = createServer((client) => {
    const onward = connect({ host: upstream.hostname, port: Number(upstream.port) });
    let answer: AnswerFault['answer'] = { delayMs: 0 };
    let passed = 0;
    client.on('data', (piece) => {
      const [line = ''] = piece.toString('latin1').split('\r\n');
      if (line.endsWith(' HTTP/1.1')) {
        answer = fault?.request.test(line) === true ? fault.answer : { delayMs: 0 };
        passed = 0;
      }
      onward.write(piece);
    });
    onward.on('data', (piece) => {
      if ('delayMs' in answer) {
        if (answer.delayMs === 0) client.write(piece);
        else setTimeout(() => client.writable && client.write(piece), answer.delayMs);
        return;
      }
      const rest = answer.bytes - passed;
      passed += piece.length;
      if (rest > 0) client.write(piece.subarray(0, rest));
      if (piece.length >= rest) client.end();
    });
    for (const end of [client, onward]) {
      open.add(end);
      end.on('error', () => undefined);
      end.once('close', () => open.delete(end));
    }
    client.once('close', () => onward.destroy());
    // What is late comes all the same where the server closes its connection after each answer.
    onward.once('close', () => {
      if ('delayMs' in answer) setTimeout(() => client.end(), answer.delayMs);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://${host}:${port}`,
    setFault: (next) => {
      fault = next;
    },
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const end of open) end.destroy();
      await closed;
    },
  };
}
