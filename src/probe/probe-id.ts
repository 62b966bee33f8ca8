import { createHash } from 'node:crypto';
import { hostname } from 'node:os';

/**
 * Names the test object of one exporter. The name is always the same, so that versions that cannot be deleted for good
 * gather under one key. It differs between exporters, so that none writes or deletes another's object.
 */
export function probeId({ host, port }: { readonly host: string; readonly port: number }): string {
  return createHash('sha256').update(`${hostname()} ${host}:${port}`).digest('hex').slice(0, 16);
}
