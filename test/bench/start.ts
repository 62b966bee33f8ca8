/** What a start costs: `npm run bench:start -- --base DIR`. Writes its table to test/bench/start.md. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: asked } = parseArgs({
  options: {
    /** A clone of another build, with its `dist`, to be measured beside this one. */
    base: { type: 'string' },
    times: { type: 'string', default: '7' },
  },
});
/** After so long nothing happens any more until the next cycle, whose database refuses. */
const IDLE_MS = 5_000;
/** Of what the other build takes. */
const CPU_BAR = 0.5;
const RSS_BAR_MB = 70;

interface Start {
  /** CPU until the first answer of /metrics, ms. */
  readonly cpuMs: number;
  /** Resident when it has nothing to do, MB. */
  readonly rssMb: number;
}

/** In clock ticks, of which Linux has a hundred a second. */
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

async function start(main: string): Promise<Start> {
  const child = spawn(process.execPath, [main, 'run'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      // Nobody listens there: what is measured is the exporter alone.
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
    const cpuMs = cpuMsOf(child.pid ?? 0);
    await delay(IDLE_MS);
    return { cpuMs, rssMb: rssMbOf(child.pid ?? 0) };
  } finally {
    child.kill();
    await exited;
  }
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

const builds = [
  ...(asked.base === undefined ? [] : [{ name: 'base', main: join(asked.base, 'dist/main.js') }]),
  { name: 'this', main: fileURLToPath(new URL('../../../../../../dist/main.js', import.meta.url)) },
].map((build) => ({ ...build, starts: [] as Start[] }));
// In turn: what else the machine does meanwhile meets both.
for (let turn = 0; turn < Number(asked.times); turn += 1)
  for (const { main, starts } of builds) starts.push(await start(main));

const found = builds.map(({ name, starts }) => ({
  name,
  cpuMs: median(starts.map(({ cpuMs }) => cpuMs)),
  rssMb: median(starts.map(({ rssMb }) => rssMb)),
}));
const ours = found.at(-1);
const base = asked.base === undefined ? undefined : found[0];
const shareOf = (one: number | undefined, other: number | undefined) =>
  one === undefined || other === undefined ? '' : (one / other).toFixed(2);
const isMet =
  ours !== undefined && ours.rssMb <= RSS_BAR_MB && ours.cpuMs <= CPU_BAR * (base?.cpuMs ?? Infinity);
const document = `# What a start costs

\`npm run bench:start -- --base DIR\` starts the build in DIR and this one in turn, ${asked.times} times each, with a database and a storage that nobody listens for. Medians.
${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), load ${loadavg()[0]?.toFixed(1) ?? '?'} at the end; Node ${process.version}.

| build | CPU to the first \`/metrics\`, ms | resident ${IDLE_MS / 1000} s later, MB |
|---|---:|---:|
${found.map(({ name, cpuMs, rssMb }) => `| ${name} | ${cpuMs.toFixed(0)} | ${rssMb.toFixed(0)} |`).join('\n')}
| ratio | ${shareOf(ours?.cpuMs, base?.cpuMs)} | ${shareOf(ours?.rssMb, base?.rssMb)} |

Bars: ${CPU_BAR} of the CPU of the base, ${RSS_BAR_MB} MB: ${isMet ? 'met' : '**missed**'}.
`;
// From the compiled file back into the repository.
if (base !== undefined)
  await writeFile(new URL('../../../../../../test/bench/start.md', import.meta.url), document);
console.log(document);
