import { PROBLEM_CODES, PROBLEMS } from '../../src/diagnosis/problem-catalogue.ts';
import type { ProblemCode, Severity } from '../../src/diagnosis/problem-catalogue.ts';
import type { Alert } from './alert.ts';
import { raised, raisedWith, valueOr } from './promql.ts';
import type { Figure } from './promql.ts';
import { runbook } from './site.ts';

const oversizeRows: Figure = { metric: 'airflow_xcom_window_oversize_in_db_rows' };
const NUMBER = valueOr('An unknown number of');
const EVERY_PROBLEM = runbook('{{ $labels.problem }}');

function broken(reasons: string): Figure {
  return { metric: `airflow_xcom_window_broken_references{reason=~"${reasons}"}`, over: ['reason'] };
}

/** A restart takes the exporter less than that. */
const keepFiringFor = '5m';

/** Some problems, and the figure that an alert gives for them. */
type Told = readonly [codes: readonly ProblemCode[], figure: Figure];

function matching(codes: readonly string[]): string {
  return `problem${codes.length === 1 ? '=' : '=~'}"${codes.join('|')}"`;
}

function exprOf(told: readonly Told[]): string {
  const exprs = told.map(([codes, figure]) => raisedWith(matching(codes), figure));
  return exprs.length === 1 ? exprs.join('') : exprs.map((expr) => `(\n${expr}\n)`).join('\nor\n');
}

/** What the exporter says of Airflow. Most telling first. */
const NAMED: readonly (Omit<Alert, 'expr'> & { readonly tells: readonly Told[] })[] = [
  {
    name: 'AirflowXComBackendInactive',
    tells: [[['backend_inactive', 'threshold_disabled'], oversizeRows]],
    for: '10m',
    keepFiringFor,
    severity: 'critical',
    summary: 'No XCom value reaches S3.',
    description: `{{ $labels.problem }}: every value stays in the metadata database, and the database grows. ${NUMBER} values in the window have at least the oversize limit.`,
    runbookUrl: EVERY_PROBLEM,
  },
  {
    name: 'AirflowXComWorkerBypass',
    tells: [[['worker_bypass'], oversizeRows]],
    for: '10m',
    keepFiringFor,
    severity: 'critical',
    summary: 'Some Airflow workers store large XCom values in the database while others use S3.',
    description: `${NUMBER} large values in the window are in the metadata database. They cluster on some queue, executor, host or operator.`,
    runbookUrl: runbook('worker_bypass'),
  },
  {
    name: 'AirflowXComSilentFallback',
    tells: [[['oversize_in_db'], oversizeRows]],
    for: '10m',
    keepFiringFor,
    severity: 'warning',
    summary: 'Large XCom values are stored in the metadata database instead of S3.',
    description: `${NUMBER} values in the window are in the metadata database and have at least the oversize limit. The backend is active, and no single pool of workers explains them.`,
    runbookUrl: runbook('oversize_in_db'),
  },
  {
    name: 'AirflowXComObjectsMissing',
    tells: [[['objects_missing', 'objects_empty'], broken('missing|empty')]],
    for: '5m',
    keepFiringFor,
    severity: 'critical',
    summary: 'XCom rows point at S3 objects that are gone or empty.',
    description: `{{ $labels.problem }}: ${valueOr('an unknown number of')} rows of the window point at an object that is gone or empty. A task that pulls such a value is handed its path instead, or fails.`,
    runbookUrl: EVERY_PROBLEM,
  },
  {
    name: 'AirflowXComObjectsUnreadable',
    tells: [[['objects_unreadable'], broken('unreadable')]],
    for: '5m',
    keepFiringFor,
    severity: 'critical',
    summary: 'XCom rows point at S3 objects in an archive, which nobody can read before they are restored.',
    description: `${NUMBER} rows of the window point at an object in an archive that is not restored. A task that pulls such a value fails.`,
    runbookUrl: runbook('objects_unreadable'),
  },
  {
    name: 'AirflowXComPathMismatch',
    tells: [
      [['path_mismatch', 'path_leaked'], broken('path_mismatch|leaked')],
      [['local_path'], { metric: 'airflow_xcom_window_rows{storage="other"}', over: ['storage'] }],
    ],
    for: '5m',
    keepFiringFor,
    severity: 'critical',
    summary: 'Airflow cannot read XCom references back, and hands tasks a path instead of a value.',
    description: `{{ $labels.problem }}: ${valueOr('an unknown number of')} rows of the window hold a path that Airflow, as configured, does not turn back into a value.`,
    runbookUrl: EVERY_PROBLEM,
  },
  {
    name: 'AirflowXComWriteDenied',
    tells: [
      [
        ['write_denied'],
        {
          metric: 'increase(airflow_xcom_write_failures_total{source="probe"}[6h])',
          over: ['source', 'reason'],
        },
      ],
    ],
    for: '5m',
    keepFiringFor,
    severity: 'critical',
    summary: 'The XCom bucket refuses a test write.',
    description: `${valueOr('An unknown number of', '$value | printf "%.0f"')} test writes failed within 6 hours. The last one was denied. If Airflow uses the same credentials, its pushes fail as well.`,
    runbookUrl: runbook('write_denied'),
  },
  {
    name: 'AirflowXComOrphansGrowing',
    tells: [[['orphans_growing'], { metric: 'airflow_xcom_window_orphan_objects' }]],
    for: '15m',
    keepFiringFor,
    severity: 'warning',
    summary: 'More and more objects have no XCom row that refers to them.',
    description: `${NUMBER} objects under the runs of the window have no row. There were fewer before.`,
    runbookUrl: runbook('orphans_growing'),
    comment: 'The exporter goes on saying it for an hour after the last growth.',
  },
  {
    name: 'AirflowXComExporterBehind',
    tells: [[['exporter_behind'], { metric: 'airflow_xcom_exporter_sample_coverage_ratio', combine: 'min' }]],
    for: '15m',
    severity: 'warning',
    summary: 'The figures of the XCom exporter are partial.',
    description: `The exporter has measured and looked up only ${valueOr('an unknown share', '$value | humanizePercentage')} of the window.`,
    runbookUrl: runbook('exporter_behind'),
  },
];

const named = new Set(NAMED.flatMap(({ tells }) => tells.flatMap(([codes]) => codes)));

function others(severity: Severity): string {
  const codes = PROBLEM_CODES.filter((code) => PROBLEMS[code].severity === severity && !named.has(code));
  return matching(codes);
}

/** A problem that gets no alert of its own is in one of these, so a new one is never silent. */
const REST: readonly Alert[] = [
  {
    name: 'AirflowXComCriticalProblem',
    expr: raised(others('critical')),
    for: '5m',
    keepFiringFor,
    severity: 'critical',
    summary: 'The XCom exporter reports a critical problem that has no alert of its own.',
    description: '{{ $labels.problem }} has been there for more than 5 minutes.',
    runbookUrl: EVERY_PROBLEM,
  },
  {
    name: 'AirflowXComWarning',
    expr: raised(others('warning')),
    for: '1h',
    keepFiringFor,
    severity: 'warning',
    summary: 'The XCom exporter has reported a warning for an hour.',
    description: '{{ $labels.problem }} has been there for more than 1 hour.',
    runbookUrl: EVERY_PROBLEM,
  },
];

export const PROBLEM_ALERTS: readonly Alert[] = [
  ...NAMED.map(({ tells, ...alert }) => ({ ...alert, expr: exprOf(tells) })),
  ...REST,
];
