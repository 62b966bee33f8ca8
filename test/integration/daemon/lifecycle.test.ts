import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openWriter } from '../../../src/postgres/writer.ts';
import { verdictOf } from '../../../src/status/verdict.ts';
import { backendsOf, eventually, startAirflow, startDaemon, workerEnv } from '../../support/daemon.ts';
import type { Daemon, SmallAirflow } from '../../support/daemon.ts';
import { startHttpFaultProxy } from '../../support/http-fault-proxy.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';
import { startTcpFaultProxy } from '../../support/tcp-fault-proxy.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');
const large = 'x'.repeat(500);

/** Airflow, and a proxy in front of each server. Everything that a test opens is closed in reverse order. */
async function setting() {
  const airflow = await startAirflow(postgres(), s3());
  const database = await startTcpFaultProxy({ upstream: postgres() });
  const storage = await startHttpFaultProxy({ upstream: s3() });
  const wire = await startTcpFaultProxy({ upstream: storage });
  const env = workerEnv(airflow, s3(), { database, storage: wire });
  const daemons: Daemon[] = [];
  return {
    airflow,
    database,
    storage,
    wire,
    env,
    start: async (changes: Readonly<Record<string, string>> = {}) => {
      const daemon = await startDaemon({ ...env, ...changes });
      daemons.push(daemon);
      return daemon;
    },
    /** Starts a daemon that reads this very object again on each reload. */
    startOn: async (changing: Readonly<Record<string, string>>) => {
      const daemon = await startDaemon(changing);
      daemons.push(daemon);
      return daemon;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(daemons.map((daemon) => daemon.close()));
      await Promise.all([database.stop(), wire.stop(), storage.stop()]);
      await airflow.close();
    },
  };
}

async function up(daemon: Daemon): Promise<(number | undefined)[]> {
  const read = (target: string) => daemon.value('exporter_up', { target });
  return [await read('database'), await read('s3')];
}

async function expectUp(daemon: Daemon, seconds?: number): Promise<number> {
  return eventually(async () => {
    expect(await up(daemon)).toEqual([1, 1]);
  }, seconds);
}

const runsOf = async (daemon: Daemon) =>
  (await daemon.value('exporter_job_runs_total', { name: 'sample' })) ?? -1;
const rowsOf = (daemon: Daemon, storage: string) => daemon.value('rows_total', { dag_id: 'orders', storage });
const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

describe.concurrent('the start', () => {
  test('with both servers down is a start all the same, and the rest comes by itself', async () => {
    await using world = await setting();
    await Promise.all([world.database.setMode('stall'), world.wire.setMode('stall')]);
    const daemon = await world.start();
    expect((await daemon.get('/-/healthy')).status).toBe(200);
    expect((await daemon.get('/metrics')).status).toBe(200);
    // Both are being asked, and nobody knows yet.
    expect(await up(daemon)).toEqual([undefined, undefined]);
    await Promise.all([world.database.setMode('refuse'), world.wire.setMode('refuse')]);
    await eventually(async () => {
      expect((await daemon.get('/-/ready')).status).toBe(200);
      expect(await daemon.value('probe_failures_total', { operation: 'put', reason: 'unreachable' })).toBe(1);
    });
    expect(await up(daemon)).toEqual([0, 0]);
    expect(await daemon.value('window_rows', { storage: 'db' })).toBeUndefined();
    // The verdict on the probe comes with the cycle after it.
    await eventually(async () => {
      const page = (await daemon.get('/')).text;
      expect(page).toMatch(
        /Cannot reach the database at \S+, port \d+: nothing listens there \(ECONNREFUSED\)/,
      );
      expect(page).toContain('bucket_unreachable');
      expect(page).not.toContain('Healthy');
    });

    await Promise.all([world.database.setMode('pass'), world.wire.setMode('pass')]);
    await expectUp(daemon);
    await eventually(async () => {
      expect(await daemon.value('window_rows', { storage: 'db' })).toBe(0);
      expect((await daemon.get('/')).text).toContain(
        'nothing to judge yet, no XCom row is in the window</h1>',
      );
    });
  });

  test('on a port that is taken is an error, and leaves nothing behind', async () => {
    await using world = await setting();
    const first = await world.start();
    await expectUp(first);
    await expect(
      world.start({ XCOM_EXPORTER_WEB_LISTEN_ADDRESS: `127.0.0.1:${first.port}` }),
    ).rejects.toThrow(`Cannot listen on 127.0.0.1:${first.port}: another process listens there`);
    expect(await backendsOf(world.airflow)).toHaveLength(1);
  });
});

