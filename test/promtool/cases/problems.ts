import { EVIDENCE, LEADER, TARGET, of } from './case.ts';
import type { Case, Words } from './case.ts';

interface Story {
  readonly alert: string;
  readonly problem: string;
  readonly severity: 'critical' | 'warning';
  /** How many minutes the problem must last. */
  readonly minutes: number;
  /** The series of the figure, and its values. A counter grows within the first minute. */
  readonly figure?: { readonly series: string; readonly values: string };
  /** The description for two exporters that each have the figure. */
  readonly both: string;
  /** The description while the figure is not known; only with a figure. */
  readonly unknown?: string;
  readonly says: string;
  /** Whether a restart of two minutes is bridged. */
  readonly bridged: boolean;
}

export const WORDS: Readonly<Record<string, Words>> = {
  AirflowXComBackendInactive: { summary: 'No XCom value reaches S3.', runbook: '' },
  AirflowXComWorkerBypass: {
    summary: 'Some Airflow workers store large XCom values in the database while others use S3.',
    runbook: 'docs/runbook.md#worker_bypass',
  },
  AirflowXComSilentFallback: {
    summary: 'Large XCom values are stored in the metadata database instead of S3.',
    runbook: 'docs/runbook.md#oversize_in_db',
  },
  AirflowXComObjectsMissing: {
    summary: 'XCom rows point at S3 objects that are gone or empty.',
    runbook: '',
  },
  AirflowXComObjectsUnreadable: {
    summary: 'XCom rows point at S3 objects in an archive, which nobody can read before they are restored.',
    runbook: 'docs/runbook.md#objects_unreadable',
  },
  AirflowXComPathMismatch: {
    summary: 'Airflow cannot read XCom references back, and hands tasks a path instead of a value.',
    runbook: '',
  },
  AirflowXComWriteDenied: {
    summary: 'The XCom bucket refuses a test write.',
    runbook: 'docs/runbook.md#write_denied',
  },
  AirflowXComOrphansGrowing: {
    summary: 'More and more objects have no XCom row that refers to them.',
    runbook: 'docs/runbook.md#orphans_growing',
  },
  AirflowXComExporterBehind: {
    summary: 'The figures of the XCom exporter are partial.',
    runbook: 'docs/runbook.md#exporter_behind',
  },
  AirflowXComCriticalProblem: {
    summary: 'The XCom exporter reports a critical problem that has no alert of its own.',
    runbook: '',
  },
  AirflowXComWarning: { summary: 'The XCom exporter has reported a warning for an hour.', runbook: '' },
};

const large = 'airflow_xcom_window_oversize_in_db_rows';
const broken = (reason: string) => ({
  series: `airflow_xcom_window_broken_references|reason="${reason}"`,
  values: '3x200',
});

const inactive = (problem: string): Story => ({
  alert: 'AirflowXComBackendInactive',
  problem,
  severity: 'critical',
  minutes: 10,
  figure: { series: large, values: '7x200' },
  says: `${problem}: every value stays in the metadata database, and the database grows. 7 values in the window have at least the oversize limit.`,
  both: `${problem}: every value stays in the metadata database, and the database grows. 14 values in the window have at least the oversize limit.`,
  unknown: `${problem}: every value stays in the metadata database, and the database grows. An unknown number of values in the window have at least the oversize limit.`,
  bridged: true,
});

const missing = (problem: string, reason: string): Story => ({
  alert: 'AirflowXComObjectsMissing',
  problem,
  severity: 'critical',
  minutes: 5,
  figure: broken(reason),
  says: `${problem}: 3 rows of the window point at an object that is gone or empty. A task that pulls such a value is handed its path instead, or fails.`,
  both: `${problem}: 6 rows of the window point at an object that is gone or empty. A task that pulls such a value is handed its path instead, or fails.`,
  unknown: `${problem}: an unknown number of rows of the window point at an object that is gone or empty. A task that pulls such a value is handed its path instead, or fails.`,
  bridged: true,
});

const unreadable = (problem: string, figure: Story['figure']): Story => ({
  alert: 'AirflowXComPathMismatch',
  problem,
  severity: 'critical',
  minutes: 5,
  ...(figure === undefined ? {} : { figure }),
  says: `${problem}: 3 rows of the window hold a path that Airflow, as configured, does not turn back into a value.`,
  both: `${problem}: 6 rows of the window hold a path that Airflow, as configured, does not turn back into a value.`,
  unknown: `${problem}: an unknown number of rows of the window hold a path that Airflow, as configured, does not turn back into a value.`,
  bridged: true,
});

