import { cpus, loadavg } from 'node:os';
import type { BaseLine } from './database-base.ts';
import type { Cost } from './database-cost.ts';
import type { Writing } from './database-world.ts';

export interface Line {
  readonly release: string;
  readonly rows: number;
  readonly what: 'first' | 'busy' | 'large' | 'idle' | 'flood' | 'rival';
  /** How many cycles the cost is the mean of. */
  readonly cycles: number;
  readonly cost: Cost;
}

const WORDS: Readonly<Record<Line['what'], string>> = {
  first: 'first cycle: the whole window',
  busy: 'busy cycle',
  large: 'busy cycle, large values',
  idle: 'idle cycle',
  flood: 'more than may be unpacked',
  rival: 'prometheus-sql-exporter, one run of its query',
};

/** Pages with 50 million rows stay below this many times those with 10 million. */
export const GROWTH_BAR = 1.1;

/**
 * The report as it is kept in the repository, with a section for each Airflow release. A release of `lines` gets a new
 * section; the others keep theirs of `kept`, which is the report so far.
 */
export function describeBench(
  lines: readonly Line[],
  facts: {
    kept: string;
    version: string;
    rival: string;
    base: readonly BaseLine[];
    large: Writing;
    flood: Writing;
  },
): string {
  const { large, flood } = facts;
  const words = ({ rows, large, medium }: Writing) =>
    `${rows.toLocaleString('en')} new rows, ${large} of them of 2 MB that do not compress and ${medium.toLocaleString('en')} of 20 kB that do`;
  const sections = new Map(
    facts.kept
      .split(/^(?=## )/m)
      .slice(1)
      .map((section) => [/^## Airflow (\S+)/.exec(section)?.[1] ?? '', `${section.trimEnd()}\n`]),
  );
  for (const release of new Set(lines.map((line) => line.release))) {
    const ofRelease = (line: { readonly release: string }) => line.release === release;
    const base = facts.base.filter(ofRelease);
    sections.set(release, sectionOf(release, lines.filter(ofRelease), { ...facts, base }));
  }
  return `# What a cycle costs the database

Written by \`npm run bench:database -- --base DIR\`, which needs Debian's package \`prometheus-sql-exporter\`. With 50 million rows as well, where
the disk has 40 GB to spare: \`--rows 1000000,10000000,50000000\`. \`--releases 2.11.2\` measures one release and leaves the sections of the
others as they are. "base" is the build in DIR, which runs the same benchmark of its own first, with a million rows.

The tables are those that the Airflow release itself made, with its keys and indexes. The history grows, the day does not: 1,667 runs and
33,340 rows a day, 20 runs live, rows of runs that are live together mixed in the table, one value in 10,000 of 2 MB. A busy cycle finds 2,000 new rows
of mapped tasks; one with large values ${words(large)};
the last line of ours ${words(flood)}.
The other exporter is asked for rows and bytes of each dag over the last day, which ours has from the same cycles; its query leaves values packed.

- **buffers**: pages of 8 kB that the server looked at, in memory or on disk, planning included (\`pg_stat_statements\`).
- **rows read**: what scans gave back (\`pg_stat_user_tables\`). **ms**: time in the server, planning included.
- **unpacked**: rows whose value was unpacked to be measured, and pages of large values that were read for it; a cycle may unpack 1,000 rows
  and 64 MB, of what was there at the start a quarter of that more, and begins with none after 5 s. A \`bytea\` says its size without being unpacked.

${[...sections.values()].join('\n')}`;
}

/** `lines` and `facts.base` are those of this release alone. */
function sectionOf(
  release: string,
  lines: readonly Line[],
  facts: { version: string; rival: string; base: readonly BaseLine[] },
): string {
  const body = lines.map((line) => {
    const { cost, rows, what } = line;
    const rival = lines.find((one) => one.rows === rows && one.what === 'rival');
    const base = facts.base.find((one) => one.rows === rows && one.what === what);
    const fewer = lines.findLast((one) => one.rows < rows && one.what === what);
    const isOurs = what !== 'rival';
    const cells = [
      rows.toLocaleString('en'),
      WORDS[what],
      cost.buffers.toLocaleString('en'),
      base?.buffers.toLocaleString('en') ?? '',
      isOurs && base !== undefined ? (cost.buffers / base.buffers).toFixed(2) : '',
      isOurs && fewer !== undefined ? (cost.buffers / fewer.cost.buffers).toFixed(2) : '',
      isOurs && rival !== undefined ? shareOf(cost.buffers, rival.cost.buffers) : '',
      cost.rowsRead.toLocaleString('en'),
      cost.ms.toFixed(1),
      isOurs ? cost.measuredRows.toLocaleString('en') : '',
      isOurs ? ((cost.toastBuffers * 8_192) / 2 ** 20).toFixed(1) : '',
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return `## Airflow ${release}

PostgreSQL ${facts.version}, Node ${process.versions.node}, prometheus-sql-exporter ${facts.rival}, ${cpus().length} cores (${cpus()[0]?.model ?? ''}), load ${loadavg()[0]?.toFixed(1) ?? '?'} at the end. Other
work beside it lengthens the milliseconds.

| rows | what | buffers | buffers of the base | ratio to it | ratio to fewer rows | of the other's | rows read | ms | rows unpacked | MB unpacked |
|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
${body.join('\n')}

${growthOf(lines)}
`;
}

/** Says of each kind of cycle that misses the bar of growth how far it does. */
function growthOf(lines: readonly Line[]): string {
  const grown = lines
    .filter(({ rows, what }) => rows === 50_000_000 && what !== 'rival')
    .flatMap(({ what, cost }) => {
      const fewer = lines.find((one) => one.rows === 10_000_000 && one.what === what);
      return fewer === undefined ? [] : [{ what, ratio: cost.buffers / fewer.cost.buffers }];
    });
  const bar = `Bar: from 10 to 50 million rows, buffers grow to less than ${GROWTH_BAR} times:`;
  if (grown.length === 0) return `${bar} not measured.`;
  const missed = grown.filter(({ ratio }) => ratio >= GROWTH_BAR);
  if (missed.length === 0) return `${bar} met.`;
  return `${bar} **missed** by ${missed.map(({ what, ratio }) => `"${WORDS[what]}" (${ratio.toFixed(2)})`).join(', ')}.`;
}

function shareOf(ours: number, others: number): string {
  if (ours > others) return `${(ours / others).toFixed(1)} times`;
  const parts = others / ours;
  return `1/${parts.toFixed(parts < 10 ? 1 : 0)}`;
}
