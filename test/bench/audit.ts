import { pino } from 'pino';
/**
 * Measures the audit beside the pipeline that a person would build of psql, s5cmd, sort and comm, and beside the build in
 * another folder: `npm run bench:audit -- [references] [objects] [folder]`. All read the same table and the same listing,
 * without and with 30 ms before each answer. Writes test/bench/audit.md, but for its profile.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AIRFLOW_SCHEMA } from '../../src/demo/airflow-schema.ts';
import { startPostgres } from '../../src/demo/embedded-postgres.ts';
import { openWriter } from '../../src/postgres/writer.ts';
import { KEY_SQL, RUN_SQL } from './audit-keys.ts';
import { findS5cmd } from './s3-server.ts';

const [references = 1_000_000, objects = 2_000_000] = process.argv.slice(2).map(Number);
/** A build to compare with; null: there is none. */
const base = process.argv[4] ?? null;
const PORT = 19_000 + (process.pid % 1_000);
/** The repository, as seen from the folder of the compiled file. */
const ROOT = new URL('../../../../../../', import.meta.url);
const MAIN = fileURLToPath(new URL('dist/main.js', ROOT));
const SERVER = fileURLToPath(new URL('audit-server.js', import.meta.url));

interface Cost {
  readonly name: string;
  readonly wall: number;
  readonly cpu: number;
  /** The peak memory of the largest of its processes, MiB. */
  readonly peak: number;
  readonly found: string;
}

const folder = mkdtempSync(join(tmpdir(), 'audit-bench-'));
const s5cmd = await findS5cmd();
const postgres = await startPostgres({
  dir: tmpdir(),
  port: null,
  settings: {},
  log: pino({ level: 'silent' }),
});
const costs: Cost[] = [];
try {
  await fill();
  for (const delayMs of [0, 30]) {
    const server = spawn(process.execPath, [SERVER, String(PORT), String(objects), String(delayMs)], {
      stdio: 'inherit',
    });
    try {
      await answering(`http://127.0.0.1:${PORT}/healthy`);
      const suffix = delayMs === 0 ? '' : `, ${delayMs} ms before each answer`;
      costs.push(await ours(`audit${suffix}`, { main: MAIN, out: `out-${delayMs}` }));
      if (base !== null) {
        const main = join(base, 'dist/main.js');
        costs.push(await ours(`audit of the base${suffix}`, { main, out: `base-${delayMs}` }));
      }
      if (s5cmd !== null) costs.push(await pipeline(`psql, s5cmd, sort, comm${suffix}`, s5cmd.path));
      console.table(costs);
    } finally {
      server.kill();
    }
  }
} finally {
  await postgres.stop();
  rmSync(folder, { recursive: true });
}
const file = fileURLToPath(new URL('test/bench/audit.md', ROOT));
writeFileSync(file, report(readFileSync(file, 'utf8')));

async function fill(): Promise<void> {
  const writer = await openWriter({ url: postgres.url, connections: 1 });
  await writer.query(AIRFLOW_SCHEMA);
  await writer.query('SET search_path = public; ALTER TABLE xcom DROP CONSTRAINT xcom_task_instance_fkey');
  const { dags, runs, dag, run } = RUN_SQL;
  await writer.query(
    `INSERT INTO dag_run (id, dag_id, run_id, run_type, run_after, state)
     SELECT 1 + d + r * ${dags}, ${dag}, ${run}, 'scheduled', now(), 'success'
     FROM generate_series(0, ${runs - 1}) r, generate_series(0, ${dags - 1}) d`,
  );
  await writer.query(
    `INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)
     SELECT r.id, 'transform', i, 'return_value', r.dag_id, r.run_id, to_jsonb('s3://aws@xcom/' || ${KEY_SQL}), now()
     FROM generate_series(0, ${references - 1}) i JOIN dag_run r ON r.id = 1 + i % ${dags} + i / ${dags} % ${runs} * ${dags}`,
  );
  await writer.query('VACUUM ANALYZE xcom');
  await writer.close();
}

async function ours(name: string, { main, out }: { main: string; out: string }): Promise<Cost> {
  const env = {
    ...process.env,
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: postgres.url,
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: 's3://aws@xcom/base',
    AIRFLOW_CONN_AWS: `aws://key:secret@/?region_name=us-east-1&endpoint_url=${encodeURIComponent(`http://127.0.0.1:${PORT}`)}`,
  };
  const unpaced = ['--pages-per-second', '100000000', '--requests-per-second', '100000000'];
  const argv = [main, 'audit', '--json', '--out', join(folder, out), ...unpaced];
  const measured = await measure([process.execPath, ...argv], env);
  const { objects: found } = JSON.parse(measured.stdout) as { objects: { orphaned: { objects: number } } };
  return { name, ...measured.cost, found: `${found.orphaned.objects} orphaned` };
}

