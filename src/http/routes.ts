import type { ErrorRequestHandler, Express, RequestHandler } from 'express';
import express from 'express';
import type { Logger } from 'pino';
import type { Metrics } from '../metrics/metrics.ts';
import { openApiDocument } from '../status/openapi.ts';
import { findFindings, statusDocument } from '../status/status-document.ts';
import type { Status } from '../status/status.ts';
import { parseFindingsQuery, parsePageQuery } from './queries.ts';
import { readRunbook, RUNBOOK_PATH } from './runbook-page.ts';
import { REFRESH_SECONDS, renderStatusPage } from './status-page.ts';
import { STYLE_HASH } from './style.ts';
import type { WebConfig } from './web-config.ts';

export function createApp(options: HttpServerOptions, webConfig: WebConfig | null): Express {
  const { metrics, status, ready, reload, log } = options;
  const runbook = readRunbook();
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');

  app.use((_request, response, next) => {
    response.set(SECURITY_HEADERS);
    if (webConfig !== null) response.set(webConfig.headers());
    next();
  });

  app
    .route('/-/healthy')
    .get((_request, response) => {
      response.type('text').send('Healthy: the process answers.\n');
    })
    .all(allowOnly('GET, HEAD'));
  app
    .route('/-/ready')
    .get((_request, response) => {
      if (ready()) response.type('text').send('Ready.\n');
      else {
        response
          .status(503)
          .type('text')
          .send('Not ready: the first cycle has not been attempted yet, or the exporter is shutting down.\n');
      }
    })
    .all(allowOnly('GET, HEAD'));

  // Everything below asks for a password if one is set: a kubelet, which uses the two routes above, has none.
  if (webConfig !== null) app.use(authenticate(webConfig));

  app
    .route('/metrics')
    .get(async (request, response) => {
      const page = await metrics.snapshot();
      // Always the plain text format, whatever the client asks for: prom-client's OpenMetrics output changes the names
      // of counters.
      response.set({ 'Content-Type': TEXT_FORMAT, Vary: 'Accept-Encoding' });
      if (request.acceptsEncodings('gzip') === 'gzip')
        response.set('Content-Encoding', 'gzip').end(page.gzip);
      else response.end(page.text);
    })
    .all(allowOnly('GET, HEAD'));
  app
    .route('/-/reload')
    .post(async (request, response) => {
      // Only browsers send this header, for a page. No page of ours reloads, so another site sent it, with this
      // reader's password.
      if (request.headers.origin !== undefined) {
        response.status(403).type('text').send('Not reloaded: the request comes from a page in a browser.\n');
        return;
      }
      const result = await reload();
      if (result.ok)
        response
          .type('text')
          .send(
            `${[result.unchanged === true ? 'Nothing has changed.' : 'Reloaded.', ...(result.waits ?? [])].join('\n')}\n`,
          );
      else
        response
          .status(400)
          .type('text')
          .send(`Not reloaded:\n${result.problems.join('\n')}\n`);
    })
    .all(allowOnly('POST'));
  app
    .route('/')
    .get((request, response) => {
      const view = parsePageQuery(request.query);
      if ('error' in view) {
        response.status(400).type('text').send(`${view.error}\n`);
        return;
      }
      // A header, not a tag: the browser keeps the reader's place on the page, and the page can link to a version
      // without refresh.
      if (view.refresh) response.set('Refresh', String(REFRESH_SECONDS));
      const page = renderStatusPage(status(), { ...view, runbook: runbook === null ? null : RUNBOOK_PATH });
      response.type('html').send(page);
    })
    .all(allowOnly('GET, HEAD'));
  if (runbook !== null) {
    app
      .route(RUNBOOK_PATH)
      .get((_request, response) => {
        response.type('html').send(runbook);
      })
      .all(allowOnly('GET, HEAD'));
  }
  app
    .route('/api/v1/status')
    .get((_request, response) => {
      response.json(statusDocument(status()));
    })
    .all(allowOnly('GET, HEAD'));
  app
    .route('/api/v1/findings')
    .get((request, response) => {
      const query = parseFindingsQuery(request.query);
      if ('error' in query) response.status(400).json(query);
      else response.json(findFindings(status(), query));
    })
    .all(allowOnly('GET, HEAD'));
  app
    .route('/api/v1/openapi.json')
    .get((_request, response) => {
      response.json(openApiDocument());
    })
    .all(allowOnly('GET, HEAD'));

  app.use((_request, response) => {
    response
      .status(404)
      .type('text')
      .send('Not found. There is /, /metrics, /api/v1/status, /api/v1/findings.\n');
  });
  app.use(answerError(log));
  return app;
}

function allowOnly(methods: string): RequestHandler {
  return (_request, response) => {
    response.status(405).set('Allow', methods).type('text').send(`Method not allowed: use ${methods}.\n`);
  };
}

function authenticate(webConfig: WebConfig): RequestHandler {
  return async (request, response, next) => {
    const answer = await webConfig.authorize(request.headers.authorization);
    if (answer === 'yes') {
      next();
    } else if (answer === 'busy') {
      response.status(429).set('Retry-After', '1').type('text').send('Too many passwords to check.\n');
    } else {
      response.status(401).set('WWW-Authenticate', 'Basic realm="airflow-xcom-exporter", charset="UTF-8"');
      response.type('text').send('Unauthorized: a user of basic_auth_users and its password are needed.\n');
    }
  };
}

function answerError(log: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent) {
      next(error);
      return;
    }
    log.error({ err: error, method: request.method, path: request.path }, 'Cannot answer a request');
    response.removeHeader('Content-Encoding');
    response.status(500).type('text').send('Internal error: see the log of the exporter.\n');
  };
}

const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8';

/** The only image is the icon in the browser tab, which is part of the page. */
const SECURITY_HEADERS = {
  'Content-Security-Policy': `default-src 'none'; style-src '${STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
};

/**
 * `unchanged`: the settings are the same, so nothing was done. `waits`: sentences on what of the web configuration is
 * not in force until a restart.
 */
export type ReloadResult =
  | { ok: true; unchanged?: true; waits?: readonly string[] }
  | { ok: false; problems: readonly string[] };

export interface HttpServerOptions {
  /** Empty: every address. */
  readonly host: string;
  /** 0: a free port. */
  readonly port: number;
  readonly webConfigFile: string | null;
  readonly metrics: Pick<Metrics, 'snapshot'>;
  readonly status: () => Status;
  readonly ready: () => boolean;
  readonly reload: () => Promise<ReloadResult>;
  /** Called when the web configuration was read again; `taken`: it was accepted. */
  readonly webConfigRead: (taken: boolean) => void;
  readonly log: Logger;
}
