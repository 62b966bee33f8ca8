import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Secret } from '../lib/secret.ts';

/** The proxy for each kind of URL; null when there is none. The proxy's own URL may hold a password. */
export interface Proxies {
  readonly http: Secret | null;
  readonly https: Secret | null;
}

export const NO_PROXIES: Proxies = { http: null, https: null };

/** The certificate authorities and proxies for connections to a host. */
export interface Way {
  /** The file of the certificate authorities to trust; null: Node's own. */
  readonly authorities: string | null;
  readonly proxies: Proxies;
}

/** The proxy refused the connection or did not answer. The message may be shown. */
export class ProxyFailure extends Error {
  override readonly name = 'ProxyFailure';
  readonly host: string;
  /** Null: the proxy did not answer. */
  readonly status: number | null;
  /** Node's error code; null when there is none. */
  readonly code: string | null;

  constructor(
    host: string,
    { status, code }: { readonly status: number | null; readonly code: string | null },
  ) {
    super(
      `the proxy ${host} ${status === null ? `did not answer: ${code ?? 'no word'}` : `answered ${status}`}`,
    );
    this.host = host;
    this.status = status;
    this.code = code;
  }
}

/** @throws {Error} when the file of authorities cannot be read. */
export function openAgents(
  { authorities, proxies }: Way,
  options: { readonly keepAlive: boolean; readonly maxSockets: number },
): { readonly httpAgent: HttpAgent; readonly httpsAgent: HttpAgent } {
  const trusted = trust(authorities);
  const { http, https } = proxies;
  return {
    httpAgent:
      http === null ? new HttpAgent(options) : new Passage(http.reveal(), { ...options, ...trusted }),
    httpsAgent:
      https === null
        ? new HttpsAgent({ ...options, ...trusted })
        : new Tunnel(https.reveal(), { ...options, ...trusted }),
  };
}

/** The host of the proxy for requests to this URL, fit to be shown; null when there is no proxy. */
export function proxyHost(url: string | null, proxies: Proxies): string | null {
  const proxy = url !== null && /^http:/i.test(url) ? proxies.http : proxies.https;
  return proxy === null ? null : new URL(proxy.reveal()).host;
}

/** The authorities as an option for Node. @throws {Error} when the file of authorities cannot be read. */
function trust(authorities: string | null): { ca?: Buffer } {
  if (authorities === null) return {};
  try {
    return { ca: readFileSync(authorities) };
  } catch (cause) {
    throw new Error(`Cannot read the certificate authorities in ${authorities}: ${String(cause)}`, { cause });
  }
}

/** Tells a proxy that is not there from a storage that is not there. */
class Passage extends HttpProxyAgent<string> {
  override connect(
    ...asked: Parameters<HttpProxyAgent<string>['connect']>
  ): ReturnType<HttpProxyAgent<string>['connect']> {
    return super.connect(...asked).catch((error: unknown) => {
      throw unanswered(this.proxy, error);
    });
  }
}

function unanswered({ host }: URL, error: unknown): ProxyFailure {
  const { code } = Object(error) as { code?: unknown };
  return new ProxyFailure(host, { status: null, code: typeof code === 'string' ? code : null });
}

/** A request's options as they are when its agent sees them. */
type Asked = Parameters<HttpsProxyAgent<string>['connect']>[1];

/**
 * Mends three things in the library. The library trusts our authorities only for the proxy. It opens a tunnel for each
 * request, because it forgets which of its sockets are secure. It passes a refusal by the proxy on as if the storage
 * had answered.
 */
class Tunnel extends HttpsProxyAgent<string> {
  constructor(proxy: string, options: TunnelOptions) {
    super(proxy, options);
    const { ca } = options;
    // Node lays these options over the options of each request.
    Object.assign(this, {
      options: { path: undefined, secureEndpoint: true, ...(ca === undefined ? {} : { ca }) },
    });
  }

  override async connect(
    request: ClientRequest,
    options: Asked,
  ): ReturnType<HttpsProxyAgent<string>['connect']> {
    const heard: { status: number | null } = { status: null };
    request.once('proxyConnect', (answer: { statusCode: number }) => {
      heard.status = answer.statusCode;
    });
    const socket = await super.connect(request, options).catch((error: unknown) => {
      throw unanswered(this.proxy, error);
    });
    if (heard.status === 200) return socket;
    socket.destroy();
    throw new ProxyFailure(this.proxy.host, { status: heard.status, code: null });
  }
}

interface TunnelOptions {
  readonly keepAlive: boolean;
  readonly maxSockets: number;
  readonly ca?: Buffer;
}
