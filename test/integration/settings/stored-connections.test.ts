import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { checkCommand } from '../../../src/commands/check.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { pino } from 'pino';
import type { CheckDocument } from '../../../src/status/check-document.ts';
import { callCommand } from '../../support/call-command.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { dumps, uuid4 } from '../../support/plant.ts';
import { useOwnPostgres } from '../../support/postgres.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';
import type { Stage } from '../../support/seed.ts';
import { openStage } from '../../support/seed.ts';

const BASE = 's3://minio@airflow-xcom/xcom';
const KEY = Buffer.alloc(32, 7).toString('base64url').concat('=');
const OLD_KEY = Buffer.alloc(32, 9).toString('base64url').concat('=');
const PASSWORD = 'reader-of-the-database';
const SECRETS = ['embedded-secret', KEY, OLD_KEY, PASSWORD];
const sql = (name: string) => readFileSync(new URL(`../../../docs/sql/${name}`, import.meta.url), 'utf8');
const postgres = useOwnPostgres();
const s3 = useS3('airflow-xcom');
let stage: Stage;

/** Encrypts a text as `Fernet(key).encrypt` does. */
function encrypt(text: string, key: string): string {
  const bytes = Buffer.from(key, 'base64url');
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-128-cbc', bytes.subarray(16), iv);
  const body = Buffer.concat([
    Buffer.from([0x80, 0, 0, 0, 0, 0x65, 0, 0, 0]),
    iv,
    cipher.update(text),
    cipher.final(),
  ]);
  const signature = createHmac('sha256', bytes.subarray(0, 16)).update(body).digest();
  return Buffer.concat([body, signature]).toString('base64url');
}

async function keep(id: string, { key = KEY, secretKey = 'embedded-secret', more = {} } = {}): Promise<void> {
  const extra = JSON.stringify({ region_name: 'us-east-1', endpoint_url: s3().endpoint, ...more });
  await stage.writer.query(
    `INSERT INTO connection (id, conn_id, conn_type, login, password, is_encrypted, extra, is_extra_encrypted)
     VALUES ((SELECT coalesce(max(id), 0) + 1 FROM connection), $1, 'aws', 'embedded', $2, true, $3, true)`,
    [id, encrypt(secretKey, key), encrypt(extra, key)],
  );
}

beforeAll(async () => {
  stage = await openStage(postgres(), '3.3.2');
  await stage.writer.query(sql('role.sql'));
  await stage.writer.query(`ALTER ROLE xcom_exporter PASSWORD '${PASSWORD}'`);
  const run = await stage.addRun({ dagId: 'etl', runId: 'manual__1', state: 'success' });
  const key = `etl/manual__1/large/${uuid4()}`;
  const store = openObjectStore(connectionTo(s3().endpoint, s3()), {
    observer: recordRequests(),
    log: pino({ level: 'silent' }),
  });
  const body = new TextEncoder().encode(dumps('x'.repeat(2_000)));
  await store.put({ bucket: 'airflow-xcom', key: `xcom/${key}`, body }, new AbortController().signal);
  store.close();
  await stage.push({ run, taskId: 'large', stored: dumps(`${BASE}/${key}`) });
});
afterEach(async () => {
  await stage.writer.query('DROP VIEW IF EXISTS xcom_exporter_connection; DELETE FROM connection');
});

function makeView(ids: string): Promise<unknown> {
  return stage.writer.query(sql('connections-view.sql').replace(":'ids'", `'${ids}'`));
}

/**
 * The environment of an exporter with the database role of docs/sql and the view by its name, without a connection
 * for S3.
 */
function environment(changes: Readonly<Record<string, string>> = {}): Record<string, string> {
  const url = new URL(stage.url);
  url.username = 'xcom_exporter';
  url.password = PASSWORD;
  return {
    XCOM_EXPORTER_DATABASE_URL: url.href,
    XCOM_EXPORTER_AIRFLOW_CONNECTIONS: 'xcom_exporter_connection',
    AIRFLOW__CORE__FERNET_KEY: KEY,
    AIRFLOW__CORE__XCOM_BACKEND: 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH: BASE,
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1000',
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION: '',
    ...changes,
  };
}

async function check(env: Record<string, string>): Promise<CheckDocument> {
  const { stdout, stderr } = await callCommand(checkCommand, { argv: ['--json'], env });
  for (const secret of SECRETS) expect(stdout + stderr).not.toContain(secret);
  return JSON.parse(stdout) as CheckDocument;
}