describe.concurrent('a reload', () => {
  test('takes up new settings; wrong ones change nothing and are said', async () => {
    await using world = await setting();
    const env = { ...world.env };
    const daemon = await world.startOn(env);
    await expectUp(daemon);
    const reload = async () => {
      const answer = await fetch(`${daemon.url}/-/reload`, { method: 'POST' });
      return { status: answer.status, text: await answer.text() };
    };
    env['XCOM_EXPORTER_XCOM_OVERSIZE'] = '4242';
    expect(await reload()).toEqual({ status: 200, text: 'Reloaded.\n' });
    await eventually(async () => {
      expect(await daemon.value('oversize_bytes')).toBe(4242);
    });

    Object.assign(env, { XCOM_EXPORTER_XCOM_OVERSIZE: 'many', XCOM_EXPORTER_WINDO: '1h' });
    const wrong = await reload();
    expect(wrong.status).toBe(400);
    expect(wrong.text).toContain('XCOM_EXPORTER_XCOM_OVERSIZE: what is given is not a whole number');
    expect(wrong.text).toContain('unknown variable XCOM_EXPORTER_WINDO: did you mean XCOM_EXPORTER_WINDOW?');
    expect(await daemon.value('exporter_config_last_reload_successful')).toBe(0);
    expect(await daemon.value('oversize_bytes')).toBe(4242);
    const runs = await runsOf(daemon);
    await eventually(async () => {
      expect(await runsOf(daemon)).toBeGreaterThan(runs);
    });

    delete env['XCOM_EXPORTER_WINDO'];
    Object.assign(env, { XCOM_EXPORTER_XCOM_OVERSIZE: '1', XCOM_EXPORTER_WINDOW: '1h' });
    expect(await reload()).toEqual({
      status: 400,
      text: 'Not reloaded:\nwindow: cannot change by a reload: restart the exporter\n',
    });
    delete env['XCOM_EXPORTER_WINDOW'];
    expect((await reload()).status).toBe(200);
    expect(await daemon.value('exporter_config_last_reload_successful')).toBe(1);

    const staleAfter = () => daemon.value('exporter_sample_stale_after_seconds');
    expect(await staleAfter()).toBeLessThan(1_800);
    env['XCOM_EXPORTER_SAMPLE_SCHEDULE'] = '0 */15 * * * *';
    expect((await reload()).status).toBe(200);
    // The first reading with the new schedule says how long it is good for: until the third tick.
    await eventually(async () => {
      expect(await staleAfter()).toBeGreaterThan(1_799);
    });
  });

  test('is refused while the web configuration is wrong, which shows in the metrics before it', async () => {
    await using world = await setting();
    const folder = mkdtempSync(join(tmpdir(), 'reload-'));
    const file = join(folder, 'web.yml');
    const headers = (value: string) => {
      writeFileSync(file, `http_server_config: { headers: { X-Frame-Options: ${value} } }\n`, {
        mode: 0o600,
      });
    };
    headers('SAMEORIGIN');
    const daemon = await world.start({ XCOM_EXPORTER_WEB_CONFIG_FILE: file });
    const successful = () => daemon.value('exporter_config_last_reload_successful');
    expect(await successful()).toBe(1);
    headers('[DENY]');
    await daemon.get('/-/healthy');
    expect(await successful()).toBe(0);
    const problem = `Cannot use the web configuration ${file}: http_server_config.headers.X-Frame-Options must be: string`;
    expect(await daemon.reload()).toEqual({ ok: false, problems: [problem] });
    headers('DENY');
    await daemon.get('/-/healthy');
    // The file is right again, but the reload that failed has not been repeated yet.
    expect(await successful()).toBe(0);
    expect(await daemon.reload()).toEqual({ ok: true, unchanged: true });
    expect(await successful()).toBe(1);
    rmSync(folder, { recursive: true });
  });

  test('takes up the level of the log', async () => {
    await using world = await setting();
    const env = { ...world.env };
    const daemon = await world.startOn(env);
    await expectUp(daemon);
    env['XCOM_EXPORTER_LOG_LEVEL'] = 'error';
    expect(await daemon.reload()).toEqual({ ok: true });
    const { length } = daemon.lines;
    const runs = await runsOf(daemon);
    await eventually(async () => {
      expect(await runsOf(daemon)).toBeGreaterThan(runs + 1);
    });
    expect(daemon.lines.slice(length)).toEqual([]);
    env['XCOM_EXPORTER_LOG_FORMAT'] = 'pretty';
    expect(await daemon.reload()).toMatchObject({
      ok: false,
      problems: [expect.stringMatching(/^log\.format: cannot change/)],
    });
  });

  test('says nothing false meanwhile: not down, not standing by', async () => {
    await using world = await setting();
    const daemon = await world.start();
    await expectUp(daemon);
    const seen = new Set<string>();
    const reloads = (async () => {
      for (let i = 0; i < 5; i += 1) {
        await daemon.renew();
        await delay(100);
      }
    })();
    const watched = { done: false };
    void reloads.then(() => {
      watched.done = true;
    });
    while (!watched.done) {
      seen.add(JSON.stringify([...(await up(daemon)), daemon.status().leader]));
      await delay(10);
    }
    await reloads;
    expect([...seen]).toEqual(['[1,1,true]']);
  });

  test('that changes nothing does nothing, and says so', async () => {
    await using world = await setting();
    const env: Record<string, string> = {
      ...world.env,
      XCOM_EXPORTER_SAMPLE_SCHEDULE: '0 0 0 1 1 *',
      XCOM_EXPORTER_PROBE_SCHEDULE: '0 0 0 1 1 *',
    };
    const daemon = await world.startOn(env);
    await expectUp(daemon);
    const did = async () => [
      world.storage.requests.put,
      await runsOf(daemon),
      daemon.status().reloadedAt,
      daemon.status().probe,
    ];
    const before = await did();
    for (let i = 0; i < 20; i += 1) {
      const answer = await fetch(`${daemon.url}/-/reload`, { method: 'POST' });
      expect(await answer.text()).toBe('Nothing has changed.\n');
    }
    expect(await did()).toEqual(before);
    env['XCOM_EXPORTER_XCOM_OVERSIZE'] = '4242';
    expect(await daemon.reload()).toEqual({ ok: true });
    await eventually(async () => {
      expect(await runsOf(daemon)).toBeGreaterThan(before[1] as number);
    });
    expect(daemon.status().reloadedAt).not.toBeNull();
  });

  test('lets the verdict of before stand until there is another, and tells what was cleared, also after a restart', async () => {
    await using world = await setting();
    const folder = mkdtempSync(join(tmpdir(), 'state-'));
    const compression = 'AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_COMPRESSION';
    const env: Record<string, string> = {
      ...world.env,
      [compression]: 'snappy',
      XCOM_EXPORTER_STATE_FILE: join(folder, 'state'),
    };
    const daemon = await world.startOn(env);
    const raised = (of: Daemon) => of.status().report?.problems.map(({ code }) => code);
    await eventually(() => {
      expect(raised(daemon)).toEqual(['compression_unsupported']);
    });

    env[compression] = '';
    expect(await daemon.reload()).toEqual({ ok: true });
    // The exporter cannot have asked anything with the new settings yet.
    expect([daemon.status().reloading, raised(daemon)]).toEqual([true, ['compression_unsupported']]);
    await eventually(() => {
      expect([daemon.status().reloading, raised(daemon)]).toEqual([false, []]);
    });
    const cleared = [expect.objectContaining({ code: 'compression_unsupported' })];
    expect(daemon.status().cleared).toEqual(cleared);
    await daemon.close();

    const next = await world.startOn(env);
    expect(next.status().cleared).toEqual(cleared);
    await next.close();
    rmSync(folder, { recursive: true });
  });

  test('several at once are one after another: one session, one run a tick', async () => {
    await using world = await setting();
    const daemon = await world.start();
    await expectUp(daemon);
    await world.airflow.push('one');
    await eventually(async () => {
      expect(await rowsOf(daemon, 'db')).toBe(1);
    });
    const results = await Promise.all(Array.from({ length: 5 }, () => daemon.renew()));
    expect(results.every(({ ok }) => ok)).toBe(true);
    await expectUp(daemon);
    const before = await runsOf(daemon);
    let most = 0;
    for (let i = 0; i < 30; i += 1) {
      most = Math.max(most, (await backendsOf(world.airflow)).length);
      await delay(100);
    }
    expect((await runsOf(daemon)) - before).toBeLessThanOrEqual(6);
    expect(most).toBe(1);
    // The row stays counted, and is counted only once.
    expect(await rowsOf(daemon, 'db')).toBe(1);
  });

  test('in the middle of a cycle loses no count', async () => {
    await using world = await setting();
    const daemon = await world.start();
    await expectUp(daemon);
    world.storage.setFault({ answer: 'stall', match: ({ kind }) => kind === 'head' });
    await world.airflow.push(large);
    await world.airflow.push('small');
    const heads = world.storage.requests.head;
    await eventually(() => {
      expect(world.storage.requests.head).toBeGreaterThan(heads);
    });
    await delay(1_200);
    world.storage.setFault(null);
    expect(await daemon.renew()).toEqual({ ok: true });
    await eventually(async () => {
      expect(await daemon.value('references_checked_total')).toBe(1);
    });
    expect([await rowsOf(daemon, 's3'), await rowsOf(daemon, 'db')]).toEqual([1, 1]);
  });

  test('makes no figure fresher: without the database they go away however often it is repeated', async () => {
    await using world = await setting();
    const daemon = await world.start();
    await expectUp(daemon);
    await world.airflow.push('one');
    const rows = () => daemon.value('window_rows', { storage: 'db' });
    await eventually(async () => {
      expect(await rows()).toBe(1);
    });
    await world.database.setMode('cut');
    await eventually(async () => {
      await daemon.renew();
      expect(await rows()).toBeUndefined();
    });
    await daemon.renew();
    await eventually(() => {
      expect(daemon.status().reloading).toBe(false);
    });
    expect([await rows(), daemon.status().stale]).toEqual([undefined, true]);
    expect((await daemon.get('/')).text).toContain('Unknown: the figures are stale</h1>');
  });

  test.each([
    { what: 'another schedule', isSame: true },
    { what: 'another database', isSame: false },
  ])('to $what leaves no figure fresh that nobody can read any more', async ({ isSame }) => {
    await using world = await setting();
    const env: Record<string, string> = { ...world.env, XCOM_EXPORTER_SAMPLE_SCHEDULE: '0 0 2 * * *' };
    const daemon = await world.startOn(env);
    const rows = () => daemon.value('window_rows', { storage: 'db' });
    await eventually(async () => {
      expect(await rows()).toBe(0);
    });
    await world.database.setMode('cut');
    if (isSame) env['XCOM_EXPORTER_SAMPLE_SCHEDULE'] = '* * * * * *';
    else env['XCOM_EXPORTER_DATABASE_URL'] = world.airflow.url.replace(/\/[^/]*$/, '/not-there');
    expect(await daemon.reload()).toEqual({ ok: true });
    await eventually(async () => {
      expect([await rows(), daemon.status().stale]).toEqual([undefined, true]);
    });
    const staleAfter = await daemon.value('exporter_sample_stale_after_seconds');
    expect(staleAfter).toBeGreaterThan(0);
    expect(staleAfter).toBeLessThan(isSame ? 10 : 400_000);
    await eventually(() => {
      expect(daemon.status().reloading).toBe(false);
    });
    expect(verdictOf(daemon.status()).title).toBe(
      isSame ? 'Unknown: the figures are stale' : 'Unknown: the database has not been read yet',
    );
  });

  test('under way when the end comes starts nothing that stays', async () => {
    await using world = await setting();
    const daemon = await world.start();
    await expectUp(daemon);
    const reload = daemon.renew();
    await daemon.close();
    await reload;
    expect(await daemon.reload()).toEqual({ ok: false, problems: ['the exporter is shutting down'] });
    const lines = daemon.lines.length;
    await delay(2_100);
    expect(daemon.lines.slice(lines)).toEqual([]);
    expect(await backendsOf(world.airflow)).toHaveLength(0);
  });
});

