import type { Config } from '../settings/config.ts';
import { counted, say, takenBack, undecided } from './problem.ts';
import type { Ruling } from './problem.ts';
import type { Survey } from './survey.ts';

/**
 * References outside the path are from another time, or another path is in force beside it. A worker reads back only
 * references below its own path: those of another path in force have workers that can, those of another time have none.
 */
export function pathMismatch(
  { rows, window, inOtherStore, times, mismatchedPrefixes, doubtfulPrefixes }: Survey,
  { xcom }: Pick<Config, 'xcom'>,
): Ruling {
  const { latestMismatched, firstInForce } = times;
  const seen = prefixes(mismatchedPrefixes);
  const configured = (xcom.paths ?? []).map(({ raw }) => raw).join(' and ');
  if (latestMismatched !== null && firstInForce !== null && latestMismatched > firstInForce)
    return takenBack(
      `references are written to ${seen} beside ${configured} (if that is meant, give all of them as xcom.path, separated by commas)`,
    );
  const { path_mismatch: outside, doubtful } = rows;
  if (outside.rows === 0)
    return doubtful.rows === 0
      ? 'clear'
      : undecided(
          `${counted(doubtful.rows, 'row')} point${doubtful.rows === 1 ? 's' : ''} below ${prefixes(doubtfulPrefixes)}: a file of one task’s own, laid out as the backend does, or a path of workers (then add it to xcom.path)`,
        );
  return say(
    `${outside.rows} of ${counted(window.rows.s3 + inOtherStore, 'reference')} in the window lie${outside.rows === 1 ? 's' : ''} outside ${configured}; seen is ${seen}.`,
    outside,
  );
}

function prefixes(all: readonly string[]): string {
  const [first = '', second] = all;
  return second === undefined ? first : `${first} and ${all.length - 1} more`;
}

/**
 * An absolute path on a disk is intended. It works for tasks that all run on one machine, and for all others if the
 * disk is shared. If other references lie under a path in S3, that path is in force. A file beside them may be what a
 * task has returned.
 */
export function localPath(
  { rows: { local }, inForce: offloaded }: Survey,
  { xcom, tasksRun }: Pick<Config, 'xcom' | 'tasksRun'>,
): Ruling {
  if (local.rows === 0) return 'clear';
  const { inForce } = xcom;
  if (inForce?.bucket === '' && inForce.prefix.startsWith('/')) {
    const hosts = new Set(local.findings.flatMap(({ hostname }) => hostname ?? []));
    if (tasksRun === 'beside_scheduler' && hosts.size <= 1) return 'clear';
    const unknown = 'that is a fault unless the folder is shared (NFS, EFS, a ReadWriteMany volume)';
    return undecided(
      tasksRun === null
        ? `values lie below ${inForce.raw}, and whether all tasks run on one machine is not known (give AIRFLOW__CORE__EXECUTOR); if they do not, ${unknown}`
        : `values lie below ${inForce.raw}, and tasks run on several machines: ${unknown}, which is not known`,
    );
  }
  const isToldEmpty = xcom.paths?.length === 0;
  if (offloaded > 0 && !isToldEmpty)
    return takenBack(
      `${counted(local.rows, 'row')} name${local.rows === 1 ? 's' : ''} a file beside ${counted(offloaded, 'reference')} as configured: a task may have returned its path, or some workers lack xcom_objectstorage_path`,
    );
  return say(
    `${counted(local.rows, 'row')} in the window name${local.rows === 1 ? 's' : ''} a file on the disk of a worker.`,
    local,
  );
}