const other = (problem: string): Story => ({
  alert: 'AirflowXComCriticalProblem',
  problem,
  severity: 'critical',
  minutes: 5,
  says: `${problem} has been there for more than 5 minutes.`,
  both: `${problem} has been there for more than 5 minutes.`,
  bridged: true,
});

const warning = (problem: string): Story => ({
  alert: 'AirflowXComWarning',
  problem,
  severity: 'warning',
  minutes: 60,
  says: `${problem} has been there for more than 1 hour.`,
  both: `${problem} has been there for more than 1 hour.`,
  bridged: true,
});

/** Every problem that is not merely informational, with the alert that it raises. */
export const STORIES: readonly Story[] = [
  inactive('backend_inactive'),
  inactive('threshold_disabled'),
  {
    alert: 'AirflowXComWorkerBypass',
    problem: 'worker_bypass',
    severity: 'critical',
    minutes: 10,
    figure: { series: large, values: '7x200' },
    says: '7 large values in the window are in the metadata database. They cluster on some queue, executor, host or operator.',
    both: '14 large values in the window are in the metadata database. They cluster on some queue, executor, host or operator.',
    unknown:
      'An unknown number of large values in the window are in the metadata database. They cluster on some queue, executor, host or operator.',
    bridged: true,
  },
  {
    alert: 'AirflowXComSilentFallback',
    problem: 'oversize_in_db',
    severity: 'warning',
    minutes: 10,
    figure: { series: large, values: '7x200' },
    says: '7 values in the window are in the metadata database and have at least the oversize limit. The backend is active, and no single pool of workers explains them.',
    both: '14 values in the window are in the metadata database and have at least the oversize limit. The backend is active, and no single pool of workers explains them.',
    unknown:
      'An unknown number of values in the window are in the metadata database and have at least the oversize limit. The backend is active, and no single pool of workers explains them.',
    bridged: true,
  },
  missing('objects_missing', 'missing'),
  missing('objects_empty', 'empty'),
  {
    alert: 'AirflowXComObjectsUnreadable',
    problem: 'objects_unreadable',
    severity: 'critical',
    minutes: 5,
    figure: broken('unreadable'),
    says: '3 rows of the window point at an object in an archive that is not restored. A task that pulls such a value fails.',
    both: '6 rows of the window point at an object in an archive that is not restored. A task that pulls such a value fails.',
    unknown:
      'An unknown number of rows of the window point at an object in an archive that is not restored. A task that pulls such a value fails.',
    bridged: true,
  },
  unreadable('path_mismatch', broken('path_mismatch')),
  unreadable('path_leaked', broken('leaked')),
  unreadable('local_path', { series: 'airflow_xcom_window_rows|storage="other"', values: '3x200' }),
  {
    alert: 'AirflowXComWriteDenied',
    problem: 'write_denied',
    severity: 'critical',
    minutes: 5,
    figure: {
      series: 'airflow_xcom_write_failures_total|source="probe", reason="denied"',
      values: '0 12x200',
    },
    says: '12 test writes failed within 6 hours. The last one was denied. If Airflow uses the same credentials, its pushes fail as well.',
    both: '24 test writes failed within 6 hours. The last one was denied. If Airflow uses the same credentials, its pushes fail as well.',
    unknown:
      'An unknown number of test writes failed within 6 hours. The last one was denied. If Airflow uses the same credentials, its pushes fail as well.',
    bridged: true,
  },
  {
    alert: 'AirflowXComOrphansGrowing',
    problem: 'orphans_growing',
    severity: 'warning',
    minutes: 15,
    figure: { series: 'airflow_xcom_window_orphan_objects', values: '40x200' },
    says: '40 objects under the runs of the window have no row. There were fewer before.',
    both: '80 objects under the runs of the window have no row. There were fewer before.',
    unknown:
      'An unknown number of objects under the runs of the window have no row. There were fewer before.',
    bridged: true,
  },
  {
    alert: 'AirflowXComExporterBehind',
    problem: 'exporter_behind',
    severity: 'warning',
    minutes: 15,
    figure: { series: 'airflow_xcom_exporter_sample_coverage_ratio', values: '0.4x200' },
    says: 'The exporter has measured and looked up only 40% of the window.',
    both: 'The exporter has measured and looked up only 40% of the window.',
    unknown: 'The exporter has measured and looked up only an unknown share of the window.',
    bridged: false,
  },
  ...[
    'schema_unsupported',
    'airflow_too_old',
    'compression_unsupported',
    'bucket_unreachable',
    'skip_decision_offloaded',
    'canary_failing',
    'writes_failing',
    'reads_denied',
  ].map(other),
  ...[
    'threshold_mismatch',
    'permissions_unverifiable',
    'worker_settings_differ',
    'canary_silent',
    'deletes_denied',
    'not_watching',
  ].map(warning),
];