test.concurrent('the end in the middle of a cycle shows no count that the next process counts again', async () => {
  await using world = await setting();
  const folder = mkdtempSync(join(tmpdir(), 'state-'));
  const env = { XCOM_EXPORTER_STATE_FILE: join(folder, 'state') };
  const daemon = await world.start(env);
  await expectUp(daemon);
  // The probe hangs as well: it cleans up at the end, and the figures are served meanwhile.
  world.storage.setFault({ answer: 'stall', match: () => true });
  await world.airflow.push('one');
  await world.airflow.writer.query(
    /* SQL */ `
    INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_result, dag_id, run_id, value, timestamp)
    SELECT dag_run_id, task_id, map_index, 'large', dag_result, dag_id, run_id, to_jsonb($1::text), now() FROM xcom`,
    [`${world.airflow.path}/orders/manual__1/task_1/00000000-0000-4000-8000-000000000000`],
  );
  await delay(2_000);
  const seen: (number | undefined)[] = [];
  const closed = daemon.close();
  // The server of the pages is the last to end.
  for (;;) {
    try {
      await delay(20);
      seen.push(await rowsOf(daemon, 'db'));
    } catch {
      break;
    }
  }
  await closed;
  expect(seen.filter((rows) => rows !== undefined && rows > 0)).toEqual([]);
  world.storage.setFault(null);
  const next = await world.start(env);
  await eventually(async () => {
    expect([await rowsOf(next, 'db'), await rowsOf(next, 's3')]).toEqual([1, 1]);
  });
  rmSync(folder, { recursive: true });
});

