import { parseUrl } from '../lib/parse-url.ts';
import { secret } from '../lib/secret.ts';
import type { Proxies } from '../s3/agents.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The proxies in a client's configuration: a map by scheme, used instead of the environment variables. */
type Told = Readonly<Record<string, unknown>> | null | undefined;

/**
 * The proxies of a botocore client: those of its configuration, else those of the variables. `endpoint` is the endpoint
 * of the client, not the host of a bucket: NO_PROXY is matched against `endpoint` only.
 *
 * @throws {RangeError} when one of the proxies is not a URL.
 */
export function workerProxies(endpoint: string, { told, env }: { told: Told; env: Environment }): Proxies {
  const texts = told ?? environmentProxies(endpoint, env);
  const of = (scheme: string) => {
    const text = texts[scheme];
    if (typeof text !== 'string' || text === '') return null;
    const url = withScheme(text);
    if (parseUrl(url) !== null) return secret(url);
    const what =
      told == null
        ? `is asked through the proxy of ${proxyVariable(scheme, env)}, which is`
        : `has a proxy for ${scheme} that is`;
    throw new RangeError(`${what} no URL: write http://host:port`);
  };
  return { http: of('http'), https: of('https') };
}

/** The variable whose proxy is not a URL; null: every proxy variable holds a URL or is not set. */
export function brokenProxy(env: Environment): string | null {
  const broken = ['http', 'https'].find((scheme) => {
    const text = env[proxyVariable(scheme, env)] ?? '';
    return text !== '' && parseUrl(withScheme(text)) === null;
  });
  return broken === undefined ? null : proxyVariable(broken, env);
}

function proxyVariable(scheme: string, env: Environment): string {
  const lower = `${scheme}_proxy`;
  return env[lower] === undefined ? lower.toUpperCase() : lower;
}

/** Does the same as botocore's `ProxyConfiguration._fix_proxy_url`. */
function withScheme(text: string): string {
  if (/^https?:/.test(text)) return text;
  return text.startsWith('//') ? `http:${text}` : `http://${text}`;
}

/**
 * Does the same as Python's `getproxies` and `proxy_bypass`. A name in lower case takes precedence; if its value is
 * empty, there is no proxy.
 */
function environmentProxies(endpoint: string, env: Environment): Readonly<Record<string, string>> {
  const named = (scheme: string) => env[proxyVariable(scheme, env)] ?? '';
  const url = parseUrl(endpoint);
  const isOut = url !== null && isLeftOut(url, named('no'));
  return isOut ? {} : { http: named('http'), https: named('https') };
}

/** Matches against NO_PROXY. A star counts only alone; an entry with a port matches only a URL that names that port. */
function isLeftOut({ hostname, host }: URL, list: string): boolean {
  if (list === '*') return true;
  return list
    .split(',')
    .map((one) => one.trim().toLowerCase().replace(/^\.+/, ''))
    .some((one) => one !== '' && [hostname, host].some((name) => name === one || name.endsWith(`.${one}`)));
}
