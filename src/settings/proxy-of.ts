type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that Python's `getproxies` and `should_bypass_proxies` would take for a URL, with the variable that names it;
 * its host alone, since the rest may hold a password. Null: none.
 */
export function proxyOf(url: string, env: Environment): { host: string; variable: string } | null {
  if (!URL.canParse(url)) return null;
  const { protocol, hostname } = new URL(url);
  const name = protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const variable = [name, name.toUpperCase()].find((one) => (env[one] ?? '') !== '');
  if (variable === undefined || isLeftOut(hostname, env['no_proxy'] ?? env['NO_PROXY'] ?? '')) return null;
  const proxy = env[variable] ?? '';
  const parsed = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  return { host: URL.canParse(parsed) ? new URL(parsed).host : '(not a URL)', variable };
}

function isLeftOut(hostname: string, list: string): boolean {
  return list
    .split(',')
    .map((one) => one.trim().toLowerCase().replace(/^\./, '').replace(/:\d+$/, ''))
    .some((one) => one !== '' && (one === '*' || hostname === one || hostname.endsWith(`.${one}`)));
}
