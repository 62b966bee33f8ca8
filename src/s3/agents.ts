import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { readFileSync } from 'node:fs';
import { lookup } from 'node:dns';
import { Agent as HttpAgent } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction, Socket } from 'node:net';
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

/** A proxy or a name server had no answer in our time. A worker may wait longer. The message may be shown. */
export class WayLate extends Error {
  override readonly name = 'WayLate';
  /** The SDK tries again if this is there: one packet that was lost is enough to be late. */
  readonly $retryable: object | undefined;

  constructor(message: string, { triesAgain }: Pick<Patience, 'triesAgain'>) {
    super(message);
    this.$retryable = triesAgain ? {} : undefined;
  }
}

/** The time for the way to a host. */
export interface Patience {
  /** The most that a proxy may take to open the way, and a name server to give an address. */
  readonly patienceMs: number;
  /** Whether the SDK tries again after a way that was late: there has to be time for it. */
  readonly triesAgain: boolean;
}

/**
 * @throws {Error} when the file of authorities cannot be read.
 */
export function openAgents(
  { authorities, proxies }: Way,
  { patienceMs, triesAgain, ...common }: AgentOptions & Patience,
): { readonly httpAgent: HttpAgent; readonly httpsAgent: HttpAgent } {
  const trusted = trust(authorities);
  const patience = { patienceMs, triesAgain };
  const options = { ...common, lookup: lookUpWithin(patience) };
  const { http, https } = proxies;
  return {
    httpAgent:
      http === null
        ? new HttpAgent(options)
        : new Passage(http.reveal(), { ...common, ...trusted }, patience),
    httpsAgent:
      https === null
        ? new HttpsAgent({ ...options, ...trusted })
        : new Tunnel(https.reveal(), { ...common, ...trusted }, patience),
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

/** As Node's own. A name server that is late is told apart from a storage that takes no connection. */
function lookUpWithin(patience: Patience): LookupFunction {
  const { patienceMs: ms } = patience;
  return (host, options, done) => {
    const timer = setTimeout(() => {
      done(new WayLate(`no address in ${ms} ms for the host ${host}`, patience), []);
    }, ms);
    // Node takes no second answer.
    lookup(host, options, (...answer) => {
      clearTimeout(timer);
      done(...answer);
    });
  };
}

/**
 * Opens the way through a proxy. The libraries wait without end, also for a request that was given up, and then send no
 * more once as many wait as the agent has sockets.
 *
 * @throws {WayLate}
 * @throws {ProxyFailure}
 */
async function openWay<T>(
  agent: Pick<HttpsProxyAgent<string>, 'connectOpts' | 'proxy'>,
  patience: Patience,
  connect: () => Promise<T>,
): Promise<T> {
  const { patienceMs, triesAgain } = patience;
  const { host } = agent.proxy;
  const ending = new AbortController();
  // The libraries take these options as they are when `connect` is called.
  agent.connectOpts = { ...agent.connectOpts, signal: ending.signal };
  const { opened, isTaken } = watchConnection(connect);
  const timer = setTimeout(() => {
    // The SDK tries again after this code.
    const code = triesAgain ? 'ETIMEDOUT' : null;
    ending.abort(
      isTaken()
        ? new WayLate(`no answer in ${patienceMs} ms from the proxy ${host}`, patience)
        : new ProxyFailure(host, { status: null, code }),
    );
  }, patienceMs);
  try {
    return await opened;
  } catch (error) {
    throw (ending.signal.reason as Error | undefined) ?? unanswered(agent.proxy, error);
  } finally {
    clearTimeout(timer);
  }
}

const NEW_SOCKET = 'net.client.socket';

/**
 * Calls what opens a connection at once. `isTaken`: false while the other side has not taken it. Node does not tell the
 * sockets of TLS, which count as taken, as does one that has no address yet.
 */
function watchConnection<T>(connect: () => Promise<T>): {
  readonly opened: Promise<T>;
  readonly isTaken: () => boolean;
} {
  let asked: Socket | null = null;
  const note = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    socket.once('connectionAttempt', () => {
      asked = socket;
    });
  };
  subscribe(NEW_SOCKET, note);
  try {
    return { opened: connect(), isTaken: () => asked?.connecting !== true };
  } finally {
    unsubscribe(NEW_SOCKET, note);
  }
}

/** Tells a proxy that is not there from a storage that is not there. */
class Passage extends HttpProxyAgent<string> {
  readonly patience: Patience;

  constructor(proxy: string, options: ProxyOptions, patience: Patience) {
    super(proxy, options);
    this.patience = patience;
  }

  override connect(
    ...asked: Parameters<HttpProxyAgent<string>['connect']>
  ): ReturnType<HttpProxyAgent<string>['connect']> {
    return openWay(this, this.patience, () => super.connect(...asked));
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
  readonly patience: Patience;

  constructor(proxy: string, options: ProxyOptions, patience: Patience) {
    super(proxy, options);
    this.patience = patience;
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
    const socket = await openWay(this, this.patience, () => super.connect(request, options));
    if (heard.status === 200) return socket;
    socket.destroy();
    throw new ProxyFailure(this.proxy.host, { status: heard.status, code: null });
  }
}

interface AgentOptions {
  readonly keepAlive: boolean;
  readonly maxSockets: number;
}

interface ProxyOptions extends AgentOptions {
  readonly ca?: Buffer;
}
