import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { playDemo } from './demo-play.ts';
import { drawDashboards } from './picture.ts';
import { startPrometheus } from './prometheus.ts';
import { scaledRules } from './scaled.ts';

/** An hour of the rules is a minute here, as in alerts.live.ts. */
const FACTOR = 60;
const ACT_SECONDS = 40;

const root = new URL('../../', import.meta.url);

test('the dashboards are drawn with the data of the demo', async () => {
  const main = execFileSync('sh', [fileURLToPath(new URL('test/faults/build.sh', root))], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
  const rules = ['objectives.yml', 'recording.yml', 'alerts.yml'].map((name) => [
    name,
    scaledRules(readFileSync(new URL(`grafana/${name}`, root), 'utf8'), FACTOR),
  ]);
  const prometheus = await startPrometheus(Object.fromEntries(rules) as Record<string, string>);
  try {
    const demo = await playDemo({ main, actSeconds: ACT_SECONDS, prometheus });
    // The pictures need something to show: objects are missing here, and other failures are on record.
    const gone = demo.find(({ act }) => act.includes('deletes objects'));
    expect(gone).toBeDefined();
    const to = (gone?.cured ?? 0) - 3;
    await drawDashboards(prometheus, { from: demo[0]?.from ?? to, to, factor: FACTOR });
  } finally {
    await prometheus.stop();
    rmSync(dirname(dirname(main)), { recursive: true });
  }
});
