import { parseUrl } from '../lib/parse-url.ts';
import { secret } from '../lib/secret.ts';
import type { Proxies } from '../s3/agents.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What a client is told of proxies: a map by scheme, in place of the variables. */
type Told = Readonly<Record<string, unknown>> | null | undefined;

/**
 * The proxies of a client of botocore's: those of its configuration, else those of the variables. `endpoint` is the one that
 * the client is made for, and no bucket's host: by it alone NO_PROXY is asked.
 *
 * @throws {RangeError} when the one that it would go through is no URL.
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

/** The variable whose proxy is no URL; null: each one is, or is not set. */
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

/** As `ProxyConfiguration._fix_proxy_url`. */
function withScheme(text: string): string {
  if (/^https?:/.test(text)) return text;
  return text.startsWith('//') ? `http:${text}` : `http://${text}`;
}

/** Python's `getproxies` and `proxy_bypass`: a name in lower case goes first, and takes away what it leaves empty. */
function environmentProxies(endpoint: string, env: Environment): Readonly<Record<string, string>> {
  const named = (scheme: string) => env[proxyVariable(scheme, env)] ?? '';
  const url = parseUrl(endpoint);
  const isOut = url !== null && isLeftOut(url, named('no'));
  return isOut ? {} : { http: named('http'), https: named('https') };
}

/** A star counts alone; an entry with a port is for that port, if the URL names it. */
function isLeftOut({ hostname, host }: URL, list: string): boolean {
  if (list === '*') return true;
  return list
    .split(',')
    .map((one) => one.trim().toLowerCase().replace(/^\.+/, ''))
    .some((one) => one !== '' && [hostname, host].some((name) => name === one || name.endsWith(`.${one}`)));
}