const second = 'exporter-1:10048';

function problemOf({ problem, severity }: Story, instance?: string): string {
  return of('airflow_xcom_problem', `problem="${problem}", severity="${severity}"`, instance);
}

function figureOf(figure: Story['figure'], instance?: string, values = figure?.values) {
  const [metric = '', more = ''] = (figure?.series ?? '').split('|');
  return values === undefined ? {} : { [of(metric, more, instance)]: values };
}

function firedAs({ problem, severity }: Story, description: string) {
  return { labels: { ...TARGET, problem, severity }, description: description + EVIDENCE };
}

function casesOf(story: Story): Case[] {
  const { alert, problem, minutes, figure, says, both, bridged } = story;
  const isCounter = figure?.series.includes('_total') === true;
  const fired = (description: string) => firedAs(story, description);
  // The problem begins at minute 21, when every range of a figure is full.
  const due = 21 + minutes;
  return [
    {
      alert,
      kind: 'fires',
      story: `${problem} stays`,
      series: { ...LEADER, ...figureOf(figure), [problemOf(story)]: `0x20 1x${minutes + 20} 0x100` },
      at: {
        [`${due - 1}m`]: [],
        [`${due + 2}m`]: [fired(says)],
        [`${due + 30}m`]: [],
      },
    },
    {
      alert,
      kind: 'does not fire',
      story: `${problem} passes before its time`,
      series: { ...LEADER, ...figureOf(figure), [problemOf(story)]: `0x20 1x${minutes - 3} 0x100` },
      at: { [`${due - 1}m`]: [], [`${due + 2}m`]: [] },
    },
    {
      alert,
      kind: 'no data',
      story: `nobody knows whether ${problem} is there`,
      series: { ...LEADER, ...figureOf(figure), [problemOf(story)]: '0x20 stale _x200' },
      at: { [`${due + 2}m`]: [] },
    },
    ...(figure === undefined ? [] : unknownFigure(story, figure)),
    {
      alert,
      kind: 'restart',
      story: bridged
        ? `${problem} stays while the exporter starts again: the alert neither ends nor begins anew`
        : `${problem} stays while the exporter starts again: the alert begins anew`,
      series: { ...LEADER, ...figureOf(figure), [problemOf(story)]: `1x${minutes + 20} stale _ 1x100` },
      at: {
        [`${minutes + 19}m`]: [fired(says)],
        [`${minutes + 25}m`]: bridged ? [fired(says)] : [],
        [`${minutes + 45}m`]: [fired(says)],
      },
    },
    {
      alert,
      kind: 'replicas',
      story: `${problem} is said by the standby that takes over, and the alert goes on`,
      series: {
        ...LEADER,
        // Gauges go with the problem; each replica has a counter of its own.
        ...(figure === undefined || isCounter
          ? figureOf(figure)
          : figureOf(figure, undefined, `${figure.values.replace('x200', `x${minutes + 20}`)} stale`)),
        ...(figure === undefined
          ? {}
          : figureOf(figure, second, isCounter ? '0x200' : `_x${minutes + 20} ${figure.values}`)),
        [problemOf(story)]: `1x${minutes + 20} stale`,
        [problemOf(story, second)]: `_x${minutes + 20} 1x100`,
      },
      at: { [`${minutes + 19}m`]: [fired(says)], [`${minutes + 22}m`]: [fired(says)] },
    },
    {
      alert,
      kind: 'replicas',
      story: `two shards say ${problem}: one alert, with the figures of both`,
      series: {
        ...LEADER,
        ...figureOf(figure),
        ...figureOf(figure, second),
        [problemOf(story)]: '1x200',
        [problemOf(story, second)]: '1x200',
      },
      at: { [`${due + 2}m`]: [fired(both)] },
    },
    {
      alert,
      kind: 'replicas',
      story: `one shard says ${problem}, and the other one that it is not there`,
      series: {
        ...LEADER,
        ...figureOf(figure),
        [problemOf(story)]: '1x200',
        [problemOf(story, second)]: '0x200',
      },
      at: { [`${due + 2}m`]: [fired(says)] },
    },
  ];
}

