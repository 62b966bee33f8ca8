import { kindOfBackend } from '../airflow/backend-class.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';

/** A setting that makes every push of every worker fail. The verdict takes it into account. */
interface PushFault {
  readonly pushFault: string;
}

/** A sentence about the settings. A `PushFault` also says that no push works. */
export type Warning = string | PushFault;

/** The warning without passwords, so that it may be shown. */
export function shown(warning: Warning): Warning {
  const sentence = withoutPasswords(sentenceOf(warning));
  return typeof warning === 'string' ? sentence : { pushFault: sentence };
}

export function sentenceOf(warning: Warning): string {
  return typeof warning === 'string' ? warning : warning.pushFault;
}

/**
 * The first warning that makes every push fail. Null: none does, or the class in force pushes nothing into object
 * storage.
 */
export function pushFaultOf(warnings: readonly Warning[], backend: string | null): string | null {
  if (backend !== null && kindOfBackend(backend) === 'database') return null;
  return warnings.find((warning) => typeof warning !== 'string')?.pushFault ?? null;
}
