/** Measures what looking at references costs: `npm run bench:s3`. Writes its table to test/bench/s3.md. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findS5cmd, startServer } from './s3-server.ts';
import type { Measured, Task, Variant } from './s3-variant.ts';
import { buildWorld, wantedOf, windowOf } from './s3-world.ts';
import type { WorldGroup } from './s3-world.ts';

const run = promisify(execFile);
const ROUNDS = Number(process.argv[2] ?? 5);
const HEADS = 2_000;
const HEAD_PRICE = 0.0004 / 1_000;
const LIST_PRICE = 0.005 / 1_000;
const CPU_PRICE = 0.04 / 3_600;
/** Groups whose references lie close together: LIST is for these. */
const DENSE = ['mapped', 'leaky'];

const world = buildWorld();
const everything = world.flatMap(({ runs }) => runs.flatMap(({ keys }) => keys.map(({ key }) => key)));
const all = world.map(({ name }) => name);
const s5cmd = await findS5cmd();
const server = await startServer(everything);

/** The measurements by name, one for each round. */
const results = new Map<string, Measured[]>();

function note(name: string, measured: Measured): void {
  results.set(name, [...(results.get(name) ?? []), measured]);
}

async function measure(variant: Variant, ...parts: readonly (readonly string[])[]): Promise<Measured[]> {
  const { endpoint, region, accessKeyId, secretAccessKey } = server;
  const task: Task = { variant, endpoint, region, accessKeyId, secretAccessKey, parts, most: HEADS };
  const script = fileURLToPath(new URL('s3-variant.js', import.meta.url));
  const env = { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };
  const { stdout } = await run(process.execPath, [script, JSON.stringify(task)], { env });
  return JSON.parse(stdout) as Measured[];
}

/**
 * Measures s5cmd on the same keys: a HEAD for each, or a listing of each run. The shell tells how much CPU s5cmd
 * took.
 */
async function measureS5cmd(
  path: string,
  commands: readonly string[],
  references: number,
): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), 'xcom-bench-'));
  try {
    await writeFile(join(folder, 'commands'), commands.join('\n'));
    const env = {
      ...process.env,
      AWS_ACCESS_KEY_ID: server.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
      AWS_REGION: server.region,
    };
    const line = `"${path}" --endpoint-url ${server.endpoint} --numworkers 16 run "${folder}/commands" > "${folder}/out"; times`;
    const start = performance.now();
    const { stdout } = await run('bash', ['-c', line], { env });
    const seconds = (performance.now() - start) / 1_000;
    const answered = (await readFile(join(folder, 'out'), 'utf8')).trimEnd().split('\n').length;
    if (answered < references) throw new Error(`s5cmd answered for ${answered} of ${references}`);
    const [, user = '', system = ''] = /(\S+) (\S+)\s*$/.exec(stdout) ?? [];
    const cpuSeconds = secondsOf(user) + secondsOf(system);
    return { references, requests: commands.length, lists: 0, seconds, cpuSeconds };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Reads a time such as `0m1.234s`. */
function secondsOf(text: string): number {
  const [, minutes = '0', seconds = '0'] = /(\d+)m([\d.]+)s/.exec(text) ?? [];
  return Number(minutes) * 60 + Number(seconds);
}

function some(groups: readonly WorldGroup[], most: number): string[] {
  const keys = groups.flatMap(wantedOf);
  return keys.filter((_, index) => index % Math.ceil(keys.length / most) === 0);
}

const dense = world.filter(({ name }) => DENSE.includes(name));
try {
  for (let round = 1; round <= ROUNDS; round += 1) {
    console.log(`round ${round} of ${ROUNDS}`);
    for (const variant of ['sdk-head', 'ours-head', 'hand-head', 'ours-plan'] as const)
      for (const one of await measure(variant, all)) note(variant, one);
    for (const variant of ['sdk-list', 'ours-list'] as const)
      for (const one of await measure(variant, DENSE)) note(variant, one);
    if (s5cmd !== null) {
      const keys = some(world, HEADS);
      const heads = keys.map((key) => `head "s3://xcom/${key}"`);
      note('s5cmd-head', await measureS5cmd(s5cmd.path, heads, keys.length));
      const lists = dense.flatMap((group) =>
        windowOf(group).map(({ prefix }) => `ls "s3://xcom/${prefix}*"`),
      );
      note('s5cmd-list', await measureS5cmd(s5cmd.path, lists, dense.flatMap(wantedOf).length));
    }
    for (const variant of ['ours-head', 'ours-list', 'ours-dag', 'ours-range'] as const) {
      const parts = await measure(variant, ...all.map((name) => [name]));
      parts.forEach((one, index) => {
        note(`${variant} ${all[index] ?? ''}`, one);
      });
    }
  }
} finally {
  await server.stop();
}

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);
const median = (values: readonly number[]) => sorted(values)[Math.floor(values.length / 2)] ?? NaN;
const of = (name: string) => results.get(name) ?? [];
const micros = (one: Measured) => (one.cpuSeconds / one.references) * 1e6;
const dollars = ({ requests, lists, cpuSeconds }: Measured) =>
  (requests - lists) * HEAD_PRICE + lists * LIST_PRICE + cpuSeconds * CPU_PRICE;
