/** How long a scrape takes while cycles run: `npm run bench:scrape`. Writes its table to test/bench/scrape.md. */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import type { PostgresWriter } from '../../src/postgres/writer.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import { AIRFLOW_SCHEMA } from '../../src/demo/airflow-schema.ts';
import { startPostgres } from '../../src/demo/embedded-postgres.ts';
import { startS3 } from '../../src/demo/embedded-s3.ts';
import { createDatabase } from '../support/database.ts';
import { profileTable, startProfiler } from './profile.ts';
import { ask, besideBare } from './scrape-bare.ts';
import type { Asked, Encoding } from './scrape-bare.ts';
import { startDaemon } from './scrape-daemon.ts';
import { startPeer } from './scrape-peer.ts';
import type { Daemon } from './scrape-daemon.ts';

// From the compiled file back into the repository.
const root = fileURLToPath(new URL('../../../../../../', import.meta.url));
const { values: asked } = parseArgs({
  options: {
    /** How many seconds each line of the table is measured; any value but the usual one writes no table. */
    seconds: { type: 'string', default: '30' },
    /** A clone of another build, with its `dist`, to be measured beside this one. */
    base: { type: 'string' },
    /** The program of kube-state-metrics, to be measured with about as many series. */
    peer: { type: 'string' },
  },
});
const SECONDS = Number(asked.seconds);
/** A dag has eight series of its own. */
const DAGS = 1_250;
const ROWS_A_DAG = 40;
const RATE = 50;
/** Connections that send one request after the other, for {@link FLOOD_SECONDS}. */
const FLOOD = 200;
const FLOOD_SECONDS = 10;
/** Bars for the ratio of the exporter's figures to those of the bare server with the same bytes. */
const BARS = { p99: 1.3, rate: 0.8 };

const log = pino({ level: 'silent' });
const postgres = await startPostgres({ dir: tmpdir(), port: null, settings: {}, log });
const s3 = await startS3({ log });
await s3.createBucket('airflow-xcom');
let serial = 0;

interface Rows {
  readonly first: number;
  readonly last: number;
  readonly each: number;
  readonly objects: number;
}

/** Each build has an Airflow of its own, so that it has no rows that were written for another build. */
interface Airflow {
  readonly url: string;
  /** Writes `each` rows to every dag from `first` to `last`, and `objects` objects, to which as many rows refer. */
  readonly push: (rows: Rows) => Promise<void>;
  readonly close: () => Promise<void>;
}

async function createAirflow(): Promise<Airflow> {
  const url = await createDatabase(postgres);
  const writer = await openWriter({ url, connections: 2 });
  await writer.query(AIRFLOW_SCHEMA);
  await writer.query(/* SQL */ `
    INSERT INTO dag_run (dag_id, run_id, run_type, run_after, start_date, state)
    SELECT 'dag_' || dag, 'manual__1', 'manual', now(), now(), 'running' FROM generate_series(1, ${DAGS}) dag`);
  const push = (rows: Rows) => write(writer, rows);
  await push({ first: 1, last: DAGS, each: ROWS_A_DAG, objects: 0 });
  return { url, push, close: () => writer.close() };
}

async function write(writer: PostgresWriter, { first, last, each, objects }: Rows): Promise<void> {
  serial += 1;
  const task = `task_${serial}`;
  const keys = Array.from({ length: objects }, (_, index) => {
    const dag = first + (index % (last - first + 1));
    return { dag, key: `xcom/dag_${dag}/manual__1/${task}/${randomUUID()}` };
  });
  await Promise.all(
    keys.map(({ key }) =>
      fetch(`${s3.endpoint}/airflow-xcom/${key}`, { method: 'PUT', body: 'x'.repeat(200) }),
    ),
  );
  await writer.query(
    /* SQL */ `
    INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, try_number, pool, pool_slots, queue, state)
    SELECT gen_random_uuid(), $1, 'dag_' || dag, 'manual__1', row, 1, 'default_pool', 1, 'default', 'success'
    FROM generate_series($2::int, $3::int) dag, generate_series(1, $4::int) row`,
    [task, first, last, each],
  );
  await writer.query(
    /* SQL */ `
    INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)
    SELECT r.id, t.task_id, t.map_index, 'return_value', t.dag_id, t.run_id,
      coalesce((SELECT to_jsonb('s3://aws_xcom@airflow-xcom/' || o.key)
                FROM jsonb_to_recordset($2::jsonb) o(dag int, key text)
                WHERE 'dag_' || o.dag = t.dag_id AND t.map_index = 1 LIMIT 1), '{"rows": 12}'), now()
    FROM task_instance t JOIN dag_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id WHERE t.task_id = $1`,
    [task, JSON.stringify(keys)],
  );
}

