import type { Expectation, Played } from './act.ts';
import type { Series } from './prometheus.ts';

/** When an alert fired in an act, in seconds from the act's beginning, and how long after the cure it ended. */
export interface Seen {
  readonly act: string;
  readonly alert: string;
  readonly expected: boolean;
  /** Null: the alert fired already when the act began. */
  readonly began: { readonly pendingAfter: number; readonly firedAfter: number } | null;
  /** Null: the alert still fired when the play was over. */
  readonly resolvedAfterCure: number | null;
}

interface Segment {
  readonly from: number;
  readonly to: number;
}

/** Reads from the series ALERTS which alerts fired in which act. `ended`: epoch seconds. */
export function alertsOf(
  acts: readonly (Played & Expectation)[],
  { firing, pending, ended }: { firing: readonly Series[]; pending: readonly Series[]; ended: number },
): Seen[] {
  const waits = segments(pending);
  return acts.flatMap((act) =>
    [...segments(firing)].flatMap(([alert, all]): Seen[] => {
      const inAct = all.filter(({ from, to }) => from < act.to && to >= act.from);
      const first = inAct.find(({ from }) => from >= act.from);
      const atCure = inAct.find(({ from, to }) => from <= act.cured && to >= act.cured) ?? inAct.at(-1);
      if (atCure === undefined) return [];
      const waited = waits.get(alert)?.findLast(({ from }) => first !== undefined && from <= first.from);
      return [
        {
          act: act.act,
          alert,
          expected: act.fires.includes(alert),
          began:
            first === undefined
              ? null
              : {
                  pendingAfter: Math.max(0, Math.min(waited?.from ?? first.from, first.from) - act.from),
                  firedAfter: first.from - act.from,
                },
          resolvedAfterCure: atCure.to > ended - 3 ? null : Math.max(0, atCure.to - act.cured),
        },
      ];
    }),
  );
}

/** The time spans in which each alert had a series; a gap of two seconds does not end a span. */
function segments(series: readonly Series[]): Map<string, Segment[]> {
  const times = new Map<string, number[]>();
  for (const { metric, values } of series) {
    const name = metric['alertname'] ?? '';
    times.set(name, [...(times.get(name) ?? []), ...values.map(([at]) => at)]);
  }
  return new Map(
    [...times].map(([name, list]) => {
      const out: { from: number; to: number }[] = [];
      for (const at of list.sort((a, b) => a - b)) {
        const last = out.at(-1);
        if (last === undefined || at - last.to > 2.5) out.push({ from: at, to: at });
        else last.to = at;
      }
      return [name, out];
    }),
  );
}

export interface RuleTimes {
  readonly for: string;
  readonly severity: string;
}

/** The table of RESULTS.md. Its seconds are those of the scaled play; `for` is given as in the rules themselves. */
export function detectionTable(seen: readonly Seen[], rules: ReadonlyMap<string, RuleTimes>): string {
  const rows = seen
    .filter(({ expected }) => expected)
    .map(({ act, alert, began, resolvedAfterCure }) => {
      const rule = rules.get(alert);
      const times =
        began === null
          ? ['since an act before', rule?.for ?? '', 'since an act before']
          : [`${began.pendingAfter.toFixed(0)} s`, rule?.for ?? '', `${began.firedAfter.toFixed(0)} s`];
      const resolved = resolvedAfterCure === null ? 'not at all' : `${resolvedAfterCure.toFixed(0)} s`;
      return `| ${[alert, rule?.severity ?? '', act, ...times, resolved].join(' | ')} |`;
    });
  return `| alert | severity | act | condition holds after | \`for\` | fires after (scaled) | resolves after the cure (scaled) |
|---|---|---|---|---|---|---|
${rows.join('\n')}
`;
}

export interface Executed {
  /** The file and the place, e.g. `overview.json: Rows (A)`. */
  readonly where: string;
  /** The acts in which the expression gave data. */
  readonly acts: readonly string[];
  /** The act in which the expression must give data. */
  readonly expected: RegExp;
}

export function gaveData({ acts, expected }: Executed): boolean {
  return acts.some((act) => expected.test(act));
}

/** How many expressions of each file were executed, and how many gave data in the act they are made for. */
export function expressionTable(executed: readonly Executed[]): string {
  const files = [...new Set(executed.map(({ where }) => fileOf(where)))];
  const rows = [...files, 'all'].map((file) => {
    const own = executed.filter(({ where }) => file === 'all' || fileOf(where) === file);
    return `| ${file} | ${own.length} | ${own.filter(gaveData).length} |`;
  });
  return `| file | expressions | gave data in the act they are made for |
|---|---|---|
${rows.join('\n')}
`;
}

function fileOf(where: string): string {
  return where.slice(0, where.indexOf(': '));
}