/** The cost of all references of a group, projected from those that were looked up. */
const whole = (name: string, group: WorldGroup) =>
  of(name).map((one) => (dollars(one) / one.references) * wantedOf(group).length);

function row(name: string, what: string): string {
  const measured = of(name);
  if (measured.length === 0) return `| ${what} | not measured: no Go here to build it | | | | |`;
  const cpu = sorted(measured.map(micros));
  const perSecond = median(measured.map(({ references, seconds }) => references / seconds));
  const requests = median(measured.map((one) => one.requests / one.references));
  const perCpu = 1e6 / median(cpu);
  const figures = [cpu[0], median(cpu), cpu.at(-1)].map((value) =>
    (value ?? NaN).toFixed(value && value < 50 ? 1 : 0),
  );
  return `| ${what} | ${figures.join(' / ')} | ${perCpu.toFixed(0)} | ${perSecond.toFixed(0)} | ${requests.toFixed(3)} |`;
}

const headRatio = median(of('sdk-head').map(micros)) / median(of('ours-head').map(micros));
const headRate =
  median(of('ours-head').map(({ references, seconds }) => references / seconds)) /
  median(of('sdk-head').map(({ references, seconds }) => references / seconds));
const listRatio = median(of('sdk-head').map(micros)) / median(of('ours-list').map(micros));

const ALONG = [
  ['ours-head', 'a HEAD each'],
  ['ours-list', 'LIST of each run'],
  ['ours-dag', 'LIST of each dag'],
  ['ours-range', 'LIST of the window of each dag'],
] as const;
const mix = world.map((group) => {
  const costs = ALONG.map(([variant]) => median(whole(`${variant} ${group.name}`, group)));
  return { group, costs, best: Math.min(...costs) };
});
const best = mix.reduce((sum, one) => sum + one.best, 0);
const perRun = mix.reduce((sum, { costs }) => sum + Math.min(costs[0] ?? 0, costs[1] ?? 0), 0);
const planned = median(of('ours-plan').map(dollars));
const [plan] = of('ours-plan');
const cents = (value: number) => (value * 100_000).toFixed(1);

const bars = [
  { what: 'HEAD: CPU of the bare SDK over ours', value: headRatio, bar: 0.9 },
  { what: 'HEAD: references a second, ours over the bare SDK', value: headRate, bar: 0.9 },
  { what: 'LIST: references a CPU second, ours over HEAD by the bare SDK', value: listRatio, bar: 20 },
  { what: 'the best mix by measured costs over the mix of the planner', value: best / planned, bar: 1 / 1.1 },
];

const text = `# What looking at references costs

\`npm run bench:s3\` builds the exporter, starts a server, and measures every way in a process of its own, ${ROUNDS} times in turn.
Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}) shared by client and server, load ${loadavg()[0]?.toFixed(1) ?? '?'} at the end. Server: ${server.name} on loopback.
${s5cmd === null ? 's5cmd: not measured, there is no Go here to build it.' : `s5cmd ${s5cmd.version}.`}
Sixteen requests at once everywhere. CPU is that of the client's process; the rate depends on what else the machine does.

| way | CPU us a reference, least / median / most | references a CPU second | references a second | requests a reference |
|---|---:|---:|---:|---:|
${[
  row('sdk-head', 'HEAD, AWS SDK called bare (keep-alive, tuned)'),
  row('ours-head', 'HEAD, ours'),
  row('hand-head', 'HEAD, `node:http` and a signature by hand'),
  row('s5cmd-head', 'HEAD, s5cmd'),
  row('sdk-list', 'LIST of runs, AWS SDK called bare'),
  row('ours-list', 'LIST of runs, ours'),
  row('s5cmd-list', 'LIST of runs, s5cmd'),
  row('ours-plan', 'all groups below, as the planner has it'),
].join('\n')}

HEAD: ${HEADS} references out of all groups. LIST: the mapped and the leaky runs.

## The mix

What it costs to look at every reference of the window, in thousandths of a US cent: requests at the prices of S3 Standard and CPU at 0.04 dollars an hour of a core, both as measured.

| group | references | ${ALONG.map(([, what]) => what).join(' | ')} |
|---|---:|${ALONG.map(() => '---:').join('|')}|
${mix
  .map(({ group, costs, best: least }) => {
    const cells = costs.map((cost) => (cost === least ? `**${cents(cost)}**` : cents(cost)));
    return `| ${group.name}: ${group.what} | ${wantedOf(group).length} | ${cells.join(' | ')} |`;
  })
  .join('\n')}

- the best way for each group: ${cents(best)}
- the better of HEAD and LIST for each run: ${cents(perRun)}
- the planner, which knows the rows of the window and nothing of the bucket: ${cents(planned)}, ${plan?.lists ?? 0} LISTs and ${(plan?.requests ?? 0) - (plan?.lists ?? 0)} HEADs

## Bars

| what | measured | bar | |
|---|---:|---:|---|
${bars.map(({ what, value, bar }) => `| ${what} | ${value.toFixed(2)} | ${bar.toFixed(2)} | ${value >= bar ? 'met' : '**missed**'} |`).join('\n')}
`;

// From the compiled file back into the repository.
const target = new URL('../../../../../../test/bench/s3.md', import.meta.url);
if (process.argv[2] === undefined) await writeFile(target, text);
console.log(text);
if (bars.some(({ value, bar }) => value < bar)) process.exitCode = 1;