const series = (text: string) =>
  text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;

const steadily = { connections: 4, duration: SECONDS, overallRate: RATE };

/** Writes new rows while `run` is under way; writes none if `push` is null. */
async function whileWriting<Result>(
  push: Airflow['push'] | null,
  run: () => Promise<Result>,
): Promise<Result> {
  let writing = push !== null;
  const writes = (async () => {
    for (let turn = 0; writing; turn += 1) {
      const first = 1 + ((turn * 100) % DAGS);
      await push?.({ first, last: Math.min(DAGS, first + 99), each: 5, objects: 50 });
      await delay(500);
    }
  })();
  const result = await run();
  writing = false;
  await writes;
  return result;
}

/** Asks the exporter and then a bare server. */
function pair(
  metrics: string,
  encoding: Encoding,
  push: Airflow['push'] | null,
): Promise<{ readonly ours: Asked; readonly bare: Asked }> {
  return whileWriting(push, async () => ({
    ours: await ask(metrics, encoding, steadily),
    bare: await besideBare(metrics, encoding, (address) => ask(address, encoding, steadily)),
  }));
}

/** Runs something against a daemon that has all its series. */
async function withDaemon<Result>(
  main: string,
  run: (daemon: Daemon, metrics: string, push: Airflow['push']) => Promise<Result>,
  nodeArguments: readonly string[] = [],
): Promise<Result> {
  const { url, push, close } = await createAirflow();
  const daemon = startDaemon(main, { url, s3, maxDags: 2 * DAGS, nodeArguments });
  try {
    const { port } = JSON.parse(await daemon.logged('"listening"')) as { port: number };
    await daemon.logged('"cycle"');
    // No counter includes rows from before the start: the rows of this push create the series.
    await push({ first: 1, last: DAGS, each: 1, objects: 500 });
    await delay(5_000);
    await daemon.logged('"cycle"', daemon.lines.length);
    return await run(daemon, `http://127.0.0.1:${port}/metrics`, push);
  } finally {
    await daemon.stop();
    await close();
  }
}

interface Measured {
  readonly build: string;
  readonly series: number;
  readonly bytes: number;
  readonly lines: readonly {
    readonly what: string;
    readonly ours: Asked;
    readonly bare: Asked;
    /** Null: the program has none. */
    readonly cycles: number | null;
  }[];
}

function measure(build: string, main: string): Promise<Measured> {
  return withDaemon(main, async (daemon, metrics, push) => {
    const text = await (await fetch(metrics)).text();
    const lines: Measured['lines'][number][] = [];
    const note = async (what: string, run: () => Promise<{ ours: Asked; bare: Asked }>) => {
      const from = daemon.lines.length;
      const found = await run();
      const cycles = daemon.lines.slice(from).filter((line) => line.includes('"cycle"')).length;
      lines.push({ what, ...found, cycles });
    };
    await note('plain, new rows all the time', () => pair(metrics, 'identity', push));
    await note('gzip, new rows all the time', () => pair(metrics, 'gzip', push));
    await note('gzip, nothing new', () => pair(metrics, 'gzip', null));
    const flood = { connections: FLOOD, duration: FLOOD_SECONDS };
    for (const encoding of ['identity', 'gzip'] as const)
      await note(`${FLOOD} connections, ${encoding === 'gzip' ? 'gzip' : 'plain'}`, async () => ({
        ours: await ask(metrics, encoding, flood),
        bare: await besideBare(metrics, encoding, (address) => ask(address, encoding, flood)),
      }));
    return { build, series: series(text), bytes: text.length, lines };
  });
}

/** Measures kube-state-metrics, which has nothing new in its pods either. */
async function measurePeer(program: string, like: Measured): Promise<Measured> {
  const { metrics, version, stop } = await startPeer(program, like.series);
  try {
    const text = await (await fetch(metrics)).text();
    const lines: Measured['lines'][number][] = [];
    for (const encoding of ['identity', 'gzip'] as const) {
      const what = `${encoding === 'gzip' ? 'gzip' : 'plain'}, nothing new`;
      lines.push({ what, ...(await pair(metrics, encoding, null)), cycles: null });
    }
    const build = `kube-state-metrics ${version}, ${series(text)} series, ${(text.length / 1e6).toFixed(2)} MB`;
    return { build, series: series(text), bytes: text.length, lines };
  } finally {
    await stop();
  }
}