describe.concurrent('figures that grow old', () => {
  test.each(['cut', 'stall'] as const)(
    'go away while the database is away (%s); counts stay',
    async (mode) => {
      await using world = await setting();
      const daemon = await world.start();
      await expectUp(daemon);
      await world.airflow.push('one');
      await world.airflow.push(large);
      await eventually(async () => {
        expect(await daemon.value('references_checked_total')).toBe(1);
      });
      const gauges = async () => {
        const scrape = await daemon.scrape();
        const names = ['window_rows', 'window_bytes', 'window_orphan_objects', 'problem', 'backend_info'];
        return names.flatMap((name) => scrape.get(`airflow_xcom_${name}`)?.samples ?? []).length;
      };
      expect(await gauges()).toBeGreaterThan(10);
      await world.database.setMode(mode);
      await delay(1_000);
      expect(await gauges()).toBeGreaterThan(10);
      await eventually(async () => {
        expect(await gauges()).toBe(0);
      }, 10);
      expect([await rowsOf(daemon, 'db'), await rowsOf(daemon, 's3')]).toEqual([1, 1]);
      expect(await daemon.value('references_checked_total')).toBe(1);
      expect(await daemon.value('window_seconds')).toBe(86_400);
      await world.database.setMode('pass');
      await eventually(async () => {
        expect(await daemon.value('window_rows', { storage: 'db' })).toBe(1);
      });
      expect([await rowsOf(daemon, 'db'), await rowsOf(daemon, 's3')]).toEqual([1, 1]);
    },
  );
});

