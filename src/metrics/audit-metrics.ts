import type { AuditResult } from '../state/audit-result.ts';
import type { Definition, Series } from './definition.ts';

/** The figures that the last audit left beside the state file. All are absent while there is no readable result. */
export const AUDIT_METRICS = {
  audit_timestamp_seconds: {
    type: 'gauge',
    help: 'When the last audit ended that left its result beside the state file, in seconds since the epoch.',
    labels: [],
    group: 'audit',
    stability: 'experimental',
  },
  audit_objects: {
    type: 'gauge',
    help: 'Objects in the places that the last audit could list: named by a row or a state store, orphaned, too young to be judged, or other files. Absent if the listing may have other names for them.',
    labels: ['verdict'],
    group: 'audit',
    stability: 'experimental',
  },
  audit_bytes: {
    type: 'gauge',
    help: 'Bytes of the objects in audit_objects.',
    labels: ['verdict'],
    group: 'audit',
    stability: 'experimental',
  },
  audit_missing_references: {
    type: 'gauge',
    help: 'Rows and state stores whose objects were gone at the last audit; absent if it is not known of all of them.',
    labels: [],
    group: 'audit',
    stability: 'experimental',
  },
  audit_unlisted_places: {
    type: 'gauge',
    help: 'Places to which rows point and which the last audit could not list: their objects are in no figure of it.',
    labels: [],
    group: 'audit',
    stability: 'experimental',
  },
} as const satisfies Record<string, Definition>;

/** All series of an audit. `result` null: there is no readable result. */
export function auditSeries(
  result: AuditResult | null,
): readonly (readonly [key: keyof typeof AUDIT_METRICS, series: readonly Series[]])[] {
  const verdicts = result === null ? [] : Object.entries(result.objects);
  const by = (figure: 'objects' | 'bytes') =>
    verdicts.map(([verdict, amount]): Series => [{ verdict }, amount?.[figure] ?? null]);
  return [
    ['audit_timestamp_seconds', [[{}, result === null ? null : result.at / 1000]]],
    ['audit_objects', by('objects')],
    ['audit_bytes', by('bytes')],
    ['audit_missing_references', [[{}, result?.missing ?? null]]],
    ['audit_unlisted_places', [[{}, result?.unlistedPlaces ?? null]]],
  ];
}
