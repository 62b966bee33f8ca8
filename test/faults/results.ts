import { writeFileSync } from 'node:fs';
import type { Holdings } from './daemon-process.ts';
import type { Slowest } from './watch.ts';

export type Result =
  | { readonly name: string; readonly notRun: string }
  | {
      readonly name: string;
      readonly seen: string | null;
      /** Seconds; null when it did not happen within the time allowed. */
      readonly toShow: number | null;
      readonly toRecover: number | null;
      readonly lost: number;
      readonly doubled: number;
      readonly slowest: Slowest;
      readonly holds: Holdings;
    };

export function writeResults(
  file: URL,
  { results, ...run }: { results: readonly Result[]; everySeconds: number; rows: number; storage: string },
): void {
  const rows = results.map((result) => {
    if ('notRun' in result) return `| ${result.name} | not run: ${result.notRun} | | | | | | | |`;
    const { toShow, toRecover, slowest, holds } = result;
    return `| ${[
      result.name,
      result.seen ?? '**not seen**',
      seconds(toShow),
      seconds(toRecover),
      result.lost,
      result.doubled,
      `${slowest.netMs.toFixed(0)} / ${slowest.idleNetMs.toFixed(0)} (${slowest.ms.toFixed(0)})`,
      `${holds.sockets} / ${holds.timers}`,
      (holds.heap / 2 ** 20).toFixed(0),
    ].join(' | ')} |`;
  });
  writeFileSync(
    file,
    `# What became of each fault

Written by \`npm run test:faults\`: the built daemon in a process of its own, a cycle and a probe every ${run.everySeconds} s, real
Postgres and ${run.storage}, ${run.rows} planned rows. The names of metrics begin with \`airflow_xcom_exporter_\` or \`airflow_xcom_\`.

Shown after: within two intervals, where something hangs or is slow 12 s more, for only then is it given up. Slowest
scrape: of one every 100 ms, in ms, less the time for which the machine had no core for it; after the stroke the same of a
server beside it that does nothing but answer; in brackets as measured. Sockets, timers and heap (MiB, after a collection of garbage): of the daemon after it recovered.

| fault | what was seen | shown after, s | recovered after, s | rows lost | rows doubled | slowest scrape | sockets / timers | heap |
|---|---|---|---|---|---|---|---|---|
${rows.join('\n')}
`,
  );
}

function seconds(value: number | null): string {
  return value === null ? '**never**' : value.toFixed(1);
}
