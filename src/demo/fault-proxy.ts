import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export type RequestKind = 'put' | 'head' | 'get' | 'list' | 'delete' | 'other';

export interface ProxiedRequest {
  readonly method: string;
  /** With the query, as the client wrote it. */
  readonly path: string;
  readonly kind: RequestKind;
}

/** As AWS answers, to the letter where a client could tell: a HEAD gets the status and no body. */
export type HttpFaultAnswer =
  | 'deny'
  | 'slow_down'
  | 'server_error'
  | 'no_such_bucket'
  | 'wrong_region'
  | 'clock_skew'
  | 'expired_token'
  /** 200 and a page, as a portal or a wrong address answers. */
  | 'garbage'
  /** The request is taken and never answered. */
  | 'stall'
  /** The beginning of an answer and never the rest. */
  | 'stall_body'
  /** The beginning of an answer, then the connection is reset. */
  | 'cut'
  | { readonly delayMs: number };

export interface HttpFault {
  /** Which requests it meets; all unless given. */
  readonly match?: (request: ProxiedRequest) => boolean;
  readonly answer: HttpFaultAnswer;
}

/** A real server behind, untouched but for the fault that is set. */
export interface HttpFaultProxy {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  setFault(fault: HttpFault | null): void;
  /** Requests so far by kind, those met by a fault included. */
  readonly requests: Readonly<Record<RequestKind, number>>;
  stop(): Promise<void>;
}

interface ErrorAnswer {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const host = '127.0.0.1';

const errorAnswers = {
  deny: { status: 403, code: 'AccessDenied', message: 'Access Denied' },
  slow_down: { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' },
  server_error: { status: 500, code: 'InternalError', message: 'We encountered an internal error.' },
  no_such_bucket: { status: 404, code: 'NoSuchBucket', message: 'The specified bucket does not exist' },
  wrong_region: {
    status: 301,
    code: 'PermanentRedirect',
    message: 'The bucket you are attempting to access must be addressed using the specified endpoint.',
    headers: { 'x-amz-bucket-region': 'eu-south-2' },
  },
  clock_skew: {
    status: 403,
    code: 'RequestTimeTooSkewed',
    message: 'The difference between the request time and the current time is too large.',
    headers: { date: 'Thu, 01 Jan 2015 00:00:00 GMT' },
  },
  expired_token: { status: 400, code: 'ExpiredToken', message: 'The provided token has expired.' },
} as const satisfies Record<string, ErrorAnswer>;

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
    const met = fault !== null && (fault.match?.(proxied) ?? true) ? fault.answer : null;
    if (met === null) forward(request, response, { upstream, agent });
    else if (typeof met === 'object') {
      void delay(met.delayMs).then(() => {
        forward(request, response, { upstream, agent });
      });
    } else {
      // An answer that comes before the body was read resets the connection of a client that is still sending.
      request.resume().once('end', () => {
        fail(response, met, proxied.kind);
      });
    }
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

/** With the client's Host header: it is part of what the client signed. */
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

function fail(response: ServerResponse, answer: Exclude<HttpFaultAnswer, object>, kind: RequestKind): void {
  switch (answer) {
    case 'stall':
      return;
    case 'stall_body':
      begin(response, kind);
      return;
    case 'cut':
      begin(response, kind);
      setImmediate(() => response.socket?.resetAndDestroy());
      return;
    case 'garbage':
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html><body>Please log in</body></html>');
      return;
    case 'deny':
    case 'slow_down':
    case 'server_error':
    case 'no_such_bucket':
    case 'wrong_region':
    case 'clock_skew':
    case 'expired_token':
      sayError(response, errorAnswers[answer], kind);
  }
}

/** A HEAD has no body to begin: it gets nothing at all. */
function begin(response: ServerResponse, kind: RequestKind): void {
  if (kind === 'head') return;
  response.writeHead(200, { 'content-type': 'application/xml', 'content-length': '1000', etag: '"0"' });
  response.write('<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><IsTruncated>false</IsTruncated>');
}

function sayError(response: ServerResponse, error: ErrorAnswer, kind: RequestKind): void {
  const { status, code, message, headers = {} } = error;
  response.writeHead(status, { 'content-type': 'application/xml', ...headers });
  if (kind === 'head') response.end();
  else
    response.end(
      `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`,
    );
}
