/** How long a scrape takes while cycles run: `npm run bench:scrape`. Writes its table to test/bench/scrape.md. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { pino } from 'pino';
import { openWriter } from '../../src/postgres/writer.ts';
import { AIRFLOW_SCHEMA } from '../../src/demo/airflow-schema.ts';
import { startPostgres } from '../../src/demo/embedded-postgres.ts';
import { startS3 } from '../../src/demo/embedded-s3.ts';
import { createDatabase } from '../support/database.ts';

const { values: asked } = parseArgs({
  options: {
    /** How long each line of the table is measured; another one than usual writes no table. */
    seconds: { type: 'string', default: '30' },
    /** A clone of another build, with its `dist`, to be measured beside this one. */
    base: { type: 'string' },
  },
});
const SECONDS = Number(asked.seconds);
/** A dag has eight series of its own. */
const DAGS = 1_250;
const ROWS_A_DAG = 40;
const RATE = 50;
/** Connections that ask on and on, for {@link FLOOD_SECONDS}. */
const FLOOD = 200;
const FLOOD_SECONDS = 10;
/** Of the exporter's figures to those of the bare server with the same bytes. */
const BARS = { p99: 1.3, rate: 0.8 };

const log = pino({ level: 'silent' });
const postgres = await startPostgres({ dir: tmpdir(), port: null, settings: {}, log });
const s3 = await startS3({ log });
await s3.createBucket('airflow-xcom');
const url = await createDatabase(postgres);
const writer = await openWriter({ url, connections: 2 });
await writer.query(AIRFLOW_SCHEMA);
await writer.query(/* SQL */ `
  INSERT INTO dag_run (dag_id, run_id, run_type, run_after, start_date, state)
  SELECT 'dag_' || dag, 'manual__1', 'manual', now(), now(), 'running' FROM generate_series(1, ${DAGS}) dag`);

let serial = 0;

/** Writes so many rows to every dag from `first` to `last`; of `objects` of them the value is an object. */
async function push(rows: { first: number; last: number; each: number; objects: number }): Promise<void> {
  const { first, last, each, objects } = rows;
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

/** A daemon under way, with the lines of its log. */
interface Daemon {
  readonly lines: readonly string[];
  /** Waits for a line that holds this, from some line on. */
  readonly logged: (text: string, from?: number) => Promise<string>;
  readonly stop: () => Promise<void>;
}

function startDaemon(main: string): Daemon {
  const endpoint = encodeURIComponent(s3.endpoint);
  const daemon = spawn(process.execPath, [main, 'run'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url.replace('postgresql:', 'postgresql+psycopg2:'),
      AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@airflow-xcom/xcom',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '100',
      AIRFLOW_CONN_AWS_XCOM: `aws://${s3.accessKeyId}:${s3.secretAccessKey}@/?endpoint_url=${endpoint}&region_name=${s3.region}`,
      // One cycle after the other: the next tick is never far.
      XCOM_EXPORTER_SAMPLE_SCHEDULE: '* * * * * *',
      XCOM_EXPORTER_LABELS_MAX_DAGS: String(2 * DAGS),
      XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    },
  });
  const lines: string[] = [];
  for (const stream of [daemon.stdout, daemon.stderr])
    createInterface(stream).on('line', (line) => lines.push(line));
  return {
    lines,
    async logged(text, from = 0) {
      for (let waited = 0; waited < 1_200; waited += 1) {
        const found = lines.slice(from).find((line) => line.includes(text));
        if (found !== undefined) return found;
        if (daemon.exitCode !== null) break;
        await delay(100);
      }
      throw new Error(`The exporter never said ${text}:\n${lines.slice(-5).join('\n')}`);
    },
    async stop() {
      if (daemon.exitCode !== null) return;
      daemon.kill();
      await once(daemon, 'exit');
    },
  };
}

/** What the machine makes of it when nothing is computed: the same bytes out of a process that does nothing else. */
const BARE = `
  const [url, encoding] = process.argv.slice(1);
  const get = (await import('node:http')).get;
  const body = await new Promise((resolve) => get(url, { headers: { 'accept-encoding': encoding } }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part)).on('end', () => resolve(Buffer.concat(parts)));
  }));
  const server = (await import('node:http')).createServer((request, response) => response.end(body));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));`;

type Encoding = 'identity' | 'gzip';

async function besideBare<Result>(
  metrics: string,
  encoding: Encoding,
  run: (url: string) => Promise<Result>,
): Promise<Result> {
  const bare = spawn(process.execPath, ['--input-type=module', '-e', BARE, metrics, encoding]);
  try {
    const [line] = (await once(bare.stdout, 'data')) as [Buffer];
    return await run(`http://127.0.0.1:${Number(line.toString())}/`);
  } finally {
    bare.kill();
  }
}

interface Asked {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly scrapes: number;
  readonly failed: number;
}

async function ask(
  url: string,
  encoding: Encoding,
  how: { readonly connections: number; readonly duration: number; readonly overallRate?: number },
): Promise<Asked> {
  const { latency, non2xx, errors, timeouts, requests } = await autocannon({
    url,
    ...how,
    headers: { 'accept-encoding': encoding },
  });
  const { p50, p99, max } = latency;
  return { p50, p99, max, scrapes: requests.total, failed: non2xx + errors + timeouts };
}

