import { kindOfBackend } from '../airflow/backend-class.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';

/** Settings with which no push of any worker works: the verdict heeds them. */
interface PushFault {
  readonly pushFault: string;
}

/** What is said about settings, and whether they let pushes work. */
export type Warning = string | PushFault;

/** As it may be shown. */
export function shown(warning: Warning): Warning {
  const sentence = withoutPasswords(sentenceOf(warning));
  return typeof warning === 'string' ? sentence : { pushFault: sentence };
}

export function sentenceOf(warning: Warning): string {
  return typeof warning === 'string' ? warning : warning.pushFault;
}

/** The first of the warnings that no push works with; null: none is, or the class in force pushes nothing into object storage. */
export function pushFaultOf(warnings: readonly Warning[], backend: string | null): string | null {
  if (backend !== null && kindOfBackend(backend) === 'database') return null;
  return warnings.find((warning) => typeof warning !== 'string')?.pushFault ?? null;
}
