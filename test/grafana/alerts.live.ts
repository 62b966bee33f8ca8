import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { format } from 'oxfmt';
import { rulesOf } from '../support/grafana.ts';
import type { Expectation, Played } from './act.ts';
import { nowSeconds } from './act.ts';
import { DEMO_EXPECTATIONS, playDemo } from './demo-play.ts';
import { everyExpression, madeFor } from './expressions.ts';
import { startPrometheus } from './prometheus.ts';
import type { Prometheus } from './prometheus.ts';
import { alertsOf, detectionTable, expressionTable, gaveData } from './results.ts';
import type { Executed, RuleTimes } from './results.ts';
import { scaledRules } from './scaled.ts';
import { startStage } from './stage.ts';
import { leaveOrphans, playTroubles, TROUBLES } from './troubles.ts';

/** Alerts that a machine with too much to do raises, down to scrapes that take a second: no rule is at fault then. */
const SLOWNESS = [
  'AirflowXComProbeSlow',
  'AirflowXComExporterOverrun',
  'AirflowXComExporterStale',
  'AirflowXComExporterDown',
  'AirflowXComBudgetBurnsFast',
  'AirflowXComBudgetBurnsSlowly',
];

/** An hour of the rules is a minute here. */
const FACTOR = 60;
const ACT_SECONDS = 60;
const FILES = ['objectives.yml', 'recording.yml', 'alerts.yml'];

const root = new URL('../../', import.meta.url);

