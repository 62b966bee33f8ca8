import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dagFile, MOST_POOLS, pythonString } from '../../../src/canary/dag-file.ts';
import { canaryCommand } from '../../../src/commands/canary.ts';
import { callCommand } from '../../support/call-command.ts';
import { anyCharacter } from '../../support/characters.ts';

/**
 * Lets Python parse the printed file without running it: gives the docstring, the settings, the statements and the
 * functions.
 */
const READER = `
import ast, json, sys
tree = ast.parse(sys.stdin.read())
print(json.dumps({
    "doc": ast.get_docstring(tree),
    "settings": {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body
                 if isinstance(node, ast.Assign) and node.targets[0].id in ("DAG_ID", "RETRIES", "PAYLOAD_BYTES", "POOLS", "TASKS")},
    "top": sorted({type(node).__name__ for node in tree.body}),
    "functions": [node.name for node in tree.body if isinstance(node, ast.FunctionDef)],
}))
`;

/**
 * Runs the printed file in a small Airflow 3: rows are a dictionary, and the class in force keeps every value in it. What
 * a test adds below it uses `canary`, the names of the file, and `tell`, which gives a value back to the test.
 */
const AIRFLOW = `
import json, sys, types
from datetime import datetime, timezone

told = json.load(sys.stdin)
rows = {}

def module(name, **members):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(members)

class Conf:
    def get(self, section, key, fallback=None):
        return told["threshold"] if key.endswith("threshold") else fallback

    def getint(self, section, key, fallback=None):
        text = self.get(section, key, fallback)
        try:
            return int(text)
        except ValueError:
            whole = float(text)
            if whole != int(whole):
                raise
            return int(whole)

class BaseXCom:
    @staticmethod
    def set(key, value, dag_id, task_id, run_id, map_index):
        rows[run_id, task_id, key] = value

    @staticmethod
    def get_one(key, dag_id, task_id, run_id, map_index):
        return rows.get((run_id, task_id, key))

    @staticmethod
    def delete(key, dag_id, task_id, run_id, map_index):
        rows.pop((run_id, task_id, key), None)

class Run:
    def __init__(self, run_id, minute, state="running"):
        self.run_id, self.state = run_id, state
        self.logical_date = datetime(2026, 1, 1, 0, minute, tzinfo=timezone.utc)

class Task:
    dag_id = "airflow_xcom_canary"

    def __init__(self, task_id, run, before):
        self.task_id, self.run_id, self.before = task_id, run.run_id, before

    def xcom_push(self, key, value):
        BaseXCom.set(key, value, self.dag_id, self.task_id, self.run_id, -1)

    def xcom_pull(self, task_ids, key):
        return rows.get((self.run_id, task_ids, key))

    def get_previous_dagrun(self, state=None):
        runs = [run for run in self.before if state in (None, run.state)]
        return max(runs, key=lambda run: run.logical_date, default=None)

class Anything:
    def __init__(self, *args, **more): pass
    def __call__(self, *args): return self
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def __rshift__(self, other): pass
    def __rrshift__(self, other): pass

module("airflow")
module("airflow.configuration", conf=Conf())
module("airflow.sdk", DAG=Anything, task=Anything)
module("airflow.sdk.bases")
module("airflow.sdk.bases.xcom", BaseXCom=BaseXCom)
module("airflow.sdk.execution_time")
module("airflow.sdk.execution_time.xcom", XCom=BaseXCom)
canary = types.ModuleType("canary")
exec(told["file"], vars(canary))
tell, sys.stdout = sys.stdout, sys.stderr

def act(step, pool, run, before=()):
    canary_step = getattr(canary, step)
    canary_step(pool, ti=Task(f"{step}_{pool}", run, before))
`;

interface Read {
  readonly doc: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly top: readonly string[];
  readonly functions: readonly string[];
}

function python(program: string, input: string): unknown {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', program], { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr.slice(-2_000));
  return JSON.parse(stdout);
}

