import { cpus, loadavg } from 'node:os';

export interface Figures {
  readonly release: string;
  readonly mix: string;
  readonly build: 'base' | 'this';
  readonly firstSeconds: number;
  readonly firstPages: number;
  /** Median of the idle cycles. */
  readonly idleCpuMs: number;
  /** The longest stall in all cycles, ms of CPU. */
  readonly stallMs: number;
  /** The highest resident memory at any moment. */
  readonly rssMb: number;
  readonly p99Ms: number;
}

/** The memory of this build after the last cycle, MB. */
export interface Memory {
  readonly resident: number;
  /** V8's heap, of which `heapUsed` is in use. */
  readonly heap: number;
  readonly heapUsed: number;
  /** Buffers and typed arrays, which lie outside V8's heap. */
  readonly external: number;
}

/** Node tells the CPU of one thread from 23.9 on. */
const WHOSE_CPU =
  'threadCpuUsage' in process ? 'the main thread' : 'the whole process, its helping threads included,';

type Figure = 'firstSeconds' | 'firstPages' | 'idleCpuMs' | 'stallMs' | 'rssMb' | 'p99Ms';

const COLUMNS: readonly { readonly figure: Figure; readonly title: string; readonly digits: number }[] = [
  { figure: 'firstSeconds', title: 'first cycle, s', digits: 1 },
  { figure: 'firstPages', title: 'its pages', digits: 0 },
  { figure: 'idleCpuMs', title: 'idle cycle, ms of CPU', digits: 0 },
  { figure: 'stallMs', title: 'longest stall, ms of CPU', digits: 0 },
  { figure: 'rssMb', title: 'highest RSS, MB', digits: 0 },
  { figure: 'p99Ms', title: '/metrics p99, ms', digits: 0 },
];

/** The report shows how long a scrape waits, without a bar: `npm run bench:scrape` has that bar. */
const BARS: readonly {
  readonly says: string;
  readonly figure: Figure;
  readonly most: number;
  readonly ofBase: boolean;
  readonly releases: string;
}[] = [
  { says: 'stall at most 25 ms of CPU', figure: 'stallMs', most: 25, ofBase: false, releases: '' },
  {
    says: 'pages of the first cycle on Airflow 3.4 at most 1/10 of the base',
    figure: 'firstPages',
    most: 1 / 10,
    ofBase: true,
    releases: '3.4',
  },
  {
    says: 'seconds of the first cycle at most 1/3 of the base',
    figure: 'firstSeconds',
    most: 1 / 3,
    ofBase: true,
    releases: '',
  },
  {
    says: 'CPU of an idle cycle at most 1/10 of the base',
    figure: 'idleCpuMs',
    most: 1 / 10,
    ofBase: true,
    releases: '',
  },
  { says: 'resident at most 150 MB', figure: 'rssMb', most: 150, ofBase: false, releases: '' },
];

export function memoryReport(
  figures: readonly Figures[],
  how: {
    readonly rows: number;
    readonly busyCycles: number;
    readonly idleCycles: number;
    readonly profile: { readonly of: string; readonly table: string } | null;
    /** The memory of the case that was profiled. */
    readonly memory: Memory | null;
  },
): string {
  const { rows, busyCycles, idleCycles, profile, memory } = how;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const pairs = figures
    .filter(({ build }) => build === 'this')
    .map((ours) => ({
      ours,
      base: figures.find(
        ({ build, release, mix }) => build === 'base' && release === ours.release && mix === ours.mix,
      ),
    }));
  const table = pairs.flatMap(({ ours, base }) => [
    ...[base, ours].flatMap((one) =>
      one === undefined
        ? []
        : [
            line([
              one.release,
              one.mix,
              one.build,
              ...COLUMNS.map(({ figure, digits }) => one[figure].toFixed(digits)),
            ]),
          ],
    ),
    ...(base === undefined
      ? []
      : [
          line([
            ours.release,
            ours.mix,
            'ratio',
            ...COLUMNS.map(({ figure }) => (ours[figure] / base[figure]).toFixed(2)),
          ]),
        ]),
  ]);
  const bars = BARS.map(({ says, figure, most, ofBase, releases }) => {
    const found = pairs
      .filter(({ ours, base }) => ours.release.startsWith(releases) && (!ofBase || base !== undefined))
      .map(({ ours, base }) => ({
        name: `${ours.release}, ${ours.mix}`,
        value: ofBase ? ours[figure] / (base?.[figure] ?? Number.NaN) : ours[figure],
      }))
      .toSorted((a, b) => b.value - a.value);
    const [worst] = found;
    if (worst === undefined) return line([says, '', '', 'not measured']);
    const verdict = worst.value <= most ? 'met' : '**missed**';
    return line([says, worst.value.toFixed(ofBase ? 2 : 0), worst.name, verdict]);
  });
  return `# What a million rows cost in memory and time

\`npm run bench:memory -- --base DIR\` fills an embedded Postgres with ${rows.toLocaleString('en')} rows in the window, a half of them of mapped instances, and lets the build in DIR and then this one watch it, each from nothing: \`base\` and \`this\`. A cycle starts every 15 s.
Each has a first cycle, ${busyCycles} with some new rows and ${idleCycles} with none; "idle" is the median of these. Some 20 scrapes a second go on until the idle cycles, which are measured alone. "small": the values are small ones in the database; "references": all are references, and there is no object; "oversize": all should have been references.
"Pages" are those that Postgres touched. A stall is the CPU of ${WHOSE_CPU} between two turns of the event loop, which others on the machine do not lengthen.
All on the same ${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), load ${loadavg()[0]?.toFixed(1) ?? '?'} at the end; Node ${process.version}.

| Airflow | values | build | ${COLUMNS.map(({ title }) => title).join(' | ')} |
|---|---|---|${'---:|'.repeat(COLUMNS.length)}
${table.join('\n')}

| bar for this build | worst | where | |
|---|---:|---|---|
${bars.join('\n')}
${
  profile === null
    ? ''
    : `
What the CPU of this build goes to, from profiles of another run on ${profile.of}, without scrapes; in brackets the time in which it was not idle. A function that V8 compiles at its first call counts for the caller.

${profile.table}
${memory === null ? '' : memoryTable(memory)}`
}`;
}

function memoryTable({ resident, heap, heapUsed, external }: Memory): string {
  const line = (what: string, mb: number) => `| ${what} | ${mb.toFixed(0)} |`;
  return `
What the memory of this build was after the last cycle of the same case, without a profiler:

| what | MB |
|---|---:|
${[
  line("columns of the window, and other buffers outside of V8's heap", external),
  line("V8's heap, in use", heapUsed),
  line("V8's heap, kept for what comes next", heap - heapUsed),
  line("Node itself: its program, V8's code, threads", resident - heap - external),
].join('\n')}
`;
}
