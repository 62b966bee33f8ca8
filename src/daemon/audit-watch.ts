import type { Logger } from 'pino';
import type { Metrics } from '../metrics/metrics.ts';
import { auditResultPath, auditStamp, readAuditResult } from '../state/audit-result.ts';

/** Shows the result that the last audit left beside the state file, as long as the file exists and can be read. */
export interface AuditWatch {
  /** Reads the file if it has changed since the last look. */
  look(): Promise<void>;
  hide(): void;
}

export function watchAudit(parts: {
  /** Null: there is no state file, so no audit can leave a result beside it. */
  stateFile: string | null;
  metrics: Pick<Metrics, 'publishAudit'>;
  log: Logger;
}): AuditWatch {
  const { stateFile, metrics, log } = parts;
  let seen: string | null = null;
  return {
    async look() {
      if (stateFile === null) return;
      const path = auditResultPath(stateFile);
      const stamp = await auditStamp(path);
      if (stamp === seen) return;
      const isFirst = seen === null;
      seen = stamp;
      const found = await readAuditResult(path);
      metrics.publishAudit(found.kind === 'found' ? found.result : null);
      if (found.kind === 'unusable')
        log.error({ path, why: found.why }, 'the result of the last audit is not shown: it cannot be used');
      else if (found.kind === 'found')
        log.info({ path, endedAt: new Date(found.result.at).toISOString() }, 'the last audit is shown');
      else if (isFirst) log.debug({ path }, 'no audit has left a result beside the state file');
      else log.warn({ path }, 'the result of the last audit is no longer shown: its file is gone');
    },
    hide() {
      seen = null;
      metrics.publishAudit(null);
    },
  };
}