async function print(...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await callCommand(canaryCommand, { argv, env: {} });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

describe('the DAG file', () => {
  test('is made for one queue unless told otherwise, and deletes its payload in the task that pushes it', async () => {
    const file = await print();
    const { settings, doc, top } = python(READER, file) as Read;
    expect(settings).toEqual({
      DAG_ID: 'airflow_xcom_canary',
      RETRIES: 0,
      PAYLOAD_BYTES: 1000,
      POOLS: { default: { queue: 'default' } },
      TASKS: { default: 'default' },
    });
    expect(file).toContain('INTERVAL = timedelta(seconds=300)\n');
    expect(doc).toContain('288 runs and 288 tasks a day, 288 objects written and deleted');
    // Parsing the file runs only the creation of the DAG.
    expect(top).toEqual(['Assign', 'Expr', 'FunctionDef', 'Import', 'ImportFrom', 'Try', 'With']);
  });

  test('has the queues, executors, pool, interval, payload, retries and id that were asked for', async () => {
    const file = await print(
      ...[
        '--queue',
        'default',
        '--queue',
        'gpu.large',
        '--executor',
        'KubernetesExecutor',
        '--pool',
        'probes',
      ],
      ...['--every', '1h', '--payload-bytes', '2000', '--retries', '1', '--dag-id', 'team.canary'],
    );
    const { settings, doc } = python(READER, file) as Read;
    expect(settings).toEqual({
      DAG_ID: 'team.canary',
      RETRIES: 1,
      PAYLOAD_BYTES: 2000,
      POOLS: {
        default: { queue: 'default', pool: 'probes' },
        'gpu.large': { queue: 'gpu.large', pool: 'probes' },
        KubernetesExecutor: { executor: 'KubernetesExecutor', pool: 'probes' },
      },
      TASKS: { default: 'default', 'gpu.large': 'gpu_large', KubernetesExecutor: 'KubernetesExecutor' },
    });
    expect(file).toContain('INTERVAL = timedelta(seconds=3600)\n');
    expect(doc).toContain('24 runs and 216 tasks a day, 72 objects written and deleted');
  });

  test('names the tasks of pools whose names look alike apart', () => {
    const pools = ['a b', 'a/b', 'a_b', 'a_b_2'].map((name) => ({ name, queue: name, executor: null }));
    const { settings } = python(READER, made(pools)) as Read;
    const tasks = Object.values(settings['TASKS'] as Record<string, string>);
    expect(new Set(tasks).size).toBe(4);
    expect(tasks.every((task) => /^[A-Za-z0-9_-]+$/.test(task))).toBe(true);
  });

  test('is the same program whatever a queue is called, and quotes that name', () => {
    const plain = python(READER, made([{ name: 'default', queue: 'default', executor: null }])) as Read;
    const name = fc.oneof(
      fc.string({ unit: anyCharacter, minLength: 1, maxLength: 40 }),
      fc.constantFrom(
        '"""',
        "'''",
        '\\',
        '"\\',
        '{}',
        '${x}',
        '`',
        '\u2028',
        '"});import os;x=({"',
        '__proto__',
        '%s',
      ),
    );
    const names: string[] = [];
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 30, maxLength: MOST_POOLS }), (some) => {
        names.push(...some);
        const file = made(some.map((queue) => ({ name: queue, queue, executor: null })));
        expect(/^[\n -~]*$/.test(file)).toBe(true);
        const read = python(READER, file) as Read;
        expect(read.functions).toEqual(plain.functions);
        expect(read.top).toEqual(plain.top);
        expect(Object.entries(read.settings['POOLS'] as object)).toEqual(
          some.map((queue) => [queue, { queue }]),
        );
      }),
      { numRuns: 8 },
    );
    expect(names.length).toBeGreaterThan(200);
  });

  test('a string of Python is read back as it was', () => {
    const texts = ['', 'plain', '"', '\\', '\n\r\t\0', 'Schlange 🐍', '\u202e', '\ud800'];
    const read = python(
      'import ast, json, sys\nprint(json.dumps([ast.literal_eval(x) for x in json.load(sys.stdin)]))',
      JSON.stringify(texts.map(pythonString)),
    );
    expect(read).toEqual(texts);
  });
});

