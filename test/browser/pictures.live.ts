import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';
import { PROBLEMS } from '../../src/diagnosis/problem-catalogue.ts';
import { RECORDED_BUCKETS } from '../support/airflow-fixture.ts';
import { withFewColours } from '../support/few-colours.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import { openPage, useChromium } from './chromium.ts';
import { inState, STATES } from './states.ts';

const postgres = useOwnPostgres();
const s3 = useS3(...RECORDED_BUCKETS);
const chromium = useChromium();

const folder = fileURLToPath(new URL('../../docs/images/page/', import.meta.url));
/** The first screen of a desktop and of a phone, in CSS pixels. */
const SCREENS = [
  ['', { width: 1280, height: 800 }],
  ['-phone', { width: 375, height: 812 }],
] as const;

/** The documents show no warnings. */
const severities: Readonly<Record<string, { readonly severity: string } | undefined>> = PROBLEMS;
const shown = STATES.filter(([name]) => (severities[name]?.severity ?? 'critical') === 'critical');

test.each(shown)('%s', async (...state) => {
  mkdirSync(folder, { recursive: true });
  await inState(state, { postgres: postgres(), s3: s3() }, async (daemon) => {
    for (const [suffix, { width, height }] of SCREENS) {
      const opened = await openPage(chromium(), `${daemon.url}/?refresh=off`, { width });
      const path = `${folder}${state[0]}${suffix}.png`;
      await opened.page.screenshot({ path, clip: { x: 0, y: 0, width, height }, fullPage: true });
      withFewColours(path);
      await opened.close();
    }
  });
});