/** Asks the exporter and then a bare server while new rows are written, if `busy`. */
async function pair(
  metrics: string,
  encoding: Encoding,
  { busy }: { readonly busy: boolean },
): Promise<{ readonly ours: Asked; readonly bare: Asked }> {
  let writing = busy;
  const writes = (async () => {
    for (let turn = 0; writing; turn += 1) {
      const first = 1 + ((turn * 100) % DAGS);
      await push({ first, last: Math.min(DAGS, first + 99), each: 5, objects: 50 });
      await delay(500);
    }
  })();
  const how = { connections: 4, duration: SECONDS, overallRate: RATE };
  const ours = await ask(metrics, encoding, how);
  const bare = await besideBare(metrics, encoding, (url) => ask(url, encoding, how));
  writing = false;
  await writes;
  return { ours, bare };
}

interface Measured {
  readonly build: string;
  readonly series: number;
  readonly bytes: number;
  readonly lines: readonly {
    readonly what: string;
    readonly ours: Asked;
    readonly bare: Asked;
    readonly cycles: number;
  }[];
}

async function measure(build: string, main: string): Promise<Measured> {
  const daemon = startDaemon(main);
  try {
    const { port } = JSON.parse(await daemon.logged('"listening"')) as { port: number };
    const metrics = `http://127.0.0.1:${port}/metrics`;
    await daemon.logged('"cycle"');
    // Rows that were there before are in no counter: these make the series.
    await push({ first: 1, last: DAGS, each: 1, objects: 500 });
    await delay(5_000);
    await daemon.logged('"cycle"', daemon.lines.length);
    const text = await (await fetch(metrics)).text();
    const lines: Measured['lines'][number][] = [];
    const note = async (what: string, run: () => Promise<{ ours: Asked; bare: Asked }>) => {
      const from = daemon.lines.length;
      const found = await run();
      const cycles = daemon.lines.slice(from).filter((line) => line.includes('"cycle"')).length;
      lines.push({ what, ...found, cycles });
    };
    await note('plain, new rows all the time', () => pair(metrics, 'identity', { busy: true }));
    await note('gzip, new rows all the time', () => pair(metrics, 'gzip', { busy: true }));
    await note('gzip, nothing new', () => pair(metrics, 'gzip', { busy: false }));
    const flood = { connections: FLOOD, duration: FLOOD_SECONDS };
    for (const encoding of ['identity', 'gzip'] as const)
      await note(`${FLOOD} connections, ${encoding === 'gzip' ? 'gzip' : 'plain'}`, async () => ({
        ours: await ask(metrics, encoding, flood),
        bare: await besideBare(metrics, encoding, (url) => ask(url, encoding, flood)),
      }));
    return { build, series: series(text), bytes: text.length, lines };
  } finally {
    await daemon.stop();
  }
}

const ratio = (one: number, other: number) => (one / Math.max(other, 1)).toFixed(2);

try {
  await push({ first: 1, last: DAGS, each: ROWS_A_DAG, objects: 0 });
  const results = [
    ...(asked.base === undefined ? [] : [await measure('base', join(asked.base, 'dist/main.js'))]),
    await measure('this', fileURLToPath(new URL('../../../../../../dist/main.js', import.meta.url))),
  ];
  const ours = results.at(-1);
  const isMet =
    ours?.lines.every(({ what, ours: one, bare }) =>
      what.startsWith(String(FLOOD))
        ? one.failed === 0 && one.scrapes >= BARS.rate * bare.scrapes
        : one.failed === 0 && one.p99 <= BARS.p99 * Math.max(bare.p99, 1),
    ) ?? false;
  const document = `# What a scrape takes while cycles run

\`npm run bench:scrape -- --base DIR\` starts an exporter on an embedded Postgres and an embedded S3, gives it ${DAGS} dags with ${DAGS * (ROWS_A_DAG + 1)} rows in the window, lets a cycle start every second, and scrapes it ${RATE} times a second for ${SECONDS} s with autocannon; then
${FLOOD} connections ask on and on for ${FLOOD_SECONDS} s. After each the same is asked of a bare \`node:http\` server with the same bytes. "base" is the build in DIR.
All on the same ${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), load ${loadavg()[0]?.toFixed(1) ?? '?'} at the end; Node ${process.version}. "New rows all the time": some 1,000 a second, a tenth of them with an object.

${ours?.series ?? 0} series, ${((ours?.bytes ?? 0) / 1e6).toFixed(2)} MB as plain text.

| build | scrapes | asked | bare | ratio | failed | p50 ms | p99 ms | bare p99 ms | ratio | longest ms | cycles |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
${results
  .flatMap(({ build, lines }) =>
    lines.map(
      ({ what, ours: one, bare, cycles }) =>
        `| ${build} | ${what} | ${one.scrapes} | ${bare.scrapes} | ${ratio(one.scrapes, bare.scrapes)} | ${one.failed} | ${one.p50} | ${one.p99} | ${bare.p99} | ${ratio(one.p99, bare.p99)} | ${one.max} | ${cycles} |`,
    ),
  )
  .join('\n')}

Bars for this build: p99 at most ${BARS.p99} of the bare server's, ${BARS.rate} of its answers to ${FLOOD} connections, none failed: ${isMet ? 'met' : '**missed**'}.
`;
  // From the compiled file back into the repository.
  const target = new URL('../../../../../../test/bench/scrape.md', import.meta.url);
  if (SECONDS === 30) await writeFile(target, document);
  console.log(document);
  if (!isMet) process.exitCode = 1;
} finally {
  await writer.close();
  await s3.stop();
  await postgres.stop();
}