describe("a connection that is kept in Airflow's database", () => {
  test('has the warning on its host, and a view of before goes on without', async () => {
    await keep('minio', { more: { endpoint_url: null } });
    await stage.writer.query("UPDATE connection SET host = 'http://minio:9000'");
    await makeView('minio');
    const said = /^The connection minio: Airflow does not take its host for the endpoint/;
    expect((await check(environment())).warnings).toEqual([expect.stringMatching(said)]);
    await stage.writer.query('DROP VIEW xcom_exporter_connection');
    await stage.writer.query(sql('connections-view.sql').replace(":'ids'", "'minio'").replace(', host', ''));
    expect((await check(environment())).warnings).toEqual([]);
  });

  test('has the warnings of one in a variable, and one that no path names has none', async () => {
    await keep('minio', { more: { verify: false } });
    await keep('other', { more: { verify: false } });
    await makeView('minio,other');
    const { warnings } = await check(environment());
    expect(warnings).toEqual([expect.stringMatching(/^The connection minio has verify, which/)]);
  });

  test('is heeded by the verdict where no push works with it, unless nobody uses it', async () => {
    await keep('minio', { more: { config_kwargs: { max_retries: 3 } } });
    await makeView('minio');
    const said = 'The connection minio has max_retries in config_kwargs, which botocore does not know';
    const found = await check(environment());
    expect([found.exit_code, found.verdict.title]).toEqual([2, 'Could not decide']);
    const isSaid: unknown = expect.stringContaining(said);
    expect(found.verdict.notes).toContainEqual(isSaid);
    const unused = await check(
      environment({ AIRFLOW__CORE__XCOM_BACKEND: 'airflow.sdk.execution_time.xcom.BaseXCom' }),
    );
    expect(unused.verdict.notes).not.toContainEqual(isSaid);
    expect(unused.warnings).toContainEqual(isSaid);
    // Airflow 3.3 reads this threshold, whose fault must not hide that of the connection.
    const beside = await check(environment({ AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD: '1e+3' }));
    expect([beside.exit_code, beside.verdict.title]).toEqual([2, 'Could not decide']);
    expect(beside.verdict.notes).toContainEqual(isSaid);
  });

  test('is read through the view and decrypted, by whichever key made it', async () => {
    await keep('minio', { key: OLD_KEY });
    await keep('warehouse');
    await makeView('minio');
    const found = await check(environment({ AIRFLOW__CORE__FERNET_KEY: `${KEY},${OLD_KEY}` }));
    expect([found.exit_code, found.verdict.title, found.warnings]).toEqual([0, 'Healthy', []]);
  });

  test('is found among more connections than are read', async () => {
    const others = Array.from({ length: 60 }, (_, index) => `customer_${index}`);
    for (const id of [...others, 'minio']) await keep(id);
    await makeView([...others, 'minio'].join(','));
    const found = await check(environment());
    expect([found.exit_code, found.verdict.title, found.problems]).toEqual([0, 'Healthy', []]);
  });

  test('is not asked for unless a view is named, and that is said first', async () => {
    await keep('minio');
    await makeView('minio');
    const found = await check(environment({ XCOM_EXPORTER_AIRFLOW_CONNECTIONS: '' }));
    expect(found.warnings[0]).toMatch(/^The connection minio, which the path names, is not known here/);
    expect(found.problems.map(({ code }) => code)).toEqual(['not_watching']);
    expect(found.problems[0]?.evidence).toContain('the connection minio is not known here');
  });

  test.each([
    [
      'no view',
      null,
      {},
      /the connection minio is not known: Cannot read the database: .*the view xcom_exporter_connection/,
    ],
    [
      'a view without it',
      'warehouse',
      {},
      /the connection minio is in no variable and not in the view xcom_exporter_connection/,
    ],
    [
      'no key',
      'minio',
      { AIRFLOW__CORE__FERNET_KEY: '' },
      /in Airflow's database is encrypted, and no Fernet key is given/,
    ],
    ['another key', 'minio', { AIRFLOW__CORE__FERNET_KEY: OLD_KEY }, /is encrypted with another Fernet key/],
  ])('is missing with %s, and nothing else is blamed for it', async (_, ids, changes, why) => {
    await keep('minio');
    if (ids !== null) await makeView(ids);
    const found = await check(environment(changes));
    expect(found.problems.map(({ code }) => code)).toEqual(['not_watching']);
    expect(found.problems[0]?.evidence).toMatch(why);
    expect(found.problem_states).toMatchObject({
      write_denied: 'unknown',
      reads_denied: 'unknown',
      bucket_unreachable: 'unknown',
      objects_missing: 'unknown',
    });
  });

  test('a refusal of the credentials that stand in is no denial of the workers', async () => {
    const proxy = await startHttpFaultProxy({ upstream: s3() });
    proxy.setFault({ match: () => true, answer: 'deny' });
    const env = environment({ XCOM_EXPORTER_AIRFLOW_CONNECTIONS: '', AWS_ENDPOINT_URL_S3: proxy.url });
    const found = await check(env);
    await proxy.stop();
    expect(found.problems.map(({ code }) => code)).toEqual(['not_watching']);
  });
});

describe('the view', () => {
  test('shows the named connections alone, and leaves the table closed', async () => {
    await keep('minio');
    await keep('warehouse');
    await makeView('minio,other');
    const asRole = async (text: string) => {
      try {
        return await stage.writer.query<{ conn_id: string }>(`SET ROLE xcom_exporter; ${text}`);
      } finally {
        await stage.writer.query('RESET ROLE');
      }
    };
    await expect(asRole('SELECT conn_id FROM connection')).rejects.toThrow('permission denied');
    await stage.writer.query('GRANT SELECT ON xcom_exporter_connection TO xcom_exporter');
    const shown = await stage.writer.query<{ conn_id: string }>(
      'SELECT conn_id FROM xcom_exporter_connection',
    );
    expect(shown.map(({ conn_id: id }) => id)).toEqual(['minio']);
  });

  test('is still granted after role.sql was run again', async () => {
    await keep('minio');
    await makeView('minio');
    await stage.writer.query(sql('role.sql'));
    expect((await check(environment())).exit_code).toBe(0);
  });
});
