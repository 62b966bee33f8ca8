import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PROBLEM_CODES, PROBLEMS } from '../../src/diagnosis/problem-catalogue.ts';
import { RECORDED_BUCKETS } from '../support/airflow-fixture.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import { graveFaults, openPage, overflow, SCREENSHOTS, useChromium } from './chromium.ts';
import type { Look } from './chromium.ts';
import { inState, STATES } from './states.ts';

const postgres = useOwnPostgres();
const s3 = useS3(...RECORDED_BUCKETS);
const chromium = useChromium();

const LOOKS: readonly (readonly [string, Look])[] = [
  ['light', { width: 1280 }],
  ['dark', { width: 1280, scheme: 'dark' }],
  ['phone', { width: 375 }],
  ['phone-dark', { width: 375, scheme: 'dark' }],
];

test('every critical problem has its state here', () => {
  const critical = PROBLEM_CODES.filter((code) => PROBLEMS[code].severity === 'critical');
  expect(STATES.flatMap(([, codes]) => codes)).toEqual(expect.arrayContaining(critical));
});

describe.each(STATES)('%s', (...state) => {
  const [name, codes] = state;
  test('is told at first sight, to everybody, and the page does nothing besides', async () => {
    await inState(state, { postgres: postgres(), s3: s3() }, async (daemon) => {
      mkdirSync(SCREENSHOTS, { recursive: true });
      for (const [look, options] of LOOKS) {
        const opened = await openPage(chromium(), `${daemon.url}/?refresh=off`, options);
        const { page, seen } = opened;
        await page.screenshot({ path: join(SCREENSHOTS, `${name}-${look}.png`), fullPage: true });
        expect(await page.locator('h1').innerText()).toContain(headingOf(name, codes.length));
        // The problem and its first sighting are visible without scrolling.
        const banner = page.locator('header');
        for (const code of codes) {
          const line = banner.getByRole('listitem').filter({ hasText: PROBLEMS[code].title });
          expect(await line.innerText()).toMatch(/first seen .*(?:now|ago)$/);
          expect((await line.boundingBox())?.y).toBeLessThan(800);
          const article = page.locator(`#${code}`);
          expect(await article.getByRole('term').allInnerTexts()).toEqual(
            expect.arrayContaining(['First seen by the exporter', 'What to do']) as string[],
          );
          const runbook = article.getByRole('link', { name: `Runbook: ${code}` });
          expect(await runbook.getAttribute('href')).toBe(`/docs/runbook.md#${code}`);
          // The rows of one problem do not stand between it and the next problem.
          const findings = page.locator('.findings');
          const top =
            (await findings.count()) === 0
              ? Infinity
              : ((await findings.first().boundingBox())?.y ?? Infinity);
          expect((await article.boundingBox())?.y).toBeLessThan(top);
        }
        expect.soft(await graveFaults(page), look).toEqual([]);
        expect.soft(await overflow(page), look).toBe(0);
        expect.soft(seen, look).toEqual({ requests: [], console: [], dialogs: [] });
        await opened.close();
      }
    });
  });
});

function headingOf(name: string, problems: number): string {
  if (problems > 0) return `${problems} problem`;
  return name === 'unknown' ? 'Unknown' : 'Healthy';
}
