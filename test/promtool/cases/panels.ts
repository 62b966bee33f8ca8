import { AIRFLOW_NAME } from '../../../grafana/source/panels.ts';
import { of } from './case.ts';

/**
 * The figures of panels after an hour of these series, by the title of the panel. The legend follows the title if the
 * panel has several queries. Null: no value.
 */
export interface PanelCase {
  readonly story: string;
  readonly series: Readonly<Record<string, string>>;
  /** A figure without labels, or by the labels of each; NaN where Grafana shows the words for none. */
  readonly shown: Readonly<Record<string, number | null | Readonly<Record<string, number>>>>;
}

const [first, second, third] = ['exporter:10048', 'exporter-1:10048', 'exporter-2:10048'];
const REASONS = ['missing', 'empty', 'unreadable', 'path_mismatch', 'leaked'];

const healthy = (instance: string) => of('airflow_xcom_healthy', '', instance);
const problem = (name: string, severity: string, instance: string) =>
  of('airflow_xcom_problem', `problem="${name}", severity="${severity}"`, instance);
const broken = (reason: string, instance: string) =>
  of('airflow_xcom_window_broken_references', `reason="${reason}"`, instance);
const inS3 = (instance: string) => of('airflow_xcom_window_rows', 'storage="s3"', instance);
const oversize = (instance: string) => of('airflow_xcom_window_oversize_in_db_rows', '', instance);
const up = (instance: string) => of('up', '', instance);
const probed = (operation: string, instance: string) =>
  of('airflow_xcom_probe_success', `operation="${operation}"`, instance);
const lastSample = (instance: string) =>
  of('airflow_xcom_exporter_job_last_success_timestamp_seconds', 'name="sample"', instance);

const staleAfter = (instance: string) => of('airflow_xcom_exporter_sample_stale_after_seconds', '', instance);
const worked = (operation: string, instance: string) =>
  of('airflow_xcom_probe_last_success_timestamp_seconds', `operation="${operation}"`, instance);
const canary = (metric: string, queue: string) =>
  of(`airflow_xcom_canary_${metric}`, `queue="${queue}", operation="push"`, first);
const refused = of('airflow_xcom_canary_reports_refused_total', 'reason="malformed"');
const pushTook = canary('duration_seconds', 'default');
const resolved = of('airflow_xcom_canary_info', 'queue="default", threshold="1000"');
const audit = (metric: string, labels = '') => of(`airflow_xcom_audit_${metric}`, labels, first);
const job = (metric: string, instance: string) =>
  of(`airflow_xcom_exporter_job_${metric}`, 'name="sample"', instance);
const written = (instance: string) => of('airflow_xcom_database_writes_total', 'table="xcom"', instance);

/** An exporter that samples and says Healthy. */
function exporter(instance: string, { shards = 1, ordinal = 0 } = {}) {
  return {
    [of('airflow_xcom_exporter_leader', '', instance)]: '1x60',
    [of('airflow_xcom_exporter_shards', '', instance)]: `${shards}x60`,
    [of('airflow_xcom_exporter_shard_ordinal', '', instance)]: `${ordinal}x60`,
    [of('process_start_time_seconds', '', instance)]: '0x60',
    [staleAfter(instance)]: '6000x60',
    [lastSample(instance)]: '0+60x60',
    [healthy(instance)]: '1x60',
    [problem('objects_missing', 'critical', instance)]: '0x60',
    [problem('oversize_in_db', 'warning', instance)]: '0x60',
    [problem('third_party_backend', 'info', instance)]: '0x60',
    ...Object.fromEntries(REASONS.map((reason) => [broken(reason, instance), '0x60'])),
    ...Object.fromEntries(['put', 'get', 'delete'].map((operation) => [probed(operation, instance), '1x60'])),
    [inS3(instance)]: '9x60',
    [oversize(instance)]: '0x60',
  };
}