describe.concurrent('two exporters with ha=lock', () => {
  const ha = { XCOM_EXPORTER_HA: 'lock' };

  async function pair(
    world: { start: (env: Record<string, string>) => Promise<Daemon> },
    own: readonly Readonly<Record<string, string>>[] = [],
  ) {
    const leader = await world.start({ ...ha, ...own[0] });
    await eventually(async () => {
      expect(await leader.value('exporter_leader')).toBe(1);
      expect(await leader.value('window_rows', { storage: 'db' })).toBe(0);
    });
    const standby = await world.start({ ...ha, ...own[1] });
    await eventually(async () => {
      expect(await runsOf(standby)).toBeGreaterThan(1);
    });
    return { leader, standby };
  }

  /** If the session was lost during a cycle, the exporter says only with the next one that it stands by. */
  async function expectStandingBy(daemon: Daemon): Promise<void> {
    await eventually(async () => {
      expect(await daemon.value('exporter_leader')).toBe(0);
      const scrape = await daemon.scrape();
      for (const name of ['window_rows', 'problem', 'backend_info', 'probe_success'])
        expect(scrape.get(`airflow_xcom_${name}`)?.samples, name).toEqual([]);
      expect((await daemon.get('/')).text).toContain('Standby');
      expect(JSON.parse((await daemon.get('/api/v1/findings')).text)).toMatchObject({ at: null, total: 0 });
      expect((await daemon.get('/-/ready')).status).toBe(200);
      expect(await daemon.value('exporter_up', { target: 'database' })).toBe(1);
    });
  }

  const sent = (daemon: Daemon) =>
    Promise.all(
      ['put', 'head', 'get', 'list', 'delete'].map((operation) =>
        daemon.value('exporter_s3_requests_total', { operation }),
      ),
    );

  test('one leads, the other asks S3 nothing and shows nothing; it takes over when the first ends', async () => {
    await using world = await setting();
    const { leader, standby } = await pair(world);
    await world.airflow.push('one');
    await eventually(async () => {
      expect(await rowsOf(leader, 'db')).toBe(1);
    });
    await expectStandingBy(standby);
    expect(await sent(standby)).toEqual([0, 0, 0, 0, 0]);
    expect(await standby.value('exporter_up', { target: 's3' })).toBeUndefined();
    expect(await leader.value('exporter_leader')).toBe(1);

    await leader.close();
    await eventually(async () => {
      expect(await standby.value('exporter_leader')).toBe(1);
    }, 10);
    await eventually(async () => {
      expect(await standby.value('window_rows', { storage: 'db' })).toBe(1);
      expect(await up(standby)).toEqual([1, 1]);
    });
    // The first exporter has counted the row. The second takes it as given, and counts only new rows.
    expect((await rowsOf(standby, 'db')) ?? 0).toBe(0);
    await world.airflow.push('two');
    await eventually(async () => {
      expect(await rowsOf(standby, 'db')).toBe(1);
    });
  });

  test.each([
    { what: 'without a state file', files: [] as string[] },
    { what: 'with a state file each', files: ['one', 'other'] },
  ])(
    'the leader that loses its session stands by, and what the other counted is not counted twice, $what',
    async ({ files }) => {
      await using world = await setting();
      const folder = mkdtempSync(join(tmpdir(), 'pair-'));
      const own = files.map((name) => ({ XCOM_EXPORTER_STATE_FILE: join(folder, name) }));
      const { leader, standby } = await pair(world, own);
      await eventually(async () => {
        await world.airflow.writer.query(
          `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE l.locktype = 'advisory' AND d.datname = current_database()`,
        );
        // Until both have asked again, their figures may be of before.
        const before = await Promise.all([leader, standby].map(runsOf));
        await eventually(async () => {
          expect(await runsOf(leader)).toBeGreaterThan((before[0] ?? 0) + 1);
          expect(await runsOf(standby)).toBeGreaterThan((before[1] ?? 0) + 1);
        });
        expect(await standby.value('exporter_leader')).toBe(1);
        expect(await leader.value('exporter_leader')).toBe(0);
      }, 30);
      await expectStandingBy(leader);
      // The new leader takes the rows of its first count as its baseline.
      await eventually(async () => {
        expect(await standby.value('window_rows', { storage: 'db' })).toBe(0);
      });
      await world.airflow.push('one');
      await eventually(async () => {
        expect(await rowsOf(standby, 'db')).toBe(1);
      });
      await standby.close();
      await eventually(async () => {
        expect(await leader.value('exporter_leader')).toBe(1);
        expect(await leader.value('window_rows', { storage: 'db' })).toBe(1);
      });
      expect((await rowsOf(leader, 'db')) ?? 0).toBe(0);
      rmSync(folder, { recursive: true });
    },
  );

  test.each([
    { what: 'was started', reloads: false },
    { what: 'reads its settings again', reloads: true },
  ])(
    'one that $what after the last count goes on from the state file when it takes over',
    async ({ reloads }) => {
      await using world = await setting();
      const folder = mkdtempSync(join(tmpdir(), 'take-over-'));
      const shared = { ...ha, XCOM_EXPORTER_STATE_FILE: join(folder, 'state') };
      const leader = await world.start(shared);
      await expectUp(leader);
      await world.airflow.push('one');
      await eventually(async () => {
        expect(await rowsOf(leader, 'db')).toBe(1);
      });
      const standby = await world.start(shared);
      await eventually(async () => {
        expect(await runsOf(standby)).toBeGreaterThan(1);
      });
      await expectStandingBy(standby);
      await world.database.setMode('cut');
      await leader.close();
      if (reloads) await standby.renew();
      await world.airflow.push('two');
      await world.database.setMode('pass');
      await eventually(async () => {
        expect(await standby.value('exporter_leader')).toBe(1);
        expect(await standby.value('window_rows', { storage: 'db' })).toBe(2);
      });
      expect(await rowsOf(standby, 'db')).toBe(1);
      rmSync(folder, { recursive: true });
    },
  );

  test('the lock that is lost in the middle of a cycle takes the counts of that cycle with it', async () => {
    await using world = await setting();
    const leader = await world.start(ha);
    await eventually(async () => {
      expect(await leader.value('window_rows', { storage: 'db' })).toBe(0);
    });
    world.storage.setFault({ answer: 'stall', match: ({ kind }) => kind === 'head' });
    await world.airflow.push(large);
    const heads = world.storage.requests.head;
    await eventually(() => {
      expect(world.storage.requests.head).toBeGreaterThan(heads);
    });
    // It waits for the lock, so the leader cannot take it again.
    const other = await openWriter({ url: world.airflow.url, connections: 1 });
    const locks = () =>
      world.airflow.writer.query<{ pid: number; kind: number; shard: number }>(/* SQL */ `
        SELECT l.pid, l.classid::int AS kind, l.objid::int AS shard FROM pg_locks l
        JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND d.datname = current_database() ORDER BY l.granted DESC`);
    const [held] = await locks();
    const taken = other.query('SELECT pg_advisory_lock($1, $2)', [held?.kind, held?.shard]);
    await eventually(async () => {
      expect(await locks()).toHaveLength(2);
    });
    await world.airflow.writer.query('SELECT pg_terminate_backend($1)', [held?.pid]);
    await taken;
    world.storage.setFault(null);
    await expectStandingBy(leader);
    expect((await rowsOf(leader, 's3')) ?? 0).toBe(0);
    await other.close();
  });

  test('the first probe comes with the lock, not with the next tick of its schedule', async () => {
    await using world = await setting();
    const daemon = await world.start({ ...ha, XCOM_EXPORTER_PROBE_SCHEDULE: '0 0 0 1 1 *' });
    await eventually(() => {
      expect(daemon.status().probe).not.toBeNull();
    });
    await daemon.renew();
    await eventually(() => {
      const { reloading, probe, leader } = daemon.status();
      expect([reloading, probe === null, leader]).toEqual([false, false, true]);
    });
  });

  test.each([
    { what: 'is told', reloads: false },
    { what: 'after a reload is told, and the verdict of before does not stand', reloads: true },
  ])('a lock that cannot be asked for at the end of a cycle $what', async ({ reloads }) => {
    await using world = await setting();
    // No other tick comes, as with a schedule that is rare.
    const never = {
      XCOM_EXPORTER_SAMPLE_SCHEDULE: '0 0 0 1 1 *',
      XCOM_EXPORTER_PROBE_SCHEDULE: '0 0 0 1 1 *',
    };
    const stall = () => {
      world.storage.setFault({ answer: 'stall', match: ({ kind }) => kind === 'head' });
    };
    await world.airflow.push(large);
    if (!reloads) stall();
    const daemon = await world.start({ ...ha, ...never });
    if (reloads) {
      await eventually(() => {
        expect(daemon.status().report).not.toBeNull();
        expect(daemon.status().probe).not.toBeNull();
      });
      stall();
      await world.airflow.push(large);
    }
    const heads = reloads ? world.storage.requests.head : 0;
    if (reloads) await daemon.renew();
    await eventually(() => {
      expect(world.storage.requests.head).toBeGreaterThan(heads);
    });
    await world.database.setMode('cut');
    world.storage.setFault(null);
    await eventually(async () => {
      expect(await daemon.value('exporter_leader')).toBe(0);
      expect(daemon.status().reloading).toBe(false);
      expect((await daemon.get('/')).text).toContain('Unknown: it is not known who leads</h1>');
      expect(
        await daemon.value('exporter_job_failures_total', { name: 'sample', reason: 'unreachable' }),
      ).toBe(1);
    });
  });

  test('in a pause of the schedule another one leads when the leader has ended', async () => {
    await using world = await setting();
    const night = { XCOM_EXPORTER_SAMPLE_SCHEDULE: '0 0 0 1 1 *' };
    const leader = await world.start({ ...ha, ...night });
    await eventually(async () => {
      expect(await runsOf(leader)).toBe(1);
    });
    const standby = await world.start({ ...ha, ...night });
    await eventually(async () => {
      expect(await runsOf(standby)).toBe(1);
    });
    expect(await standby.value('exporter_leader')).toBe(0);
    await leader.close();
    await eventually(async () => {
      expect(await standby.value('exporter_leader')).toBe(1);
      expect(await standby.value('window_rows', { storage: 'db' })).toBe(0);
    }, 45);
  });

  test('a lost session that the server keeps is no other leader, and no row is lost to it', async () => {
    await using world = await setting();
    const folder = mkdtempSync(join(tmpdir(), 'lost-'));
    const daemon = await world.start({ ...ha, XCOM_EXPORTER_STATE_FILE: join(folder, 'state') });
    await expectUp(daemon);
    const endAtServer = world.database.lose();
    await world.airflow.push('one');
    await eventually(async () => {
      expect((await daemon.get('/')).text).toContain('lost_session');
    });
    expect((await daemon.get('/')).text).not.toContain('Standby');
    endAtServer();
    await eventually(async () => {
      expect(await rowsOf(daemon, 'db')).toBe(1);
    });
    rmSync(folder, { recursive: true });
  });

  test('without the database nobody leads, and that is no silence', async () => {
    await using world = await setting();
    const leader = await world.start(ha);
    await expectUp(leader);
    await world.database.setMode('cut');
    await eventually(async () => {
      expect(await leader.value('exporter_leader')).toBe(0);
      expect(await leader.value('exporter_up', { target: 'database' })).toBe(0);
      expect(
        await leader.value('exporter_job_failures_total', { name: 'sample', reason: 'unreachable' }),
      ).toBeGreaterThan(0);
    });
    await world.airflow.push('one');
    await world.database.setMode('pass');
    await expectUp(leader);
    // No other exporter has counted the row.
    await eventually(async () => {
      expect(await rowsOf(leader, 'db')).toBe(1);
    });
  });
});

