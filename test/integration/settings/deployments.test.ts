import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { checkCommand } from '../../../src/commands/check.ts';
import { configCommand } from '../../../src/commands/config.ts';
import { loadConfig } from '../../../src/commands/command.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { ConfigError } from '../../../src/settings/config.ts';
import type { CheckDocument } from '../../../src/status/check-document.ts';
import type { PreflightDocument } from '../../../src/status/preflight-document.ts';
import type { CommandIo } from '../../../src/commands/command.ts';
import { callCommand } from '../../support/call-command.ts';
import type { Deployment } from '../../support/deployment.ts';
import { layDeployment, listDeployments, readDeployment } from '../../support/deployment.ts';
import { dumps, uuid4 } from '../../support/plant.ts';
import { usePostgres } from '../../support/postgres.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';

const BUCKET = 'airflow-xcom';
/** Secrets in the texts of the deployments: nothing that the exporter says may contain them. */
const SECRETS = ['embedded-secret', 'air?flow', 'p@ss', 'p%%40ss', 'not-a-secret', 'cm90YXRlZC1'];
const names = listDeployments();
const postgres = usePostgres();
const s3 = useS3(BUCKET);

let at = '';
let stage: Stage | null = null;
beforeAll(async () => {
  stage = await openStage(postgres(), '3.3.2');
  for (const [role, password] of [
    ['airflow', 'airflow'],
    ['airflow_user', 'air?flow'],
    ['bn_airflow', 'p@ss'],
  ]) {
    await stage.writer.query(
      `DO $$ BEGIN CREATE ROLE ${role} LOGIN PASSWORD '${password}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    );
    await stage.writer.query(`GRANT pg_read_all_data TO ${role}`);
  }
});
afterAll(async () => {
  await stage?.close();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await stage?.clear();
  if (at !== '') rmSync(at, { recursive: true });
  at = '';
});

/** The environment and files of a deployment, with this machine's servers at the addresses of its own. */
function lay(deployment: Deployment): Record<string, string> {
  at = mkdtempSync(join(tmpdir(), 'deployment-'));
  const database = new URL(stage?.url ?? '');
  const place = `${database.host}${database.pathname}`;
  const places = new Map([
    ['minio.storage:9000', `127.0.0.1:${s3().port}`],
    ['minio.storage%3A9000', `127.0.0.1%3A${s3().port}`],
    // The owner `postgres` has another password on this server, so that the user `airflow` takes its place.
    ['postgres:postgres@', 'airflow:airflow@'],
    ...(deployment.expected.database_at === undefined
      ? []
      : ([[deployment.expected.database_at, `@${place}`]] as const)),
  ]);
  const env = layDeployment(deployment, { at, places });
  if ('PGHOST' in env)
    Object.assign(env, {
      PGHOST: database.hostname,
      PGPORT: database.port,
      PGDATABASE: database.pathname.slice(1),
    });
  return env;
}

/** Writes one value to the database and one to the bucket, as a worker of this deployment does. */
async function push(path: string): Promise<void> {
  if (stage === null) throw new Error('no stage');
  const run = await stage.addRun({ dagId: 'etl', runId: 'manual__1', state: 'success' });
  await stage.push({ run, taskId: 'small', stored: dumps(1) });
  const [, prefix = ''] = /^s3:\/\/[^/]+\/?(.*)$/.exec(path) ?? [];
  const key = `etl/manual__1/large/${uuid4()}`;
  const store = openObjectStore(connectionTo(s3().endpoint, s3()), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
  const body = new TextEncoder().encode(dumps('x'.repeat(1_100_000)));
  await store.put({ bucket: BUCKET, key: `${prefix}/${key}`, body }, new AbortController().signal);
  store.close();
  await stage.push({ run, taskId: 'large', stored: dumps(`${path}/${key}`) });
}

/** All that a command prints on standard output and standard error; for a refused command, the reasons. */
async function said(
  command: (io: CommandIo) => Promise<number>,
  asked: Partial<CommandIo> & Pick<CommandIo, 'env'>,
) {
  try {
    return { ...(await callCommand(command, asked)), refused: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { code: 2, stdout: '', stderr: '', refused: error.problems };
  }
}

test('there is a deployment of each kind', () => {
  expect(names.length).toBeGreaterThanOrEqual(16);
});

describe.each(names)('%s', (name) => {
  const deployment = readDeployment(name);
  const { expected } = deployment;

  test('is found by config, each setting where the deployment has it', async () => {
    at = mkdtempSync(join(tmpdir(), 'deployment-'));
    const env = layDeployment(deployment, { at, places: new Map() });
    const here = (text: string) => text.replaceAll(at, '');
    const { code, stdout, stderr, refused } = await said(configCommand, { env });
    const config = loadConfig({ argv: [], env });
    const found = Object.fromEntries(
      config.origins
        .filter(
          ({ origin, name: one }) =>
            ['airflow', 'unknown'].includes(origin) || /^(?:s3|database)\b(?!\.req)/.test(one),
        )
        .map(({ name: one, shown, from }) => [one, [here(shown), here(from)]]),
    );
    expect(found).toEqual(expected.found);
    expect(config.warnings.map(here)).toEqual(expected.warnings);
    expect(refused.map(here)).toEqual(expected.refused);
    expect(code).toBe(refused.length > 0 ? 2 : 0);
    for (const [, [shown]] of Object.entries(expected.found).filter(() => code === 0))
      expect(here(stdout)).toContain(shown);
    for (const secret of SECRETS)
      expect(stdout + stderr + refused.join() + JSON.stringify(config)).not.toContain(secret);
  });

  test('is judged by check as the healthy deployment that it is, or for what is missing', async () => {
    const env = lay(deployment);
    for (const [variable, value] of Object.entries(env))
      if (variable.startsWith('AWS_')) vi.stubEnv(variable, value);
    await push(expected.writes);
    const { code, stdout, refused } = await said(checkCommand, { argv: ['--json'], env });
    expect(code).toBe(expected.check.code);
    if (code === 2 && refused.length > 0) {
      expect(refused).toEqual(expected.refused);
    } else {
      const { verdict, problems } = JSON.parse(stdout) as CheckDocument;
      expect({
        code,
        title: verdict.title,
        problems: problems.map((one) => one.code),
        notes: verdict.notes,
      }).toEqual(expected.check);
    }
    const tried = await said(checkCommand, { argv: ['--json', '--probe-only'], env });
    const { verdict, checks } = JSON.parse(tried.stdout) as PreflightDocument;
    expect({
      code: tried.code,
      title: verdict.title,
      wrong: checks.flatMap(({ check, ok, fix }) => (ok === false ? [`${check}: ${fix ?? ''}`] : [])),
    }).toEqual(expected.probe_only);
    for (const secret of SECRETS)
      expect(stdout + refused.join() + tried.stdout + tried.stderr).not.toContain(secret);
  });
});