async function pipeline(name: string, program: string): Promise<Cost> {
  const env = {
    ...process.env,
    LC_ALL: 'C',
    AWS_ACCESS_KEY_ID: 'key',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_REGION: 'us-east-1',
  };
  const at = (file: string) => join(folder, file);
  const script = `set -eo pipefail
    psql -qX '${postgres.url}' -c "\\copy (SELECT substr(value #>> '{}', 15) FROM xcom WHERE jsonb_typeof(value) = 'string' AND value #>> '{}' LIKE 's3://%') TO STDOUT" | sort -S 1000M -T ${folder} > ${at('rows')}
    ${program} --endpoint-url http://127.0.0.1:${PORT} ls 's3://xcom/base/*' | awk '{print "base/" $4}' | sort -S 1000M -T ${folder} > ${at('objects')}
    comm -13 ${at('rows')} ${at('objects')} > ${at('orphans')}
    comm -23 ${at('rows')} ${at('objects')} > ${at('missing')}
    wc -l < ${at('orphans')}`;
  const measured = await measure(['bash', '-c', script], env);
  return { name, ...measured.cost, found: `${measured.stdout.trim()} orphaned` };
}

/** Runs a command. Measures its wall time, its CPU with all children, and the largest process that was seen. */
async function measure(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ stdout: string; cost: Pick<Cost, 'wall' | 'cpu' | 'peak'> }> {
  const [program = '', ...rest] = argv;
  const start = performance.now();
  const script = `"$@"; code=$?; times >&2; exit $code`;
  const child = spawn('bash', ['-c', script, 'bash', program, ...rest], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, largestBelow(child.pid ?? 0));
  }, 100);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearInterval(timer);
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}: ${stderr}`);
  const wall = (performance.now() - start) / 1_000;
  const [user = 0, system = 0] = [
    ...(stderr.trimEnd().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g),
  ].map(([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds));
  return { stdout, cost: { wall: round(wall), cpu: round(user + system), peak: Math.round(peak / 1_024) } };
}

function largestBelow(pid: number): number {
  let most = 0;
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    most = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0);
    for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' '))
      if (child !== '') most = Math.max(most, largestBelow(Number(child)));
  } catch {
    // The process has ended meanwhile.
  }
  return most;
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}

async function answering(url: string): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok === true) return;
    await delay(100);
  }
  throw new Error('The server does not answer');
}

function report(last: string): string {
  const rows = costs.map(
    ({ name, wall, cpu, peak, found }) => `| ${name} | ${wall} | ${cpu} | ${peak} | ${found} |`,
  );
  const [here, away] = [costs.slice(0, costs.length / 2), costs.slice(costs.length / 2)];
  const bars = [
    bar("CPU at most 0.6 of the pipeline's", here, { figure: 'cpu', most: 0.6 }),
    bar('no slower on the loopback', here, { figure: 'wall', most: 1 }),
    bar('with 30 ms before each answer, at most 1/5 of the wall time', away, { figure: 'wall', most: 0.2 }),
  ];
  const profile = last.indexOf('## Where the CPU goes');
  return `# What an audit costs

\`npm run bench:audit\`: ${references} references in table \`xcom\` of Airflow 3.3, ${objects} objects by LIST from a server of ready
keys on the loopback, ${cpus().length} cores${s5cmd === null ? '' : `, s5cmd ${s5cmd.version}`}, Node ${process.versions.node}. CPU is that of the clients together, without Postgres and the storage. One round each${base === null ? '' : '; the base is the build in the folder that was named'}.

<!-- prettier-ignore -->
| | wall s | CPU s | peak MB | |
|---|---|---|---|---|
${rows.join('\n')}

| bar | found | |
|---|---:|---|
${bars.join('\n')}

${profile === -1 ? '' : last.slice(profile)}`;
}

/** `of`: the audit's costs first, the pipeline's last. */
function bar(
  says: string,
  of: readonly Cost[],
  { figure, most }: { figure: 'cpu' | 'wall'; most: number },
): string {
  const ratio =
    s5cmd === null ? Number.NaN : (of[0]?.[figure] ?? Number.NaN) / (of.at(-1)?.[figure] ?? Number.NaN);
  const verdict = Number.isNaN(ratio) ? 'not measured' : ratio <= most ? 'met' : '**missed**';
  return `| ${says} | ${ratio.toFixed(2)} | ${verdict} |`;
}