test.concurrent('a state file that cannot be written is a job that fails, and counting goes on', async () => {
  await using world = await setting();
  const folder = mkdtempSync(join(tmpdir(), 'state-'));
  const daemon = await world.start({ XCOM_EXPORTER_STATE_FILE: join(folder, 'state') });
  const failed = () => daemon.value('exporter_job_failures_total', { name: 'state', reason: 'write_failed' });
  const lastFailure = () => daemon.status().jobs.find(({ job }) => job === 'state')?.lastFailure;
  await eventually(async () => {
    expect(await daemon.value('exporter_job_runs_total', { name: 'state' })).toBe(1);
  });
  expect(await failed()).toBe(0);

  rmSync(folder, { recursive: true });
  await world.airflow.push('one');
  await eventually(async () => {
    expect(await failed()).toBeGreaterThan(0);
    expect(await rowsOf(daemon, 'db')).toBe(1);
  });
  expect(lastFailure()).toMatch(/^write_failed: ENOENT/);

  mkdirSync(folder);
  await eventually(() => {
    expect(lastFailure()).toBe(null);
  });
  expect(daemon.status().jobs.map(({ job }) => job)).toEqual(['sample', 'probe', 'state']);
  rmSync(folder, { recursive: true });
});

// This test runs alone and last: it measures this process.
describe('nothing is left', () => {
  async function play(
    world: { airflow: SmallAirflow } & Awaited<ReturnType<typeof setting>>,
    daemon: Daemon,
  ) {
    for (let cycle = 0; cycle < 25; cycle += 1) {
      if (cycle % 5 === 1) await world.database.setMode('cut');
      if (cycle % 5 === 2) world.storage.setFault({ answer: 'cut' });
      if (cycle % 5 === 3) world.storage.setFault({ answer: 'deny' });
      if (cycle % 10 === 4) await world.database.setMode('stall');
      if (cycle % 10 === 9) world.storage.setFault({ answer: 'stall' });
      // Each reload begins a cycle and a probe at once, and breaks off those that hang.
      await daemon.renew();
      await delay(80);
      await world.database.setMode('pass');
      world.storage.setFault(null);
    }
  }

  test('of fifty cycles with faults: no socket, no session; and of close(): nothing at all', async () => {
    await using world = await setting();
    const before = process.getActiveResourcesInfo();
    const daemon = await world.start();
    await world.airflow.push(large);
    await expectUp(daemon);
    await play(world, daemon);
    await eventually(async () => {
      expect(await up(daemon)).toEqual([1, 1]);
    });
    await delay(1_000);
    const flat = sockets();
    await play(world, daemon);
    await expectUp(daemon);
    await eventually(() => {
      expect(sockets()).toBeLessThanOrEqual(flat + 3);
    });
    expect(await backendsOf(world.airflow)).toHaveLength(1);
    expect(world.database.connections()).toBe(1);

    await daemon.close();
    await eventually(async () => {
      expect(await backendsOf(world.airflow)).toHaveLength(0);
      expect([world.database.connections(), world.wire.connections()]).toEqual([0, 0]);
    });
    const left = (name: string) =>
      process.getActiveResourcesInfo().filter((one) => one === name).length -
      before.filter((one) => one === name).length;
    await eventually(() => {
      expect(left('TCPServerWrap')).toBeLessThanOrEqual(0);
    });
  });
});
