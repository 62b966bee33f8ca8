import { randomUUID } from 'node:crypto';
import { isS3Path } from './airflow/xcom-path.ts';
import type { Config } from './config.ts';
import { probe } from './probe.ts';
import type { ProbeResult } from './probe.ts';
import type { Stores } from './stores.ts';

/** Probes the place where Airflow is to write now; null when no path in S3 is configured. */
export async function probeInForce(
  config: Config,
  { stores, signal }: { stores: Pick<Stores, 'of'>; signal: AbortSignal },
): Promise<ProbeResult | null> {
  const path = config.xcom.paths.find(isS3Path);
  if (path === undefined) return null;
  const { bucket, prefix } = path;
  const { write } = config.probe;
  return probe(
    stores.of(path.connection ?? ''),
    { bucket, prefix, write, now: Date.now(), id: randomUUID() },
    signal,
  );
}
