import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type {
  Exchange,
  HttpFaultProxy as Proxy,
  ProxiedRequest,
  RequestKind,
} from '../../src/demo/fault-proxy.ts';
import { deny, sayError, startHttpFaultProxy as startProxy } from '../../src/demo/fault-proxy.ts';

/** Answers of AWS, exact to the letter where a client can tell the difference, and the failures of a network. */
export type HttpFaultAnswer =
  | 'deny'
  | 'slow_down'
  | 'server_error'
  | 'no_such_bucket'
  | 'wrong_region'
  | 'clock_skew'
  | 'expired_token'
  /** 200 and a page, as from a captive portal or a wrong address. */
  | 'garbage'
  /** The proxy takes the request and never answers. */
  | 'stall'
  /** The proxy sends the beginning of an answer and never the rest. */
  | 'stall_body'
  /** The proxy sends the beginning of an answer, then resets the connection. */
  | 'cut'
  | { readonly delayMs: number }
  /** An error in the form of S3; with `html`, a proxy's page in its place. */
  | {
      readonly error: {
        readonly status: number;
        readonly code: string;
        readonly message: string;
        readonly html: boolean;
      };
    };

export interface HttpFault {
  /** Chooses the requests that meet the fault; all of them unless given. */
  readonly match?: (request: ProxiedRequest) => boolean;
  readonly answer: HttpFaultAnswer;
}

/** The proxy of the demo, with every fault that a test needs. */
export interface HttpFaultProxy extends Omit<Proxy, 'setFault'> {
  setFault(fault: HttpFault | null): void;
}

const errors = {
  slow_down: { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.', headers: {} },
  server_error: {
    status: 500,
    code: 'InternalError',
    message: 'We encountered an internal error.',
    headers: {},
  },
  no_such_bucket: {
    status: 404,
    code: 'NoSuchBucket',
    message: 'The specified bucket does not exist',
    headers: {},
  },
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
  expired_token: {
    status: 400,
    code: 'ExpiredToken',
    message: 'The provided token has expired.',
    headers: {},
  },
};

export async function startHttpFaultProxy(options: {
  readonly upstream: { readonly host: string; readonly port: number };
}): Promise<HttpFaultProxy> {
  const proxy = await startProxy(options);
  return {
    ...proxy,
    setFault: (fault) => {
      if (fault === null) proxy.setFault(null);
      else
        proxy.setFault({
          match: fault.match ?? (() => true),
          answer: (exchange) => {
            give(fault.answer, exchange);
          },
        });
    },
  };
}

function give(answer: HttpFaultAnswer, exchange: Exchange): void {
  if (typeof answer === 'object' && 'error' in answer) {
    sayGiven(exchange, answer.error);
    return;
  }
  if (typeof answer === 'object') {
    void delay(answer.delayMs).then(exchange.forward);
    return;
  }
  switch (answer) {
    case 'deny':
      deny(exchange);
      return;
    case 'stall':
      exchange.request.resume();
      return;
    case 'garbage':
    case 'stall_body':
    case 'cut':
      // An answer that comes before the body was read would reset the connection of a client that is still sending.
      exchange.request.resume().once('end', () => {
        breakOff(answer, exchange);
      });
      return;
    case 'slow_down':
    case 'server_error':
    case 'no_such_bucket':
    case 'wrong_region':
    case 'clock_skew':
    case 'expired_token':
      sayError(exchange, errors[answer]);
  }
}

function sayGiven(
  exchange: Exchange,
  { html, ...error }: Extract<HttpFaultAnswer, { error: unknown }>['error'],
): void {
  if (!html) {
    sayError(exchange, { ...error, headers: {} });
    return;
  }
  const { request, response } = exchange;
  request.resume().once('end', () => {
    response
      .writeHead(error.status, { 'content-type': 'text/html' })
      .end('<html><body>Forbidden</body></html>');
  });
}

function breakOff(answer: 'garbage' | 'stall_body' | 'cut', { response, kind }: Exchange): void {
  if (answer === 'garbage') {
    const page = '<html><body>Please log in</body></html>';
    // The length is in the answer to HEAD as well.
    response.writeHead(200, { 'content-type': 'text/html', 'content-length': page.length }).end(page);
    return;
  }
  begin(response, kind);
  if (answer === 'cut') setImmediate(() => response.socket?.resetAndDestroy());
}

/** Begins an answer. An answer to HEAD has no body to begin, so the client gets nothing at all. */
function begin(response: ServerResponse, kind: RequestKind): void {
  if (kind === 'head') return;
  response.writeHead(200, { 'content-type': 'application/xml', 'content-length': '1000', etag: '"0"' });
  response.write('<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><IsTruncated>false</IsTruncated>');
}