test('the demo and worse, under the eyes of Prometheus', async () => {
  const main = execFileSync('sh', [fileURLToPath(new URL('test/faults/build.sh', root))], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
  const prometheus = await startPrometheus(
    Object.fromEntries(FILES.map((name) => [name, scaledRules(read(`grafana/${name}`), FACTOR)])),
  );
  const begun = nowSeconds();
  const loads: number[] = [];
  const watch = setInterval(() => loads.push(loadavg()[0] ?? 0), 10_000);
  const stage = await startStage({ main, prometheus });
  try {
    const orphansAt = await leaveOrphans(stage);
    const demo = await playDemo({ main, actSeconds: ACT_SECONDS, prometheus });
    expect(demo.length).toBe(DEMO_EXPECTATIONS.length);
    const troubles = await playTroubles(stage, orphansAt);
    const ended = nowSeconds();

    const acts = [...withExpectations(demo, DEMO_EXPECTATIONS), ...withExpectations(troubles, TROUBLES)];
    const broken = await prometheus.brokenRules();
    const span = { from: begun, to: ended };
    const seen = alertsOf(acts, {
      firing: await prometheus.range('ALERTS{alertstate="firing"}', span),
      pending: await prometheus.range('ALERTS{alertstate="pending"}', span),
      ended,
    });
    const expressions = await runExpressions(prometheus, acts);

    // The machine has more to do than twice its processors can do: then slowness is real.
    const [load = 0] = loads.sort((a, b) => b - a);
    const busy = load > 2 * cpus().length;
    const unexpected = seen.filter(({ act, alert, expected, began }) => {
      const allowed = acts.find((one) => one.act === act)?.mayFire ?? {};
      return !expected && began !== null && !(alert in allowed);
    });
    const ofLoad = busy ? unexpected.filter(({ alert }) => SLOWNESS.includes(alert)) : [];

    const wrong = [
      ...broken.map((rule) => `cannot be evaluated: ${rule}`),
      ...acts.flatMap(({ act, fires }) =>
        fires
          .filter((alert) => !seen.some((one) => one.act === act && one.alert === alert))
          .map((alert) => `${alert} did not fire in: ${act}`),
      ),
      ...unexpected
        .filter((one) => !ofLoad.includes(one))
        .map(
          ({ act, alert, began }) =>
            `${alert} fired after ${(began?.firedAfter ?? 0).toFixed(0)} s in: ${act}`,
        ),
      ...seen
        .filter(({ expected, resolvedAfterCure }) => expected && resolvedAfterCure === null)
        .map(({ act, alert }) => `${alert} did not resolve after: ${act}`),
      ...rulesOf('alerts.yml')
        .flatMap((rule) => ('alert' in rule ? [rule.alert] : []))
        .filter((alert) => !acts.some(({ fires }) => fires.includes(alert)))
        .map((alert) => `no act is made for ${alert}`),
      ...expressions
        .filter((one) => !gaveData(one))
        .map(
          ({ where, acts: gave, expected }) =>
            `${where}: no data in ${String(expected)}; data in: ${gave.join('; ') || 'no act'}`,
        ),
    ];

    const rules = new Map<string, RuleTimes>(
      rulesOf('alerts.yml').flatMap((rule) =>
        'alert' in rule
          ? [[rule.alert, { for: rule.for, severity: rule.labels['severity'] ?? '' }] as const]
          : [],
      ),
    );
    const text = `# What the alerts did

Written by \`npm run test:grafana\`: Prometheus ${prometheus.version} scraped the demo once through, then an exporter with troubles that the
demo does not play. It scraped and evaluated every second, and the times of the rules were divided by ${FACTOR} (test/grafana/scaled.ts), so
an hour was a minute. The exporter sampled and probed every two seconds.

"Condition holds after" is how long the exporter and Prometheus took from the trouble to the first pending alert: it does not scale with the
rules. With the rules as they are, and the default schedules, an alert comes after that time, plus \`for\`, plus up to 30 seconds for the next
sample (60 for the next probe), up to one scrape and one evaluation. Where the condition needs a range to fill (burn rates, quantiles,
missing for an hour), the range counts ${FACTOR} times as well.

${detectionTable(seen, rules)}
## What the expressions gave

Every expression of every panel, annotation, rule and Grafana-managed alert was executed over every act. Most have to give data in the first act,
in which all is well; one that shows what is wrong, in the act that makes it so.

${expressionTable(expressions)}
## Verdict

${wrong.length === 0 ? 'Each expression gave data in the act it is made for, each alert fired in its acts and resolved, and none fired in an act that does not explain it: before the first trouble none at all.' : 'What went wrong:'}

${wrong.map((line) => `- ${line}`).join('\n')}

The highest load of the machine meanwhile was ${load.toFixed(0)} on ${cpus().length} processors. ${
      ofLoad.length === 0
        ? ''
        : `It made these true as well, which speak of slowness: ${ofLoad.map(({ alert, act }) => `${alert} (${act})`).join(', ')}.`
    }
`;
    mkdirSync(new URL('test/grafana/', root), { recursive: true });
    writeFileSync(
      new URL('test/grafana/RESULTS.md', root),
      (await format('RESULTS.md', text, { printWidth: 150 })).code,
    );
    console.log(text);
    expect(wrong).toEqual([]);
  } finally {
    clearInterval(watch);
    await stage.stop();
    await prometheus.stop();
    rmSync(dirname(dirname(main)), { recursive: true });
  }
});

function withExpectations(
  played: readonly Played[],
  expectations: readonly Expectation[],
): (Played & Expectation)[] {
  return played.map((act, index) => ({ ...act, ...(expectations[index] ?? { fires: [] }) }));
}

async function runExpressions(
  prometheus: Prometheus,
  acts: readonly (Played & Expectation)[],
): Promise<Executed[]> {
  const out: Executed[] = [];
  for (const { where, expr } of everyExpression({ factor: FACTOR, rangeSeconds: ACT_SECONDS })) {
    const gave: string[] = [];
    for (const { act, from, to } of acts) {
      // Data from before the act do not count.
      const series = await prometheus.range(expr, { from, to, step: 2 });
      if (series.some(({ values }) => values.some(([, value]) => !Number.isNaN(value)))) gave.push(act);
    }
    const alert = /: (AirflowXCom\w+)$/.exec(where)?.[1];
    const act = acts.find(({ fires }) => alert !== undefined && fires.includes(alert))?.act;
    out.push({ where, acts: gave, expected: act === undefined ? madeFor(where) : exactly(act) });
  }
  return out;
}

function exactly(text: string): RegExp {
  return new RegExp(`^${text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)}$`);
}

function read(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}
