/**
 * The comparison by an inventory file beside sort and comm, at a million references and at as many as are asked for:
 * `npm run bench:audit-inventory -- [references] [objects]`. Writes test/bench/audit-inventory.md.
 */
import { DuckDBInstance } from '@duckdb/node-api';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { TABLES } from '../../src/audit/store.ts';

const [references = 10_000_000, objects = 20_000_000] = process.argv.slice(2).map(Number);
const RUN = fileURLToPath(new URL('audit-inventory-run.js', import.meta.url));
const REPORT = new URL('../../../../../../test/bench/audit-inventory.md', import.meta.url);
const FILES = 10;
const MEMORY_MB = 1_000;
const DAY_MS = 86_400_000;

/** Keys as Airflow makes them, in no order of their own. */
const key = (
  i: string,
) => `'base/pipeline_' || lpad((${i} % 200)::VARCHAR, 3, '0') || '/scheduled__2026-01-' ||
  lpad((${i} // 200 % 50)::VARCHAR, 2, '0') || 'T00:00:00+00:00/transform/' || substr(md5(${i}::VARCHAR), 1, 8) || '-' ||
  substr(md5(${i}::VARCHAR), 9, 4) || '-4' || substr(md5(${i}::VARCHAR), 14, 3) || '-a' || substr(md5(${i}::VARCHAR), 18, 3)
  || '-' || substr(md5(${i}::VARCHAR), 21, 12)`;

interface Cost {
  readonly wall: number;
  readonly cpu: number;
  readonly said: string;
}
interface Round {
  readonly references: number;
  readonly objects: number;
  readonly ours: Cost & { readonly peakMb: number; readonly steps: Readonly<Record<string, number>> };
  readonly sorted: Cost;
}

/** Rows that were read, an inventory as S3 writes it, and the same keys as text. One key in a thousand is missing. */
async function prepare(folder: string, round: Pick<Round, 'references' | 'objects'>): Promise<void> {
  for (const name of ['work', 'inventory']) mkdirSync(join(folder, name));
  const instance = await DuckDBInstance.create(join(folder, 'work', 'audit.duckdb'), {
    memory_limit: '1GB',
    preserve_insertion_order: 'false',
    temp_directory: join(folder, 'spill'),
  });
  const on = await instance.connect();
  for (const statement of TABLES.split(';')) await on.run(statement);
  const at = Date.now() - 30 * DAY_MS;
  await on.run(
    `INSERT INTO named SELECT 'xcom/' || ${key('i')}, '', 'row', 'xcom', i::VARCHAR, ${at} FROM range(${round.references}) r(i)`,
  );
  await on.run(
    `COPY (SELECT substr(location, 6) FROM named) TO '${join(folder, 'rows.txt')}' (FORMAT csv, HEADER false)`,
  );
  const files = [];
  for (let file = 0; file < FILES; file += 1) {
    const path = join(folder, 'inventory', `${file}.parquet`);
    await on.run(
      `COPY (SELECT encode('xcom') AS bucket, encode(${key('i')}) AS key, 1000::BIGINT AS size,
         make_timestamp_ms(${at} + i) AS last_modified_date, 'STANDARD' AS storage_class
       FROM (SELECT r * ${FILES} + ${file} AS i FROM range(${Math.ceil(round.objects / FILES)}) r(r)) WHERE i % 1000 <> 7)
       TO '${path}' (FORMAT parquet)`,
    );
    await on.run(
      `COPY (SELECT decode(key) FROM '${path}') TO '${join(folder, `objects-${file}.txt`)}' (FORMAT csv, HEADER false)`,
    );
    const md5 = createHash('md5');
    await pipeline(createReadStream(path), md5);
    files.push({ key: `x/data/${file}.parquet`, size: statSync(path).size, MD5checksum: md5.digest('hex') });
  }
  on.closeSync();
  instance.closeSync();
  const manifest = {
    sourceBucket: 'xcom',
    destinationBucket: 'arn:aws:s3:::inventories',
    creationTimestamp: String(Date.now() - DAY_MS),
    fileFormat: 'Parquet',
    fileSchema: 'message s3.inventory',
    files,
  };
  writeFileSync(join(folder, 'inventory', 'manifest.json'), JSON.stringify(manifest));
}

