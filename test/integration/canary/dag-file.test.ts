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
