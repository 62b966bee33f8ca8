import { kindOfBackend } from '../airflow/backend-class.ts';
import { codecOf } from '../airflow/compression.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';

/** A release that does not have a fault. The exporter knows that of Airflow by its tables, and no provider's. */
export type Exempt = 'Airflow 3.2' | 'common-io 1.3.0';

/** A setting that makes every push of a worker fail. The verdict takes it into account. */
interface PushFault {
  readonly pushFault: string;
  /** Workers that have this, or a later one if it is Airflow, do not fail. */
  readonly unless?: Exempt;
  /** The ids of the connections with the fault. Without this field the workers of every path have it. */
  readonly connections?: readonly string[];
}

/** A sentence about the settings. A `PushFault` also says that no push works. */
export type Warning = string | PushFault;

/** A fault that a verdict can name. `effect` follows "with these settings". */
export interface FailingPushes {
  readonly sentence: string;
  readonly effect: 'every push fails' | 'the pushes of some workers fail' | 'pushes may fail';
  readonly unless: Exempt | null;
}

/** The warning without passwords, so that it may be shown. */
export function shown(warning: Warning): Warning {
  const sentence = withoutPasswords(sentenceOf(warning));
  return typeof warning === 'string' ? sentence : { ...warning, pushFault: sentence };
}

export function sentenceOf(warning: Warning): string {
  return typeof warning === 'string' ? warning : warning.pushFault;
}

/** Each sentence once. A fault that several connections have names all of them. */
export function merged(warnings: readonly Warning[]): readonly Warning[] {
  const bySentence = new Map<string, Warning>();
  for (const warning of warnings) {
    const before = bySentence.get(sentenceOf(warning));
    bySentence.set(sentenceOf(warning), before === undefined ? warning : both(before, warning));
  }
  return [...bySentence.values()];
}

function both(one: Warning, other: Warning): Warning {
  if (typeof one === 'string') return other;
  if (typeof other === 'string' || one.connections === undefined) return one;
  if (other.connections === undefined) return other;
  return { ...one, connections: [...one.connections, ...other.connections] };
}

const BY_WEIGHT: readonly FailingPushes['effect'][] = [
  'every push fails',
  'the pushes of some workers fail',
  'pushes may fail',
];

/** All of the faults. None with a class that pushes nothing into object storage. */
export function pushFaultsOf(
  warnings: readonly Warning[],
  { backend, paths }: { readonly backend: string | null; readonly paths: readonly XComPath[] | null },
): readonly FailingPushes[] {
  if (backend !== null && kindOfBackend(backend) === 'database') return [];
  return merged(warnings).flatMap((warning) =>
    typeof warning === 'string' ? [] : [failing(warning, (paths ?? []).filter(isS3Path))],
  );
}

/**
 * The gravest of the faults with the releases that the tables show, as `2.10-2.11` or `before 2.9`; null: none is known.
 * The release is applied to each first: a fault that counts for nothing there must not hide one that counts.
 */
export function gravestFault(
  faults: readonly FailingPushes[],
  releases: string | null,
): FailingPushes | null {
  const counting = faults.flatMap((fault) => inRelease(fault, releases));
  return BY_WEIGHT.flatMap((effect) => counting.filter((one) => one.effect === effect))[0] ?? null;
}

function failing({ pushFault, unless, connections }: PushFault, paths: readonly XComPath[]): FailingPushes {
  if (unless !== undefined) return { sentence: pushFault, effect: 'pushes may fail', unless };
  const hit = paths.filter(({ connection }) => connections?.includes(connection ?? '') !== false);
  if (hit.length === paths.length) return { sentence: pushFault, effect: 'every push fails', unless: null };
  const places = withoutPasswords(hit.map(({ raw }) => raw).join(', '));
  const sentence = `${pushFault} (this concerns workers with the path ${places})`;
  return { sentence, effect: 'the pushes of some workers fail', unless: null };
}

/**
 * Why pushes fail over the codec. None: it exists, or nothing is pushed into object storage. A cycle does not need this:
 * its problem `compression_unsupported` says the same.
 */
export function codecFaults({
  backend,
  compression,
}: {
  readonly backend: string | null;
  readonly compression: string | null;
}): readonly FailingPushes[] {
  if (backend !== null && kindOfBackend(backend) === 'database') return [];
  if (compression === null || codecOf(compression) !== 'unknown') return [];
  return [
    {
      sentence:
        'xcom.compression is no codec that fsspec knows: every push of a value for object storage fails, and up to common-io 1.9 every other one as well. Write gzip, bz2, xz, lzma, zip or zstd',
      effect: 'every push fails',
      unless: null,
    },
  ];
}

/** A fault that all of the releases have is certain, and one that none of them has is no fault. */
function inRelease(fault: FailingPushes, releases: string | null): readonly FailingPushes[] {
  if (fault.unless !== 'Airflow 3.2' || releases === null) return [fault];
  const numbers = [...releases.matchAll(/(\d+)\.(\d+)/g)].map(
    ([, major, minor]) => Number(major) * 1_000 + Number(minor),
  );
  if (numbers.length > 0 && Math.min(...numbers) >= 3_002) return [];
  const isCertain = numbers.length > 0 && Math.max(...numbers) < 3_002;
  return [isCertain ? { ...fault, effect: 'every push fails' } : fault];
}
