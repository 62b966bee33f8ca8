import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { nowSeconds } from './act.ts';
import type { Expectation, Played } from './act.ts';
import type { Prometheus } from './prometheus.ts';

const CANARY_DIFFERS = 'the canary says it of each queue; it is to last an hour';

/** The expected alerts of each act, in the order of the demo. */
export const DEMO_EXPECTATIONS: readonly Expectation[] = [
  { fires: [] },
  {
    fires: ['AirflowXComBackendInactive', 'AirflowXComBudgetBurnsFast', 'AirflowXComBudgetBurnsSlowly'],
    mayFire: { AirflowXComWarning: CANARY_DIFFERS },
  },
  {
    fires: ['AirflowXComWorkerBypass', 'AirflowXComBudgetBurnsFast'],
    mayFire: {
      AirflowXComSilentFallback: 'until the first rows cluster on a queue, they are explained by nothing',
      AirflowXComBudgetBurnsSlowly: 'three days and six hours of the act before',
      AirflowXComWarning: CANARY_DIFFERS,
    },
  },
  {
    fires: [],
    mayFire: {
      AirflowXComWarning: CANARY_DIFFERS,
      AirflowXComBudgetBurnsFast: 'six hours of the act before',
      AirflowXComBudgetBurnsSlowly: 'three days and six hours of the acts before',
    },
  },
  {
    fires: ['AirflowXComObjectsMissing', 'AirflowXComBudgetBurnsFast'],
    mayFire: {
      AirflowXComPathMismatch: 'a task that is handed a path pushes it on: path_leaked',
      AirflowXComWriteFailures:
        'objects that are deleted before the exporter looked first count as never written',
      AirflowXComBudgetBurnsSlowly: 'three days and six hours of the acts before',
    },
  },
  {
    fires: ['AirflowXComWriteDenied', 'AirflowXComProbeFailing', 'AirflowXComBudgetBurnsFast'],
    mayFire: {
      AirflowXComBudgetBurnsSlowly: 'three days and six hours of the acts before',
      AirflowXComWriteFailures: 'thirty minutes of the act before',
      AirflowXComCriticalProblem: 'the push of the canary is refused as well',
    },
  },
];

export interface DemoOptions {
  readonly main: string;
  readonly actSeconds: number;
  readonly prometheus: Prometheus;
}

/** Plays the demo through once while Prometheus scrapes it. Gives its acts, read from its status page. */
export async function playDemo({ main, actSeconds, prometheus }: DemoOptions): Promise<Played[]> {
  const everyTwoSeconds = '*/2 * * * * *';
  const argv = ['demo', '--once', '--act-seconds', String(actSeconds), '--web.listen-address', '127.0.0.1:0'];
  argv.push('--sample.schedule', everyTwoSeconds, '--probe.schedule', everyTwoSeconds);
  const child = spawn(process.execPath, [main, ...argv], { env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  try {
    let url: string | undefined;
    while (url === undefined) {
      url = /"url":"(http:[^"]+)"/.exec(output)?.[1];
      if (child.exitCode !== null) throw new Error(`The demo ended: ${output}`);
      await delay(100);
    }
    await prometheus.target([new URL(url).host]);
    const seen: { act: string; at: number }[] = [];
    while (child.exitCode === null) {
      const act = await actOf(url);
      if (act !== null && seen.at(-1)?.act !== act) seen.push({ act, at: nowSeconds() });
      await delay(200);
    }
    const end = nowSeconds();
    const started = seen.filter(({ act }) => !act.includes(', cured:'));
    return started.map(({ act, at }, index) => {
      const to = started[index + 1]?.at ?? end;
      const cured = seen.find((one) => one.act.includes(', cured:') && one.at > at && one.at < to);
      return { act: act.replace(/^Act \d+ of \d+: /, ''), from: at, cured: cured?.at ?? to, to };
    });
  } finally {
    child.kill('SIGTERM');
    await prometheus.target([]);
  }
}

async function actOf(url: string): Promise<string | null> {
  try {
    const status = (await (await fetch(`${url}api/v1/status`)).json()) as { demo_act: string | null };
    return status.demo_act;
  } catch {
    return null;
  }
}
