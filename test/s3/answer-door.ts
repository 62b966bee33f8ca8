import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/**
 * A fault of the answers to requests whose first line matches: an answer comes later, or the connection is closed
 * normally after so many bytes of it. By then the server has done what the request asked for.
 */
export interface AnswerFault {
  readonly request: RegExp;
  readonly answer: { readonly delayMs: number } | { readonly bytes: number };
}

/** A door in front of a server that changes only when and how much the server says. */
export interface AnswerDoor {
  readonly url: string;
  setFault(fault: AnswerFault | null): void;
  stop(): Promise<void>;
}

const host = '127.0.0.1';

/**
 * The door is for clients that wait for each answer before they send the next request on the connection, as HTTP
 * clients do.
 */
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
    // A late answer must still arrive if the server closes its connection after each answer.
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