describe('a task of the DAG', () => {
  const run = (program: string, { threshold = '-1', pools = ['default'] } = {}) => {
    const file = made(pools.map((name) => ({ name, queue: name, executor: null })));
    return python(`${AIRFLOW}${program}`, JSON.stringify({ file, threshold }));
  };

  test.each([
    ['1000000', '1000000', 1_000_066],
    ['1_000_000', '1000000', 1_000_066],
    [' +1000000', '1000000', 1_000_066],
    ['1e6', '1000000', 1_000_066],
    ['0', '0', 1_002],
    ['-5', '-1', 1_002],
    ['99999999999999999999999', '9223372036854775808', 1_002],
    ['1.5', null, 1_002],
    ['', null, 1_002],
  ])('reads a threshold of %j as Airflow does', (threshold, bytes, length) => {
    const look = `
act("look", "default", Run("one", 0))
report = rows["one", "look_default", "canary_report"]
print(json.dumps([report["settings"]["threshold_bytes"], report["payload"]["bytes"]]), file=tell)
`;
    expect(run(look, { threshold })).toEqual([bytes, length]);
  });

  test('deletes nothing of a run that is still open, and what the latest ended one has left', () => {
    const overlap = `
old, ended, still, now = Run("old", 0, "success"), Run("ended", 5, "failed"), Run("still", 10), Run("now", 15)
for one in (old, ended, still):
    act("look", "default", one)
act("look", "default", now, [old, ended, still])
act("look", "slow", still)
for step in ("read", "clean"):
    act(step, "slow", still, [old, ended])
    act(step, "default", still, [old, ended])
read = rows["still", "read_slow", "canary_report"]
print(json.dumps({"runs": sorted({run for run, _, _ in rows}), "read": read["operations"]}), file=tell)
`;
    expect(run(overlap, { pools: ['default', 'slow'] })).toEqual({
      runs: ['now', 'old', 'still'],
      read: [
        { operation: 'read', ok: true, got: 'equal', from: 'default', seconds: expect.any(Number) as number },
      ],
    });
  });
});

describe('flags that are wrong are all named', () => {
  test.each([
    [['--queue', ''], /--queue: a name has 1 to 100 characters/],
    [['--queue', 'x'.repeat(101)], /--queue: a name has 1 to 100/],
    [['--queue', 'a\nb'], /--queue: "a\\nb" has a character that cannot be seen/],
    [['--queue', 'a', '--executor', 'a'], /a name is there twice/],
    [Array.from({ length: 51 }, (_, i) => ['--queue', `q${i}`]).flat(), /51 of them, 50 at most/],
    [['--every', '10s'], /"10s" is not between 1m and 1d/],
    [['--every', '*/5 * * * *'], /is not a duration/],
    [['--payload-bytes', '10'], /not a whole number from 200/],
    [['--retries', '-1'], /.*/],
    [['--dag-id', 'a b'], /--dag-id: Airflow takes/],
    [['--queues', 'a'], /canary: .*--queue, --executor/],
    [['--queue', '', '--every', 'x'], /--queue: .*; --every: /],
  ])('%j', async (argv, message) => {
    await expect(async () => canaryCommand({ argv, stdout: () => undefined } as never)).rejects.toThrow(
      message,
    );
  });
});

function made(pools: Parameters<typeof dagFile>[0]['pools']): string {
  return dagFile({
    dagId: 'airflow_xcom_canary',
    pools,
    slots: null,
    intervalMs: 300_000,
    payloadBytes: 1_000,
    retries: 0,
    version: '0.0.0',
  });
}
