/**
 * Host '' is every interface.
 *
 * @throws {RangeError} when the text is no address.
 */
export function parseListenAddress(text: string): { readonly host: string; readonly port: number } {
  const [, ipv6, host = '', port = ''] = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]\s/]*)):(\d{1,5})$/i.exec(text) ?? [];
  if (port === '' || Number(port) > 65_535) {
    throw new RangeError(
      `${JSON.stringify(text)} is not an address: write :10048, 127.0.0.1:10048 or [::1]:10048`,
    );
  }
  return { host: ipv6 ?? host, port: Number(port) };
}

/**
 * Takes the slash at the end off.
 *
 * @throws {RangeError} when the text is no address of a web server.
 */
export function parseBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  // The message leaves the text out: who puts a password into it would read it in the log.
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new RangeError(
      'is not the address of a web server: write http://host:port or https://host, without a user',
    );
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