/** Wall, and CPU with all children. */
async function measure(argv: readonly string[]): Promise<Cost> {
  const start = performance.now();
  const child = spawn('bash', ['-c', `"$@"; code=$?; times >&2; exit $code`, 'bash', ...argv], {
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let times = '';
  child.stdout.on('data', (text: Buffer) => (said += text.toString()));
  child.stderr.on('data', (text: Buffer) => (times += text.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${String(code)}: ${times}`);
  const [user = 0, system = 0] = [
    ...(times.trimEnd().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g),
  ].map(([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds));
  return { wall: round((performance.now() - start) / 1_000), cpu: round(user + system), said: said.trim() };
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}

async function play(size: Pick<Round, 'references' | 'objects'>): Promise<Round> {
  const folder = mkdtempSync(join(tmpdir(), 'audit-inventory-'));
  try {
    await prepare(folder, size);
    const sorted = await measure([
      'bash',
      '-c',
      `set -eo pipefail; cd ${folder}
      sort -S 500M -T . rows.txt > rows; sort -S 500M -T . objects-*.txt > objects
      comm -13 rows objects | wc -l; comm -23 rows objects | wc -l`,
    ]);
    const ours = await measure([process.execPath, RUN, folder, String(MEMORY_MB * 1e6)]);
    const { peakMb, orphaned, missing, steps } = JSON.parse(ours.said) as Record<
      'peakMb' | 'orphaned' | 'missing',
      number
    > &
      Pick<Round['ours'], 'steps'>;
    const answer = {
      ...size,
      ours: { ...ours, said: `${orphaned}\n${missing}`, peakMb, steps },
      sorted,
    };
    console.log(JSON.stringify(answer));
    if (answer.ours.said !== sorted.said) throw new Error('They do not say the same');
    return answer;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const small = await play({ references: references / 10, objects: objects / 10 });
const large = await play({ references, objects });
const load = loadavg()[0]?.toFixed(0) ?? '';
const rows = [small, large].flatMap(({ references: n, objects: m, ours, sorted }) => [
  `| ${n} x ${m} | audit | ${ours.wall} | ${ours.cpu} | ${ours.peakMb} | ${((ours.cpu * 1e6) / (n + m)).toFixed(2)} | ${ours.said.replace('\n', ', ')} |`,
  `| ${n} x ${m} | sort, comm | ${sorted.wall} | ${sorted.cpu} | | ${((sorted.cpu * 1e6) / (n + m)).toFixed(2)} | ${sorted.said.replace('\n', ', ')} |`,
]);
writeFileSync(
  REPORT,
  `# What the comparison by an inventory costs

\`npm run bench:audit-inventory\`: references that have been read, and an S3 Inventory of ${FILES} Parquet files, with \`--memory ${MEMORY_MB}MB\`. The audit checks and
reads the inventory, compares, counts, and writes all lists. \`sort -S 500M\` and \`comm\` compare the same keys as text that is ready.
${cpus().length} cores, load ${load} at the end.

<!-- prettier-ignore -->
| references x objects | | wall s | CPU s | peak MB | CPU µs a row | orphaned, missing |
|---|---|---|---|---|---|---|
${rows.join('\n')}

CPU seconds by step:

<!-- prettier-ignore -->
| references x objects | ${Object.keys(large.ours.steps).join(' | ')} |
|---${Object.keys(large.ours.steps)
    .map(() => '|---')
    .join('')}|
${[small, large]
  .map(({ references: n, objects: m, ours }) => `| ${n} x ${m} | ${Object.values(ours.steps).join(' | ')} |`)
  .join('\n')}
`,
);
