/** Measures what a start costs: `npm run bench:start -- --base DIR`. Writes its table to test/bench/start.md. */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { profileTable, startProfiler } from './profile.ts';
import type { Profile } from './profile.ts';

const { values: asked } = parseArgs({
  options: {
    /** A clone of another build, with its `dist`, to be measured beside this one. */
    base: { type: 'string' },
    /** Any number but the usual one writes no table. */
    times: { type: 'string', default: '7' },
  },
});
/** After this time, nothing happens until the next cycle, whose database refuses the connection. */
const IDLE_MS = 5_000;
/** The highest share of the other build's CPU. */
const CPU_BAR = 0.5;
const RSS_BAR_MB = 70;
/** The highest share of the other build's time from `npm run demo` to rows in both storages. */
const DEMO_BAR = 0.25;
const DEMO_URL = 'http://127.0.0.1:10048/metrics';
const PEER_PORT = 19_000 + (process.pid % 1_000);
const DEMOS = 3;
/** How many starts are profiled, apart from those that are measured. */
const PROFILES = 5;

interface Start {
  /** CPU until the first answer of /metrics, ms. */
  readonly cpuMs: number;
  /** Resident memory when the process has nothing to do, MB. */
  readonly rssMb: number;
}

/** Linux counts CPU in clock ticks, a hundred a second. */
function cpuMsOf(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const fields = rest.split(' ').map(Number);
  return 10 * ((fields[11] ?? 0) + (fields[12] ?? 0));
}

function rssMbOf(pid: number): number {
  return (
    (1_024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])) / 1_000_000
  );
}

type Daemon = ChildProcessByStdio<null, Readable, null>;

/** Starts a build, waits for the first answer of /metrics, and stops the build after the look. */
async function start<Seen>(
  main: string,
  look: (daemon: Daemon) => Promise<Seen>,
  nodeArguments: readonly string[] = [],
): Promise<Seen> {
  const child = spawn(process.execPath, [...nodeArguments, main, 'run'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      // Nobody listens at this address: only the exporter itself is measured.
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: 'postgresql://airflow:airflow@127.0.0.1:1/airflow',
      AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws_xcom@airflow-xcom/xcom',
      AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1000',
      AIRFLOW_CONN_AWS_XCOM: 'aws://key:word@/?region_name=us-east-1&endpoint_url=http%3A%2F%2F127.0.0.1%3A1',
      XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
    },
  });
  const exited = once(child, 'exit');
  try {
    const port = await listening(createInterface(child.stdout));
    await (await fetch(`http://127.0.0.1:${port}/metrics`)).arrayBuffer();
    return await look(child);
  } finally {
    child.kill();
    await exited;
  }
}

/**
 * The exporter of Debian's package `prometheus-postgres-exporter`, whose database does not listen either; null if the
 * exporter does not start.
 */