/** Profiles the exporter under the same load, in a process of its own that no figure is taken from. */
async function profile(main: string): Promise<string> {
  const profiler = startProfiler();
  try {
    return await withDaemon(
      main,
      async (daemon, metrics, push) => {
        const under = async (writing: Airflow['push'] | null) => {
          await profiler.next(daemon);
          await whileWriting(writing, () => ask(metrics, 'gzip', steadily));
          return [await profiler.next(daemon)];
        };
        return profileTable(root, {
          'gzip, new rows all the time': await under(push),
          'gzip, nothing new': await under(null),
        });
      },
      profiler.nodeArguments,
    );
  } finally {
    profiler.close();
  }
}

const share = (one: number, other: number) => one / Math.max(other, 1);
const ratio = (one: number, other: number) => share(one, other).toFixed(2);

try {
  const results = [
    ...(asked.base === undefined ? [] : [await measure('base', join(asked.base, 'dist/main.js'))]),
    await measure('this', join(root, 'dist/main.js')),
  ];
  const profiled = await profile(join(root, 'dist/main.js'));
  const ours = results.at(-1);
  const peers = asked.peer === undefined || ours === undefined ? [] : [await measurePeer(asked.peer, ours)];
  const steady = ours?.lines.filter(({ what }) => !what.startsWith(String(FLOOD))) ?? [];
  const floods = ours?.lines.filter(({ what }) => what.startsWith(String(FLOOD))) ?? [];
  const slowest = Math.max(...steady.map(({ ours: one, bare }) => share(one.p99, bare.p99)));
  const fewest = Math.min(...floods.map(({ ours: one, bare }) => share(one.scrapes, bare.scrapes)));
  const failed = ours?.lines.reduce((sum, line) => sum + line.ours.failed, 0) ?? 0;
  const bars = [
    {
      bar: `p99 at most ${BARS.p99} of the bare server's`,
      worst: slowest.toFixed(2),
      isMet: slowest <= BARS.p99,
    },
    {
      bar: `at least ${BARS.rate} of its answers to ${FLOOD} connections`,
      worst: fewest.toFixed(2),
      isMet: fewest >= BARS.rate,
    },
    { bar: 'no scrape failed', worst: String(failed), isMet: failed === 0 },
  ];
  const document = `# What a scrape takes while cycles run

\`npm run bench:scrape -- --base DIR --peer PROGRAM\` starts an exporter on an embedded Postgres and an embedded S3, gives it ${DAGS} dags with ${DAGS * (ROWS_A_DAG + 1)} rows in the window, lets a cycle start every second, and scrapes it ${RATE} times a second for ${SECONDS} s with autocannon; then
${FLOOD} connections ask on and on for ${FLOOD_SECONDS} s. After each the same is asked of a bare \`node:http\` server with the same bytes. "base" is the build in DIR, and PROGRAM is kube-state-metrics, on a server of its API whose pods never change.
All on the same ${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), load ${loadavg()[0]?.toFixed(1) ?? '?'} at the end; Node ${process.version}. "New rows all the time": some 1,000 a second, a tenth of them with an object.

${ours?.series ?? 0} series, ${((ours?.bytes ?? 0) / 1e6).toFixed(2)} MB as plain text.

| build | scrapes | asked | bare | ratio | failed | p50 ms | p99 ms | bare p99 ms | ratio | longest ms | cycles |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
${[...results, ...peers]
  .flatMap(({ build, lines }) =>
    lines.map(
      ({ what, ours: one, bare, cycles }) =>
        `| ${build} | ${what} | ${one.scrapes} | ${bare.scrapes} | ${ratio(one.scrapes, bare.scrapes)} | ${one.failed} | ${one.p50} | ${one.p99} | ${bare.p99} | ${ratio(one.p99, bare.p99)} | ${one.max} | ${cycles ?? ''} |`,
    ),
  )
  .join('\n')}

| bar for this build | worst | |
|---|---:|---|
${bars.map(({ bar, worst, isMet }) => `| ${bar} | ${worst} | ${isMet ? 'met' : '**missed**'} |`).join('\n')}

What the CPU of this build goes to meanwhile, from profiles of another run of ${SECONDS} s each; in brackets the time in which it was not idle:

${profiled}
`;
  if (SECONDS === 30) await writeFile(join(root, 'test/bench/scrape.md'), document);
  console.log(document);
  if (bars.some(({ isMet }) => !isMet)) process.exitCode = 1;
} finally {
  await s3.stop();
  await postgres.stop();
}
