import { kindOfBackend } from '../airflow/backend-class.ts';
import type { BackendKind } from '../airflow/backend-class.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { sizeWords } from '../lib/format.ts';
import type { Config } from '../settings/config.ts';
import { counted, momentOf, say, takenBack } from './problem.ts';
import type { Ruling } from './problem.ts';
import type { Survey } from './survey.ts';

export function kindOf({ backend }: Config['xcom']): BackendKind | null {
  return backend === null ? null : kindOfBackend(backend);
}

/** Whether it is not known that the class uses object storage. */
export function isOther(kind: BackendKind | null): boolean {
  return kind === 'other' || kind === 'former';
}

/** Airflow's own backend makes no use of a path and a threshold. */
export function keptByDefault(survey: Survey, { inForce, backend, oversize }: Config['xcom']): Ruling {
  const name = backend === '' ? 'empty' : (backend ?? '');
  return unlessReferenced(survey, {
    told: `the backend is said to be ${name}, Airflow's own`,
    words: `The backend is ${name}, Airflow's own, which keeps every value in the database, although ${rawOf(inForce)} is configured; ${kept(survey, oversize)}`,
  });
}

function isToldOff(xcom: Config['xcom']): boolean {
  const { inForce, threshold } = xcom;
  return threshold !== null && threshold < 0 && inForce !== null && !isOther(kindOf(xcom));
}

/** Raised when everything stays in the database because Airflow is told so. */
export function thresholdDisabled(xcom: Config['xcom'], survey: Survey | null): Ruling {
  if (!isToldOff(xcom)) return 'clear';
  const cost = survey === null ? '' : `; ${kept(survey, xcom.oversize)}`;
  return unlessReferenced(survey, {
    told: `the threshold is said to be ${xcom.threshold ?? ''}`,
    words: `The threshold is ${xcom.threshold ?? ''} although ${rawOf(xcom.inForce)} is configured${cost}`,
  });
}

/**
 * References contradict a setting that keeps every value in the database. The exception is a value as large that has
 * stayed there since the last of them: then the setting was another one until then.
 */
function unlessReferenced(
  survey: Survey | null,
  { told, words }: { readonly told: string; readonly words: string },
): Ruling {
  const { latestReference = null, keptSince = 0 } = survey?.times ?? {};
  if (latestReference !== null && keptSince === 0)
    return takenBack(`${told}, and there are references, the latest of ${momentOf(latestReference)}`);
  const until = latestReference === null ? '' : `; values went to S3 until ${momentOf(latestReference)}`;
  return say(`${words}${until}.`, survey?.rows.oversize);
}

function rawOf(path: XComPath | null): string {
  return path?.raw ?? '';
}

function kept({ window, rows }: Survey, oversize: number): string {
  return rows.oversize.rows === 0
    ? `no value in the database has ${sizeWords(oversize)} or more`
    : `the database holds ${counted(rows.oversize.rows, 'value')} of at least ${sizeWords(oversize)}, ${sizeWords(window.oversizeBytes)} together`;
}