async function startPeer(): Promise<Start | null> {
  const child = spawn('prometheus-postgres-exporter', [`--web.listen-address=127.0.0.1:${PEER_PORT}`], {
    stdio: ['ignore', 'ignore', 'ignore'],
    env: {
      PATH: process.env['PATH'],
      DATA_SOURCE_NAME: 'postgresql://a:b@127.0.0.1:1/airflow?sslmode=disable',
    },
  });
  const ended = new Promise<null>((resolve) => {
    child.once('error', () => {
      resolve(null);
    });
    child.once('exit', () => {
      resolve(null);
    });
  });
  const answered = async () => {
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${PEER_PORT}/metrics`).catch(() => null);
      await answer?.arrayBuffer();
      if (answer?.ok === true) return weigh(child);
      if (child.pid === undefined || child.exitCode !== null) return null;
      await delay(50);
    }
  };
  const found = await Promise.race([ended, answered()]);
  if (found !== null) {
    child.kill();
    await ended;
  }
  return found;
}

/** Seconds from `npm run demo` to the first figures with rows in the database and in S3. */
async function demoSeconds(dir: string): Promise<number> {
  const began = performance.now();
  // A group of its own, so that the servers of the demo end with it.
  const child = spawn('npm', ['run', 'demo'], { cwd: dir, stdio: 'ignore', detached: true });
  const ended = once(child, 'exit');
  try {
    for (;;) {
      const text = await fetch(DEMO_URL).then(
        (answer) => answer.text(),
        () => '',
      );
      const hasRows = (storage: string) =>
        new RegExp(`^airflow_xcom_window_rows\\{.*storage="${storage}".*\\} [1-9]`, 'm').test(text);
      if (hasRows('db') && hasRows('s3')) return (performance.now() - began) / 1_000;
      if (child.exitCode !== null) throw new Error(`The demo of the build in ${dir} ended`);
      await delay(50);
    }
  } finally {
    process.kill(-(child.pid ?? 0), 'SIGTERM');
    await ended;
  }
}

async function weigh({ pid = 0 }: Pick<Daemon, 'pid'>): Promise<Start> {
  const cpuMs = cpuMsOf(pid);
  await delay(IDLE_MS);
  return { cpuMs, rssMb: rssMbOf(pid) };
}

function listening(lines: ReturnType<typeof createInterface>): Promise<number> {
  return new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      const port = /"port":(\d+)/.exec(line)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    lines.on('close', () => {
      reject(new Error('The exporter ended before it listened'));
    });
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

// From the compiled file back into the repository.
const root = fileURLToPath(new URL('../../../../../../', import.meta.url));
const ourMain = join(root, 'dist/main.js');
const builds = [
  ...(asked.base === undefined ? [] : [{ name: 'base', dir: asked.base }]),
  { name: 'this', dir: root },
].map((build) => ({
  ...build,
  main: join(build.dir, 'dist/main.js'),
  starts: [] as Start[],
  demos: [] as number[],
}));
// The builds take turns, so that any other load on the machine meets both.
for (let turn = 0; turn < Number(asked.times); turn += 1)
  for (const { main, starts } of builds) starts.push(await start(main, weigh));
for (let turn = 0; turn < DEMOS; turn += 1)
  for (const { dir, demos } of builds) demos.push(await demoSeconds(dir));
const peer = await startPeer();

const profiler = startProfiler();
const profiles: Profile[] = [];
for (let turn = 0; turn < PROFILES; turn += 1)
  profiles.push(await start(ourMain, profiler.next, profiler.nodeArguments));
profiler.close();

const found = builds.map(({ name, starts, demos }) => ({
  name,
  demoSeconds: median(demos),
  cpuMs: median(starts.map(({ cpuMs }) => cpuMs)),
  rssMb: median(starts.map(({ rssMb }) => rssMb)),
}));
const ours = found.at(-1);
const base = asked.base === undefined ? undefined : found[0];
const shareOf = (one: number | undefined, other: number | undefined) =>
  one === undefined || other === undefined ? '' : (one / other).toFixed(2);
const isMet = (value: number | undefined, bar: number) =>
  value !== undefined && value <= bar ? 'met' : '**missed**';
const cpuShare = ours && base && ours.cpuMs / base.cpuMs;
const demoShare = ours && base && ours.demoSeconds / base.demoSeconds;
const document = `# What a start costs

\`npm run bench:start -- --base DIR\` starts the build in DIR and this one in turn, ${asked.times} times each, with a database and a storage that nobody listens for, and then \`npm run demo\` ${DEMOS} times, until \`/metrics\` has rows in both storages. Medians.
${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), load ${loadavg()[0]?.toFixed(1) ?? '?'} at the end; Node ${process.version}.

| build | CPU to the first \`/metrics\`, ms | resident ${IDLE_MS / 1000} s later, MB | \`npm run demo\` to rows, s |
|---|---:|---:|---:|
${found.map((one) => `| ${one.name} | ${one.cpuMs.toFixed(0)} | ${one.rssMb.toFixed(0)} | ${one.demoSeconds.toFixed(1)} |`).join('\n')}
| prometheus-postgres-exporter, one start | ${peer?.cpuMs.toFixed(0) ?? 'not installed'} | ${peer?.rssMb.toFixed(0) ?? ''} | |
| ratio of this to base | ${shareOf(ours?.cpuMs, base?.cpuMs)} | ${shareOf(ours?.rssMb, base?.rssMb)} | ${demoShare?.toFixed(2) ?? ''} |

| bar | found | |
|---|---:|---|
| CPU at most ${CPU_BAR} of the base | ${cpuShare?.toFixed(2) ?? 'no base'} | ${base === undefined ? 'not measured' : isMet(cpuShare, CPU_BAR)} |
| the demo at most ${DEMO_BAR} of the base's time | ${demoShare?.toFixed(2) ?? 'no base'} | ${base === undefined ? 'not measured' : isMet(demoShare, DEMO_BAR)} |
| resident at most ${RSS_BAR_MB} MB | ${ours?.rssMb.toFixed(0) ?? ''} MB | ${isMet(ours?.rssMb, RSS_BAR_MB)} |

What the CPU of this build goes to until the first \`/metrics\`, from profiles of ${PROFILES} other starts; in brackets the time in which it was not idle. A function that V8 compiles at its first call counts for the caller.

${profileTable(root, { [`all ${PROFILES} starts`]: profiles })}
`;
if (base !== undefined && asked.times === '7') await writeFile(join(root, 'test/bench/start.md'), document);
console.log(document);
