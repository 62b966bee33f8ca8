import { createHash } from 'node:crypto';
import { hostname } from 'node:os';

/**
 * Names the test object of one exporter: the same each time, so that what cannot be deleted for good gathers under one
 * key, and another for each exporter, so that no two write and delete each other's.
 */
export function probeId({ host, port }: { readonly host: string; readonly port: number }): string {
  return createHash('sha256').update(`${hostname()} ${host}:${port}`).digest('hex').slice(0, 16);
}