/** The series of an exporter that stands by. */
function standby(instance: string) {
  return {
    [of('airflow_xcom_exporter_leader', '', instance)]: '0x60',
    [of('airflow_xcom_exporter_shards', '', instance)]: '1x60',
    [of('airflow_xcom_exporter_shard_ordinal', '', instance)]: '0x60',
    [of('process_start_time_seconds', '', instance)]: '0x60',
    [lastSample(instance)]: '0+60x60',
  };
}

/** These series of another Airflow: the same instance in another namespace. */
function elsewhere(series: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(series).map(([name, values]) => [name.replace('{', '{namespace="elsewhere", '), values]),
  );
}

/** These series end after ten minutes: the target no longer answers, or there is none. */
function ended(series: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(series).map(([name, values]) => [
      name,
      values.startsWith('0+') ? '0+60x10 stale' : `${values.replace('x60', 'x10')} stale`,
    ]),
  );
}

/** The top row while an Airflow may be watched by nobody, whatever the exporters of the others say. */
const UNKNOWN = {
  'Is it working?': null,
  'Large values in S3': null,
  'Large values in database': null,
  'Broken references': null,
  'Test write to S3': null,
  'Age of these figures': null,
};

/** The figures of one exporter that the charts add up. */
function charted(instance: string) {
  return {
    [of('airflow_xcom_window_bytes', 'storage="s3"', instance)]: '100x60',
    [of('airflow_xcom_window_oversize_in_db_bytes', '', instance)]: '0x60',
    [of('airflow_xcom_window_orphan_objects', '', instance)]: '2x60',
    [of('airflow_xcom_rows_total', 'dag_id="a", storage="s3"', instance)]: '0+60x60',
    [of('airflow_xcom_exporter_s3_requests_total', 'operation="get"', instance)]: '0+60x60',
    [of('airflow_xcom_exporter_job_skips_total', 'name="sample"', instance)]: '0x60',
  };
}

const NOT_DRAWN = {
  'Rows in the window': null,
  'Bytes in the window: {{storage}}': null,
  'Bytes in the window: large values in db': null,
  'Objects without a row': null,
  'Broken references by reason': null,
  Rows: null,
  Requests: null,
  'Skipped runs': null,
};

function without(series: Readonly<Record<string, string>>, names: readonly string[]) {
  return Object.fromEntries(Object.entries(series).filter(([name]) => !names.includes(name)));
}

const shards = {
  ...exporter(first, { shards: 3 }),
  ...exporter(second, { shards: 3, ordinal: 1 }),
  ...exporter(third, { shards: 3, ordinal: 2 }),
};

/** The result of an audit that ended ten minutes ago. */
const audited = {
  [audit('timestamp_seconds')]: '3000x60',
  [audit('objects', 'verdict="named"')]: '1000x60',
  [audit('objects', 'verdict="orphaned"')]: '5x60',
  [audit('bytes', 'verdict="named"')]: '2000x60',
  [audit('missing_references')]: '1x60',
  [audit('unlisted_places')]: '0x60',
};

const [MISSING, NOT_LISTED] = ['missing', 'not listed'].map(
  (figure) => `Missing at the audit: ${figure} ${AIRFLOW_NAME}`,
) as [string, string];
const HERE = '{job="airflow-xcom-exporter"}';
const ELSEWHERE = '{job="airflow-xcom-exporter", namespace="elsewhere"}';

const busy = { [job('runs_total', first)]: '0+2x60', [job('duration_seconds', first)]: '18x60' };

