import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

export type RequestKind = 'put' | 'head' | 'get' | 'list' | 'delete' | 'other';

export interface ProxiedRequest {
  readonly method: string;
  /** The path and the query, as the client wrote them. */
  readonly path: string;
  readonly kind: RequestKind;
}

/** One request that the proxy holds. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly kind: RequestKind;
  /** Passes the request on to the server after all. */
  readonly forward: () => void;
}

/** Matching requests get this answer in place of the server's. */
export interface HttpFault {
  readonly match: (request: ProxiedRequest) => boolean;
  readonly answer: (exchange: Exchange) => void;
}

/** A proxy between a client and a real server that changes nothing until a fault is set. */
export interface HttpFaultProxy {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  setFault(fault: HttpFault | null): void;
  /** Requests so far by kind, including those that met a fault. */
  readonly requests: Readonly<Record<RequestKind, number>>;
  stop(): Promise<void>;
}

const host = '127.0.0.1';

export async function startHttpFaultProxy(options: {
  readonly upstream: { readonly host: string; readonly port: number };
}): Promise<HttpFaultProxy> {
  const { upstream } = options;
  const requests: Record<RequestKind, number> = { put: 0, head: 0, get: 0, list: 0, delete: 0, other: 0 };
  const agent = new Agent({ keepAlive: true });
  let fault: HttpFault | null = null;

  const server = createServer((request, response) => {
    const proxied = describe(request);
    requests[proxied.kind] += 1;
    const pass = () => {
      forward(request, response, { upstream, agent });
    };
    if (fault?.match(proxied) === true)
      fault.answer({ request, response, kind: proxied.kind, forward: pass });
    else pass();
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;

  return {
    host,
    port,
    url: `http://${host}:${port}`,
    requests,
    setFault: (next) => {
      fault = next;
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}

function describe(request: IncomingMessage): ProxiedRequest {
  const { method = 'GET', url: path = '/' } = request;
  return { method, path, kind: kindOf(method, path) };
}

function kindOf(method: string, path: string): RequestKind {
  switch (method) {
    case 'GET':
      return /[?&]list-type=2/.test(path) ? 'list' : 'get';
    case 'HEAD':
      return 'head';
    case 'PUT':
      return 'put';
    case 'DELETE':
      return 'delete';
    default:
      return 'other';
  }
}

/** Keeps the client's Host header, because the client signed it. */
function forward(
  request: IncomingMessage,
  response: ServerResponse,
  to: { upstream: { host: string; port: number }; agent: Agent },
): void {
  const onward = httpRequest(
    {
      ...to.upstream,
      agent: to.agent,
      method: request.method,
      path: request.url,
      headers: request.headers,
      setHost: false,
    },
    (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    },
  );
  onward.on('error', () => {
    response.destroy();
  });
  response.once('close', () => {
    if (!response.writableFinished) onward.destroy();
  });
  request.pipe(onward);
}

/** Answers as AWS does when the caller lacks the permission. */
export function deny(exchange: Exchange): void {
  sayError(exchange, { status: 403, code: 'AccessDenied', message: 'Access Denied', headers: {} });
}

/** Answers with an error in AWS's form. A HEAD gets the status and no body. */
export function sayError(
  { request, response, kind }: Exchange,
  error: {
    readonly status: number;
    readonly code: string;
    readonly message: string;
    readonly headers: Readonly<Record<string, string>>;
  },
): void {
  const { status, code, message, headers } = error;
  // An answer sent before the body was read resets the connection of a client that is still sending.
  request.resume().once('end', () => {
    response.writeHead(status, { 'content-type': 'application/xml', ...headers });
    if (kind === 'head') response.end();
    else
      response.end(
        `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`,
      );
  });
}
