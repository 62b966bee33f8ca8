import { IMPORTS } from './dag-imports.ts';
import { PROGRAM } from './dag-template.ts';

/** One pool of workers, as a task names it. */
export interface WorkerPool {
  /** Its name in reports and series. */
  readonly name: string;
  readonly queue: string | null;
  /** Airflow 2.10 and later; null: the default executor. */
  readonly executor: string | null;
}

export interface DagSettings {
  readonly dagId: string;
  readonly pools: readonly WorkerPool[];
  /** The Airflow pool in whose slots the tasks run; null: the default one. */
  readonly slots: string | null;
  readonly intervalMs: number;
  /** The least size of a payload in bytes. The payload is larger if the threshold of a worker is. */
  readonly payloadBytes: number;
  readonly retries: number;
  readonly version: string;
}

/** The most pools of workers of one DAG: each pool pulls what every other one has pushed. */
export const MOST_POOLS = 50;
const DAY_MS = 86_400_000;

/** One DAG file for Airflow 2.9 to 3.4. */
export function dagFile(settings: DagSettings): string {
  const { dagId, pools, slots, intervalMs, payloadBytes, retries } = settings;
  const tasks = taskNames(pools);
  const where = pools.map(({ name, queue, executor }) =>
    dict([
      ['queue', queue],
      ['executor', executor],
      ['pool', slots],
    ]).replace(/^/, `${pythonString(name)}: `),
  );
  return [
    `"""${header(settings)}"""\n`,
    IMPORTS,
    '\n',
    `DAG_ID = ${pythonString(dagId)}\n`,
    `INTERVAL = timedelta(seconds=${intervalMs / 1000})\n`,
    `RETRIES = ${retries}\n`,
    `PAYLOAD_BYTES = ${payloadBytes}  # at least; more where the threshold of a worker is higher\n`,
    '# Each pool of workers by its name, with what brings a task to it; and what its tasks are called.\n',
    `POOLS = {\n${where.map((line) => `    ${line},\n`).join('')}}\n`,
    `TASKS = {\n${pools
      .map(({ name }, index) => `    ${pythonString(name)}: ${pythonString(tasks[index] ?? '')},\n`)
      .join('')}}\n`,
    PROGRAM,
  ].join('');
}

function dict(entries: readonly (readonly [string, string | null])[]): string {
  const given = entries.flatMap(([key, value]) =>
    value === null ? [] : [`${pythonString(key)}: ${pythonString(value)}`],
  );
  return `{${given.join(', ')}}`;
}

/** A Python string literal that holds nothing that could end it, or that a terminal or an editor would act on. */
export function pythonString(text: string): string {
  const escaped = Array.from(text, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === '"' || character === '\\') return `\\${character}`;
    if (code >= 0x20 && code < 0x7f) return character;
    return code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`;
  });
  return `"${escaped.join('')}"`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}

/** Airflow takes letters, digits, dashes, dots and underscores; two pools never share a name. */
function taskNames(pools: readonly WorkerPool[]): string[] {
  const taken = new Set<string>();
  return pools.map(({ name }) => {
    const plain = name.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 100);
    let own = plain;
    for (let number = 2; taken.has(own); number += 1) own = `${plain}_${number}`;
    taken.add(own);
    return own;
  });
}

/** The header holds no names: they stand only in the settings below it, where they are quoted. */
function header({ pools, intervalMs, version }: DagSettings): string {
  const runs = Math.round(DAY_MS / intervalMs);
  const tasks = pools.length === 1 ? 1 : 3 * pools.length;
  const each = pools.length === 1 ? 'The task' : 'On each of them a task';
  const others =
    pools.length === 1
      ? ['The payload is deleted at the end of the task.']
      : ['A second task pulls what every other pool has pushed, and a third one deletes the payload.'];
  return [
    `The canary of airflow-xcom-exporter ${version}: each pool of workers says for itself what it does with XComs.`,
    '',
    `Made for ${pools.length === 1 ? 'one pool of workers' : `${pools.length} pools of workers`}: POOLS below.`,
    `${each} takes down which XCom backend, path, threshold, compression and`,
    'versions the worker resolves, pushes a text just above the threshold, and pulls it again. Each step is timed; of an',
    'exception its class and its code are told, never its text. No credential is read, none is reported.',
    ...others,
    '',
    'The report of each task is an XCom of about 1 kB under the key canary_report. It is written to the database past',
    'the XCom backend (BaseXCom.set), so that it arrives when the backend fails; a later run deletes it. A task whose',
    'step fails is failed once it has reported.',
    '',
    `What it costs: ${counted(runs, 'run')} and ${counted(runs * tasks, 'task')} a day, ${counted(runs * pools.length, 'object')} written and deleted. Airflow keeps its usual rows of`,
    'runs and tasks until they are cleaned with those of other DAGs (airflow db clean). See docs/canary.md.',
    '',
    'To remove it: pause the DAG, wait for its last run to end, remove this file, delete the DAG in Airflow.',
    '',
    'Made by `airflow-xcom-exporter canary`; change it there and print it again. Needs the standard library and',
    'Airflow 2.9 to 3.4 alone (an executor of its own for a pool: 2.10).',
    '',
  ].join('\n');
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