export const PANEL_CASES: readonly PanelCase[] = [
  {
    story: 'the exporter says Healthy, and so does the Overview',
    series: exporter(first),
    shown: {
      'Is it working?': 0,
      'Large values in S3': 1,
      'Large values in database': 0,
      'Broken references': 0,
      'Test write to S3': 1,
      'Age of these figures': 0,
    },
  },
  {
    story: 'the verdict is unknown, and all problems that are known are not there',
    series: without(exporter(first), [healthy(first)]),
    shown: { 'Is it working?': null },
  },
  {
    story: 'S3 gives no answer: nobody knows whether objects are missing, empty or unreadable',
    series: without(
      exporter(first),
      ['missing', 'empty', 'unreadable'].map((reason) => broken(reason, first)),
    ),
    shown: { 'Broken references': null },
  },
  {
    story: 'no exporter answers',
    series: {},
    shown: UNKNOWN,
  },
  {
    story: 'the figures are stale, so the exporter has taken them away',
    series: {
      ...without(
        exporter(first),
        Object.keys(exporter(first)).filter((name) => /healthy|problem|window/.test(name)),
      ),
      [lastSample(first)]: '0+60x30 1800x30',
    },
    shown: {
      'Is it working?': null,
      'Large values in S3': null,
      'Large values in database': null,
      'Broken references': null,
      'Age of these figures': 0.3,
    },
  },
  {
    story: 'no value is large: there is no share, and that is known',
    series: { ...exporter(first), [inS3(first)]: '0x60' },
    shown: { 'Large values in S3': -1 },
  },
  {
    story: 'a remark is no problem',
    series: { ...exporter(first), [problem('third_party_backend', 'info', first)]: '1x60' },
    shown: { 'Is it working?': 0 },
  },
  {
    story: 'a warning is there',
    series: {
      ...exporter(first),
      [healthy(first)]: '0x60',
      [problem('oversize_in_db', 'warning', first)]: '1x60',
    },
    shown: { 'Is it working?': 1 },
  },
  {
    story: 'a standby knows nothing, and takes nothing away',
    series: { ...exporter(first), ...standby(second) },
    shown: { 'Is it working?': 0, 'Large values in database': 0, 'Broken references': 0 },
  },
  {
    story: 'a standby asks every minute for the lock, and the leader has not sampled for 50 minutes',
    series: { ...exporter(first), [lastSample(first)]: '0+60x10 600x50', ...standby(second) },
    shown: { 'Age of these figures': 0.5 },
  },
  {
    story: 'three shards say Healthy',
    series: shards,
    shown: {
      'Is it working?': 0,
      'Large values in S3': 1,
      'Broken references': 0,
      'Age of these figures': 0,
    },
  },
  {
    story: 'one of three shards does not know',
    series: without(shards, [
      healthy(second),
      broken('missing', second),
      oversize(second),
      problem('objects_missing', 'critical', second),
    ]),
    shown: {
      'Is it working?': null,
      'Large values in S3': null,
      'Large values in database': null,
      'Broken references': null,
    },
  },
  {
    story: 'one of three shards does not know, and another one has a critical problem',
    series: {
      ...without(shards, [healthy(second)]),
      [healthy(third)]: '0x60',
      [problem('objects_missing', 'critical', third)]: '1x60',
    },
    shown: { 'Is it working?': 2 },
  },
  {
    story: 'one of three shards does not answer',
    series: { ...exporter(first, { shards: 3 }), ...exporter(second, { shards: 3, ordinal: 1 }) },
    shown: UNKNOWN,
  },
  {
    story: 'one of three shards has not sampled for 50 minutes',
    series: { ...shards, [lastSample(third)]: '0+60x10 600x50' },
    shown: { 'Age of these figures': 0.5 },
  },
  {
    story: 'one of three shards has never sampled since it was started an hour ago',
    series: without(shards, [lastSample(third)]),
    shown: { 'Age of these figures': 0.6 },
  },
  {
    story: 'the exporters of two Airflows say Healthy',
    series: {
      ...exporter(first),
      [up(first)]: '1x60',
      ...elsewhere({ ...exporter(first), [up(first)]: '1x60' }),
    },
    shown: { 'Is it working?': 0, 'Large values in S3': 1, 'Test write to S3': 1, 'Age of these figures': 0 },
  },
  {
    story: 'the exporter of a second Airflow has not answered for 50 minutes',
    series: {
      ...exporter(first),
      [up(first)]: '1x60',
      ...elsewhere({ ...ended(exporter(first)), [up(first)]: '1x10 0x49' }),
    },
    shown: UNKNOWN,
  },
  {
    story: 'the exporter of a second Airflow has been no target for 50 minutes',
    series: { ...exporter(first), ...elsewhere(ended(exporter(first))) },
    shown: UNKNOWN,
  },
  {
    story: 'the exporter of a second Airflow has never answered',
    series: { ...exporter(first), [up(first)]: '1x60', ...elsewhere({ [up(first)]: '0x60' }) },
    shown: UNKNOWN,
  },
  {
    story:
      'the exporter of a second Airflow does not answer, and the first has a critical problem and no way to S3',
    series: {
      ...exporter(first),
      [healthy(first)]: '0x60',
      [problem('objects_missing', 'critical', first)]: '1x60',
      [probed('put', first)]: '0x60',
      ...elsewhere(ended(exporter(first))),
    },
    shown: { 'Is it working?': 2, 'Test write to S3': 0 },
  },
  {
    story: 'a standby does not answer, and takes nothing away',
    series: { ...exporter(first), [up(first)]: '1x60', ...ended(standby(second)), [up(second)]: '1x10 0x49' },
    shown: { 'Is it working?': 0, 'Large values in database': 0, 'Test write to S3': 1 },
  },
  {
    story: 'targets of other programs do not answer',
    series: { ...exporter(first), 'up{job="statsd-exporter", instance="statsd:9102"}': '0x60' },
    shown: { 'Is it working?': 0 },
  },
  {
    story: 'three shards have become two',
    series: {
      ...exporter(first, { shards: 2 }),
      ...exporter(second, { shards: 2, ordinal: 1 }),
      ...ended(exporter(third, { shards: 3, ordinal: 2 })),
    },
    shown: { 'Is it working?': 0 },
  },
  {
    story: 'two exporters sample the first of two shards, and none the second',
    series: { ...exporter(first, { shards: 2 }), ...exporter(second, { shards: 2 }) },
    shown: UNKNOWN,
  },
  {
    story: 'two exporters sample one Airflow, and the exporter of another does not answer',
    series: { ...exporter(first), ...exporter(second), ...elsewhere({ [up(third)]: '0x60' }) },
    shown: UNKNOWN,
  },
  {
    story: 'the exporter of a second Airflow has never sampled since it was started an hour ago',
    series: { ...exporter(first), ...elsewhere(without(exporter(first), [lastSample(first)])) },
    shown: { 'Age of these figures': 0.6 },
  },
  {
    story: 'the exporter of a second Airflow has not tried a test write',
    series: {
      ...exporter(first),
      ...elsewhere(
        without(
          exporter(first),
          ['put', 'get', 'delete'].map((operation) => probed(operation, first)),
        ),
      ),
    },
    shown: { 'Test write to S3': null },
  },
  {
    story: 'an exporter that samples every quarter of an hour last did so a quarter of an hour ago',
    series: { ...exporter(first), [staleAfter(first)]: '2700x60', [lastSample(first)]: '0x44 2700x15' },
    shown: { 'Is it working?': 0, 'Age of these figures': 1 / 3 },
  },
  {
    story: 'exporters of two Airflows have the same instance, and one of them is down',
    series: { ...exporter(first), [up(first)]: '1x60', ...elsewhere({ [up(first)]: '0x60' }) },
    shown: {
      Scraped: {
        'up{job="airflow-xcom-exporter", instance="exporter:10048"}': 1,
        'up{job="airflow-xcom-exporter", instance="exporter:10048", namespace="elsewhere"}': 0,
      },
    },
  },
  {
    story: 'targets of other programs have figures of their process as well',
    series: {
      ...exporter(first),
      [of('process_resident_memory_bytes')]: '1000x60',
      'process_resident_memory_bytes{job="statsd-exporter", instance="statsd:9102"}': '2000x60',
    },
    shown: {
      Memory: {
        'process_resident_memory_bytes{job="airflow-xcom-exporter", instance="exporter:10048"}': 1000,
      },
    },
  },
  {
    story:
      'two Airflows with the same instance have thresholds of their own, and a third has none that is known',
    series: {
      [of('airflow_xcom_backend_info', 'bucket="one"')]: '1x60',
      [of('airflow_xcom_threshold_bytes')]: '1048576x60',
      ...elsewhere({
        [of('airflow_xcom_backend_info', 'bucket="two"')]: '1x60',
        [of('airflow_xcom_threshold_bytes')]: '-1x60',
      }),
      [of('airflow_xcom_backend_info', 'bucket="three"', third)]: '1x60',
    },
    shown: {
      'What is watched': {
        '{job="airflow-xcom-exporter", instance="exporter:10048", bucket="one"}': 1_048_576,
        '{job="airflow-xcom-exporter", instance="exporter:10048", namespace="elsewhere", bucket="two"}': -1,
        '{job="airflow-xcom-exporter", instance="exporter-2:10048", bucket="three"}': Number.NaN,
      },
    },
  },
  {
    story: 'a get last worked half an hour ago in one of two shards, and a put never did there',
    series: {
      ...exporter(first, { shards: 2 }),
      ...exporter(second, { shards: 2, ordinal: 1 }),
      [worked('get', first)]: '0+60x60',
      [worked('get', second)]: '0+60x30 1800x29',
      [worked('put', first)]: '0+60x60',
      [probed('put', second)]: '0x60',
      [worked('delete', first)]: '0+60x60',
      [worked('delete', second)]: '0+60x60',
    },
    shown: {
      'Last success': {
        '{operation="delete"}': 0,
        '{operation="get"}': 1800,
        '{operation="put"}': Number.NaN,
      },
      Operations: { '{operation="delete"}': 1, '{operation="get"}': 1, '{operation="put"}': 0 },
    },
  },
  {
    story: 'a standby that has led does not hide that its successor never reached S3',
    series: {
      ...exporter(first),
      ...standby(second),
      [worked('put', second)]: '0+60x60',
      [probed('put', first)]: '0x60',
    },
    shown: {
      'Last success': {
        '{operation="delete"}': Number.NaN,
        '{operation="get"}': Number.NaN,
        '{operation="put"}': Number.NaN,
      },
    },
  },
  {
    story: 'one of two shards did not try a delete',
    series: without({ ...exporter(first, { shards: 2 }), ...exporter(second, { shards: 2, ordinal: 1 }) }, [
      probed('delete', second),
    ]),
    shown: { Operations: { '{operation="get"}': 1, '{operation="put"}': 1 } },
  },
  {
    story: 'two queues have pushed',
    series: {
      ...exporter(first),
      [canary('success', 'default')]: '1x60',
      [canary('last_success_timestamp_seconds', 'default')]: '0+60x60',
      [canary('success', 'legacy')]: '0x60',
      [canary('last_success_timestamp_seconds', 'legacy')]: '1800x60',
    },
    shown: { 'Since a push worked': 1800 },
  },
  {
    story: 'a queue has not been heard for half an hour',
    series: { ...exporter(first), [canary('last_success_timestamp_seconds', 'default')]: '1800x60' },
    shown: { 'Since a push worked': 1800 },
  },
  {
    story: 'a queue has never pushed',
    series: {
      ...exporter(first),
      [canary('success', 'default')]: '1x60',
      [canary('last_success_timestamp_seconds', 'default')]: '0+60x60',
      [canary('success', 'legacy')]: '0x60',
    },
    shown: { 'Since a push worked': null },
  },
  {
    story: 'no report was refused',
    series: { ...exporter(first), [refused]: '0x60' },
    shown: { 'Reports refused': 0 },
  },
  {
    story: 'no report was refused, and the exporter of a second Airflow has not answered for 50 minutes',
    series: {
      ...exporter(first),
      [refused]: '0x60',
      ...elsewhere({ ...ended(exporter(first)), [refused]: '0x10 stale', [up(first)]: '1x10 0x49' }),
    },
    shown: { 'Reports refused': null },
  },
  {
    story: 'three shards answer: the charts draw their sums',
    series: { ...shards, ...charted(first), ...charted(second), ...charted(third) },
    shown: {
      'Rows in the window': { '{storage="s3"}': 27 },
      'Bytes in the window: {{storage}}': { '{storage="s3"}': 300 },
      'Bytes in the window: large values in db': 0,
      'Objects without a row': 6,
      'Broken references by reason': Object.fromEntries(REASONS.map((reason) => [`{reason="${reason}"}`, 0])),
      Rows: { '{storage="s3"}': 3 },
      Requests: { '{operation="get"}': 3 },
      'Skipped runs': { '{name="sample"}': 0 },
    },
  },
  {
    story: 'one of three shards has not answered for 50 minutes: no chart draws the sum of the others',
    series: {
      ...shards,
      ...charted(first),
      ...charted(second),
      ...ended({ ...exporter(third, { shards: 3, ordinal: 2 }), ...charted(third) }),
    },
    shown: NOT_DRAWN,
  },
  {
    story: 'one of three shards does not know its figures: no chart draws the sum of the others',
    series: {
      ...without(shards, [inS3(second), broken('missing', second)]),
      ...charted(first),
      ...charted(third),
    },
    shown: {
      'Rows in the window': null,
      'Bytes in the window: {{storage}}': null,
      'Bytes in the window: large values in db': null,
      'Objects without a row': null,
      'Broken references by reason': Object.fromEntries(
        REASONS.filter((reason) => reason !== 'missing').map((reason) => [`{reason="${reason}"}`, 0]),
      ),
    },
  },
  {
    story: 'two Airflows have the same queue, and in one of them the canary fails',
    series: {
      [canary('success', 'default')]: '1x60',
      ...elsewhere({ [canary('success', 'default')]: '0x60' }),
    },
    shown: {
      'The canary, by queue': {
        '{job="airflow-xcom-exporter", queue="default"}': 1,
        '{job="airflow-xcom-exporter", namespace="elsewhere", queue="default"}': 0,
      },
    },
  },
  {
    story: 'two Airflows have the same queue, with settings and times of their own',
    series: {
      [pushTook]: '2x60',
      [resolved]: '1x60',
      ...elsewhere({ [pushTook]: '5x60', [resolved]: '1x60' }),
    },
    shown: {
      'Push and pull by the workers': {
        '{job="airflow-xcom-exporter", queue="default", operation="push"}': 2,
        '{job="airflow-xcom-exporter", namespace="elsewhere", queue="default", operation="push"}': 5,
      },
      'What each queue resolves': {
        '{job="airflow-xcom-exporter", queue="default", threshold="1000"}': 1,
        '{job="airflow-xcom-exporter", namespace="elsewhere", queue="default", threshold="1000"}': 1,
      },
    },
  },
  {
    story: 'the buckets of two Airflows were audited',
    series: {
      ...exporter(first),
      ...audited,
      ...elsewhere({ ...exporter(first), ...audited, [audit('timestamp_seconds')]: '0x60' }),
    },
    shown: {
      'Objects by the audit': {
        '{job="airflow-xcom-exporter", verdict="named"}': 1000,
        '{job="airflow-xcom-exporter", verdict="orphaned"}': 5,
        '{job="airflow-xcom-exporter", namespace="elsewhere", verdict="named"}': 1000,
        '{job="airflow-xcom-exporter", namespace="elsewhere", verdict="orphaned"}': 5,
      },
      'Bytes by the audit': {
        '{job="airflow-xcom-exporter", verdict="named"}': 2000,
        '{job="airflow-xcom-exporter", namespace="elsewhere", verdict="named"}': 2000,
      },
      [MISSING]: { [HERE]: 1, [ELSEWHERE]: 1 },
      [NOT_LISTED]: { [HERE]: 0, [ELSEWHERE]: 0 },
      'Since the last audit': { [HERE]: 600, [ELSEWHERE]: 3600 },
    },
  },
  {
    story: 'two shards show the audit of their Airflow',
    series: {
      ...exporter(first, { shards: 2 }),
      ...exporter(second, { shards: 2, ordinal: 1 }),
      ...audited,
      ...Object.fromEntries(
        Object.entries(audited).map(([name, values]) => [name.replace(first, second), values]),
      ),
    },
    shown: {
      'Objects by the audit': {
        '{job="airflow-xcom-exporter", verdict="named"}': 1000,
        '{job="airflow-xcom-exporter", verdict="orphaned"}': 5,
      },
      [MISSING]: { [HERE]: 1 },
      'Since the last audit': { [HERE]: 600 },
    },
  },
  {
    story: 'two shards show two audits of their Airflow: the later found fewer objects, and none missing',
    series: {
      ...exporter(first, { shards: 2 }),
      ...exporter(second, { shards: 2, ordinal: 1 }),
      ...audited,
      [audit('missing_references')]: '0x60',
      ...Object.fromEntries(
        Object.entries({
          ...audited,
          [audit('timestamp_seconds')]: '100x60',
          [audit('objects', 'verdict="named"')]: '3000x60',
          [audit('missing_references')]: '5x60',
        }).map(([name, values]) => [name.replace(first, second), values]),
      ),
    },
    shown: {
      'Objects by the audit': {
        '{job="airflow-xcom-exporter", verdict="named"}': 1000,
        '{job="airflow-xcom-exporter", verdict="orphaned"}': 5,
      },
      [MISSING]: { [HERE]: 0 },
      'Since the last audit': { [HERE]: 600 },
    },
  },
  {
    story: 'the audit of a second Airflow does not know what is missing',
    series: {
      ...exporter(first),
      ...audited,
      ...elsewhere(without({ ...exporter(first), ...audited }, [audit('missing_references')])),
    },
    shown: {
      [MISSING]: { [HERE]: 1, [ELSEWHERE]: Number.NaN },
      [NOT_LISTED]: { [HERE]: 0, [ELSEWHERE]: 0 },
    },
  },
  {
    story: 'the bucket of a second Airflow was never audited',
    series: { ...exporter(first), ...audited, ...elsewhere(exporter(first)) },
    shown: {
      [MISSING]: { [HERE]: 1, [ELSEWHERE]: Number.NaN },
      'Since the last audit': { [HERE]: 600, [ELSEWHERE]: Number.NaN },
    },
  },
  {
    story: 'two Airflows write into a table of the same name, and two shards of one of them show its count',
    series: {
      ...exporter(first, { shards: 2 }),
      ...exporter(second, { shards: 2, ordinal: 1 }),
      [written(first)]: '0+60x60',
      [written(second)]: '0+60x60',
      ...elsewhere({ ...exporter(first), [written(first)]: '0+60x60' }),
    },
    shown: { 'Written and seen: written, says Postgres': 2 },
  },
  {
    story: 'the exporters of two Airflows each sample for six seconds in ten',
    series: {
      ...busy,
      ...elsewhere(busy),
    },
    shown: {
      'Share of time in the job': {
        '{job="airflow-xcom-exporter", instance="exporter:10048", name="sample"}': 0.6,
        '{job="airflow-xcom-exporter", instance="exporter:10048", namespace="elsewhere", name="sample"}': 0.6,
      },
    },
  },
  {
    story: 'the settings of one exporter could not be read again',
    series: {
      ...exporter(first),
      [of('airflow_xcom_exporter_config_last_reload_successful')]: '1x60',
      ...elsewhere({
        [of('airflow_xcom_exporter_config_last_reload_successful')]: '0x60',
        [up(first)]: '1x60',
      }),
    },
    shown: { 'Settings read': 0 },
  },
  {
    story: 'the settings of one exporter were read, and another one does not answer',
    series: {
      ...exporter(first),
      [of('airflow_xcom_exporter_config_last_reload_successful')]: '1x60',
      [of('airflow_xcom_exporter_config_last_reload_success_timestamp_seconds')]: '0x60',
      ...elsewhere({ [up(first)]: '0x60' }),
    },
    shown: { 'Settings read': null, 'Age of the settings': null },
  },
];
