import { randomBytes } from 'node:crypto';

/** `nightly` has workers but, by day, no task. */
export type Queue = 'default' | 'legacy' | 'nightly';
export const QUEUES: readonly Queue[] = ['default', 'legacy', 'nightly'];

export interface TaskContext {
  /** How many runs of this DAG came before. */
  readonly ordinal: number;
  /** -1 when the task is not mapped. */
  readonly mapIndex: number;
  /** The value that the task pulled, or null when it pulls nothing. */
  readonly input: unknown;
}

/** One task, or a mapped one with all its copies. */
export interface TaskPlan {
  readonly taskId: string;
  readonly queue: Queue;
  readonly operator: string;
  readonly customOperatorName: string;
  /** Copies of a mapped task; 0: not mapped. */
  readonly copies: number;
  readonly seconds: number;
  /** The task whose `return_value` this task pulls. */
  readonly pulls: string | null;
  /** True when the first try fails after it has pushed its checkpoint. */
  readonly flaky: (ordinal: number) => boolean;
  /** Returns the values that the task pushes, by key. */
  readonly work: (context: TaskContext) => Readonly<Record<string, unknown>>;
}

export interface DagPlan {
  readonly dagId: string;
  /** Stages run one after another; the tasks of a stage run at the same time. */
  readonly stages: readonly (readonly TaskPlan[])[];
}

type TaskOptions = Partial<Omit<TaskPlan, 'taskId' | 'work'>>;

function task(taskId: string, work: TaskPlan['work'], options: TaskOptions = {}): TaskPlan {
  return {
    taskId,
    work,
    queue: 'default',
    operator: '_PythonDecoratedOperator',
    customOperatorName: '@task',
    copies: 0,
    seconds: 0.7,
    pulls: null,
    flaky: () => false,
    ...options,
  };
}

function returns(value: unknown): Record<string, unknown> {
  return { return_value: value };
}

const cities = ['Berlin', 'München', 'Kraków', 'São Paulo', 'Zürich'];

/** About 120 bytes each, and as hard to compress as real ids. */
function orders(count: number): readonly object[] {
  // One call for all: random bytes cost as much for a few as for many.
  const ids = randomBytes(18 * count).toString('hex');
  return Array.from({ length: count }, (_, line) => ({
    order_id: ids.slice(36 * line, 36 * line + 24),
    line,
    amount: Math.round(((line * 7919) % 50_000) + 199) / 100,
    city: cities[line % cities.length],
    sku: ids.slice(36 * line + 24, 36 * line + 36),
  }));
}

/** The old pool of workers, with its own image and therefore its own configuration. */
const legacy: TaskOptions = { queue: 'legacy', operator: 'PythonOperator', customOperatorName: '' };

const dailySales: DagPlan = {
  dagId: 'daily_sales',
  stages: [
    [
      task('extract_orders', ({ ordinal }) => returns(orders(300 + (ordinal % 5) * 200))),
      task('extract_customers', ({ ordinal }) => returns(orders(150 + (ordinal % 3) * 100)), {
        ...legacy,
        flaky: (ordinal) => ordinal % 3 === 1,
      }),
      task('extract_stores', () => returns(orders(140)), { ...legacy, seconds: 0.4 }),
    ],
    [
      // Passes on its input, which is a path when the upstream object is missing.
      task('enrich_orders', ({ input }) => returns(Array.isArray(input) ? input.slice(0, 250) : input), {
        pulls: 'extract_orders',
      }),
      task('aggregate', ({ mapIndex }) => returns(orders(130 + mapIndex * 20)), { copies: 4 }),
    ],
    [
      task('load_warehouse', ({ ordinal }) =>
        // An S3 URI that is the task's own result, not a reference of the backend.
        returns(`s3://sales-warehouse/daily/part-${String(ordinal).padStart(5, '0')}.parquet`),
      ),
      task('summarise', ({ ordinal }) => returns({ rows: 300 + ordinal, currency: 'EUR', rejected: null })),
    ],
  ],
};

const mlFeatures: DagPlan = {
  dagId: 'ml_features',
  stages: [
    [
      task('list_partitions', () => returns(['2026-w46', '2026-w47', '2026-w48', '2026-w49']), {
        seconds: 0.3,
      }),
      task('read_catalogue', () => returns(orders(150)), { ...legacy, seconds: 0.4 }),
      task('read_labels', () => returns(orders(170)), { ...legacy, seconds: 0.5 }),
    ],
    [
      task(
        'build_features',
        // The last partition is nearly empty: one task with values on both sides of the threshold.
        ({ mapIndex }) => ({ rows: mapIndex * 100, ...returns(mapIndex < 6 ? orders(130) : [mapIndex]) }),
        { copies: 7, seconds: 0.9, pulls: 'list_partitions' },
      ),
    ],
    [
      task('train', ({ ordinal }) => ({ loss: 1 / (ordinal + 2), ...returns(orders(220)) }), {
        seconds: 1.2,
      }),
    ],
    [task('register_model', ({ ordinal }) => returns(`s3://ml-models/churn/${ordinal}/model.onnx`))],
  ],
};

const apiIngest: DagPlan = {
  dagId: 'api_ingest',
  stages: [
    [
      task('fetch_page', ({ mapIndex }) => returns(orders(140 + mapIndex * 10)), {
        operator: 'HttpOperator',
        customOperatorName: '',
        copies: 5,
        seconds: 0.5,
      }),
      task('fetch_rates', () => returns(orders(160)), { ...legacy, seconds: 0.4 }),
      task('fetch_regions', () => returns(orders(140)), { ...legacy, seconds: 0.5 }),
    ],
    [
      task('choose_route', () => ({ skipmixin_key: { followed: ['publish'] }, ...returns('publish') }), {
        operator: '_BranchPythonDecoratedOperator',
        customOperatorName: '@task.branch',
        seconds: 0.3,
      }),
    ],
    [
      task('publish', ({ input }) => returns({ accepted: Array.isArray(input) ? input.length : 0 }), {
        pulls: 'fetch_rates',
      }),
      task(
        'start_reports',
        ({ ordinal }) => ({
          trigger_run_id: `manual__report-${ordinal}`,
          _link_TriggerDagRunLink: `http://airflow.example.org/dags/reports/runs/manual__report-${ordinal}`,
        }),
        { operator: 'TriggerDagRunOperator', customOperatorName: '', seconds: 0.4 },
      ),
    ],
  ],
};

export const DAGS: readonly DagPlan[] = [dailySales, mlFeatures, apiIngest];
