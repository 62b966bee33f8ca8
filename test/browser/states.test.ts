import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openWriter } from '../../src/postgres/writer.ts';
import { startHttpFaultProxy } from '../support/http-fault-proxy.ts';
import type { HttpFault } from '../support/http-fault-proxy.ts';
import { PROBLEM_CODES, PROBLEMS } from '../../src/diagnosis/problem-catalogue.ts';
import type { ProblemCode } from '../../src/diagnosis/problem-catalogue.ts';
import { readSchema, RECORDED_BUCKETS, replay } from '../support/airflow-fixture.ts';
import { eventually, startDaemon } from '../support/daemon.ts';
import { createDatabase } from '../support/database.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import { graveFaults, openPage, overflow, SCREENSHOTS, useChromium } from './chromium.ts';
import type { Look } from './chromium.ts';

const postgres = useOwnPostgres();
const s3 = useS3(...RECORDED_BUCKETS);
const chromium = useChromium();

type Env = Record<string, string>;
interface Planted {
  readonly env: Env;
  readonly close: () => Promise<void>;
}

/** A recorded run of a real Airflow, behind a fault or with another setting. */
function recorded(
  release: string,
  scenario: string,
  changes: { readonly env?: Env; readonly fault?: HttpFault } = {},
): () => Promise<Planted> {
  return async () => {
    const proxy = await startHttpFaultProxy({ upstream: s3() });
    proxy.setFault(changes.fault ?? null);
    const fixture = await replay({ postgres: postgres(), s3: s3() }, { release, scenario });
    const env = Object.fromEntries(
      Object.entries(fixture.env).map(([name, value]) => [
        name,
        name.startsWith('AIRFLOW_CONN_')
          ? value.replace(/endpoint_url=[^&]*/, `endpoint_url=${encodeURIComponent(proxy.url)}`)
          : value,
      ]),
    );
    return {
      env: { ...env, ...changes.env },
      close: async () => {
        await fixture.close();
        await proxy.stop();
      },
    };
  };
}

/** A database with a schema and no rows. */
function tables(schema: string, change = ''): () => Promise<Planted> {
  return async () => {
    const url = await createDatabase(postgres());
    const writer = await openWriter({ url, connections: 1 });
    if (schema !== '') await writer.query(readSchema(schema));
    if (change !== '') await writer.query(change);
    await writer.close();
    return { env: { XCOM_EXPORTER_DATABASE_URL: url }, close: () => Promise.resolve() };
  };
}

const STATES: readonly (readonly [string, readonly ProblemCode[], () => Promise<Planted>])[] = [
  ['healthy', [], recorded('3.3.2', 'healthy')],
  ['healthy-airflow-2', [], recorded('2.11.2', 'healthy')],
  ['schema_unsupported', ['schema_unsupported'], tables('')],
  [
    'airflow_too_old',
    ['airflow_too_old'],
    tables('2.9.3', 'ALTER TABLE public.task_instance DROP COLUMN rendered_map_index CASCADE'),
  ],
  ['threshold_disabled', ['threshold_disabled'], recorded('3.3.2', 'threshold-disabled')],
  ['backend_inactive', ['backend_inactive'], recorded('3.3.2', 'backend-inactive')],
  ['worker_bypass', ['worker_bypass'], recorded('3.3.2', 'worker-bypass')],
  [
    'compression_unsupported',
    ['compression_unsupported'],
    recorded('3.3.2', 'healthy', { env: { XCOM_EXPORTER_XCOM_COMPRESSION: 'snappy' } }),
  ],
  [
    'write_denied',
    ['write_denied'],
    recorded('3.3.2', 'healthy', { fault: { match: ({ kind }) => kind === 'put', answer: 'deny' } }),
  ],
  [
    'bucket_unreachable',
    ['bucket_unreachable', 'exporter_behind'],
    recorded('3.3.2', 'healthy', { fault: { answer: 'no_such_bucket' } }),
  ],
  ['objects_missing', ['objects_missing', 'path_leaked'], recorded('3.3.2', 'objects-missing')],
  ['objects_empty', ['objects_empty'], recorded('2.10.5', 'objects-empty')],
  ['path_mismatch', ['path_mismatch'], recorded('3.4.0b2', 'path-changed')],
  ['path_leaked', ['path_mismatch', 'path_leaked'], recorded('3.1.8', 'path-changed-rerun')],
  ['local_path', ['local_path'], recorded('3.3.2', 'local-path')],
  ['skip_decision_offloaded', ['skip_decision_offloaded'], recorded('3.1.8', 'skipmixin')],
];

const LOOKS: readonly (readonly [string, Look])[] = [
  ['light', {}],
  ['dark', { scheme: 'dark' }],
  ['phone', { width: 360 }],
  ['phone-dark', { width: 360, scheme: 'dark' }],
];

test('every critical problem has its state here', () => {
  const critical = PROBLEM_CODES.filter((code) => PROBLEMS[code].severity === 'critical');
  expect(STATES.flatMap(([, codes]) => codes)).toEqual(expect.arrayContaining(critical));
});

describe.each(STATES)('%s', (name, codes, plant) => {
  test('is told at first sight, to everybody, and the page does nothing besides', async () => {
    const planted = await plant();
    const daemon = await startDaemon({
      XCOM_EXPORTER_AIRFLOW_BASE_URL: 'https://airflow.example.com',
      ...planted.env,
      // Figures go stale after three intervals: a busy machine must not be taken for a fault.
      XCOM_EXPORTER_SAMPLE_SCHEDULE: '*/5 * * * * *',
      XCOM_EXPORTER_PROBE_SCHEDULE: '*/5 * * * * *',
      XCOM_EXPORTER_WEB_LISTEN_ADDRESS: '127.0.0.1:0',
    });
    try {
      const said = () => daemon.status().report?.problems.map(({ code }) => code) ?? null;
      await eventually(() => {
        expect(new Set(said())).toEqual(new Set(codes));
        // The first probe is in it too.
        expect(daemon.status().jobs.every(({ runs }) => runs > 1)).toBe(true);
      }, 40);
      mkdirSync(SCREENSHOTS, { recursive: true });
      for (const [look, options] of LOOKS) {
        const opened = await openPage(chromium(), `${daemon.url}/?refresh=off`, options);
        const { page, seen } = opened;
        await page.screenshot({ path: join(SCREENSHOTS, `${name}-${look}.png`), fullPage: true });
        const expected = codes.length === 0 ? 'Healthy' : `${codes.length} problem`;
        expect(await page.locator('h1').innerText()).toContain(expected);
        // Without scrolling: what is wrong, and since when.
        const banner = page.locator('header');
        for (const code of codes) {
          const line = banner.getByRole('listitem').filter({ hasText: PROBLEMS[code].title });
          expect(await line.innerText()).toMatch(/first seen .*(?:now|ago)$/);
          expect((await line.boundingBox())?.y).toBeLessThan(800);
          const article = page.locator(`#${code}`);
          expect(await article.getByRole('term').allInnerTexts()).toEqual(
            expect.arrayContaining(['Since', 'What to do']) as string[],
          );
          const runbook = article.getByRole('link', { name: `Runbook: ${code}` });
          expect(await runbook.getAttribute('href')).toBe(`/docs/runbook.md#${code}`);
        }
        expect.soft(await graveFaults(page), look).toEqual([]);
        expect.soft(await overflow(page), look).toBe(0);
        expect.soft(seen, look).toEqual({ requests: [], console: [], dialogs: [] });
        await opened.close();
      }
    } finally {
      await daemon.close();
      await planted.close();
    }
  });
});