/** The alert fires all the same, and its description names no figure. */
function unknownFigure(story: Story, figure: NonNullable<Story['figure']>): Case[] {
  const { alert, problem, minutes, says, unknown = '' } = story;
  const due = 21 + minutes;
  const cases: Case[] = [
    {
      alert,
      kind: 'no data',
      story: `the figure of ${problem} is not known`,
      series: { ...LEADER, [problemOf(story)]: '0x20 1x200' },
      at: { [`${due - 1}m`]: [], [`${due + 2}m`]: [firedAs(story, unknown)] },
    },
    {
      alert,
      kind: 'no data',
      story: `the figure of ${problem} stops being known while the problem stays`,
      series: {
        ...LEADER,
        ...figureOf(figure, undefined, `${figure.values.replace('x200', `x${due + 5}`)} stale`),
        [problemOf(story)]: '0x20 1x500',
      },
      // A counter that stopped has a growth for six hours.
      at: {
        [`${due + 2}m`]: [firedAs(story, says)],
        [`${due + (figure.series.includes('_total') ? 380 : 25)}m`]: [firedAs(story, unknown)],
      },
    },
  ];
  // The least of two shares is known if one of them is; a sum is not.
  if (!figure.series.endsWith('_ratio'))
    cases.push({
      alert,
      kind: 'replicas',
      story: `two shards say ${problem}, and one does not know its figure`,
      series: {
        ...LEADER,
        ...figureOf(figure),
        [problemOf(story)]: '1x200',
        [problemOf(story, second)]: '1x200',
      },
      at: { [`${due + 2}m`]: [firedAs(story, unknown)] },
    });
  return cases;
}

export const PROBLEM_CASES: readonly Case[] = STORIES.flatMap(casesOf);

/** Two releases of the chart in one namespace, for two Airflows. */
const ofRelease = (metric: string, release: string, labels = '') =>
  of(metric, `namespace="monitoring", service="${release}"${labels}`, `${release}:10048`);

/** The evidence is that of the Airflow that has the problem. */
export const EVIDENCE_CASES: readonly Case[] = [
  {
    alert: 'AirflowXComWarning',
    kind: 'replicas',
    story: 'of two Airflows that differ in their service alone, one has a problem',
    series: {
      [ofRelease('airflow_xcom_exporter_leader', 'sales')]: '1x200',
      [ofRelease('airflow_xcom_exporter_leader', 'hr')]: '1x200',
      [ofRelease('airflow_xcom_problem', 'hr', ', problem="canary_silent", severity="warning"')]: '1x200',
    },
    at: {
      '90m': [
        {
          labels: {
            ...TARGET,
            namespace: 'monitoring',
            service: 'hr',
            problem: 'canary_silent',
            severity: 'warning',
          },
          description: 'canary_silent has been there for more than 1 hour. Evidence: http://hr:10048/ ',
        },
      ],
    },
  },
];

/** Cases in which the figure is a counter. */
export const RESET_CASES: readonly Case[] = [
  {
    alert: 'AirflowXComWriteDenied',
    kind: 'counter reset',
    story: 'the counter begins anew at 0: its failures go on being counted',
    series: {
      ...LEADER,
      [of('airflow_xcom_problem', 'problem="write_denied", severity="critical"')]: '1x60',
      [of('airflow_xcom_write_failures_total', 'source="probe", reason="denied"')]: '100+1x20 0+1x40',
    },
    at: {
      '26m': [
        {
          labels: { ...TARGET, problem: 'write_denied', severity: 'critical' },
          description:
            // 20 before the reset and 5 after it.
            '25 test writes failed within 6 hours. The last one was denied. If Airflow uses the same credentials, its pushes fail as well. Evidence: http://exporter:10048/ ',
        },
      ],
    },
  },
];
