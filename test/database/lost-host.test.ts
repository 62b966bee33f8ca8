import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, startAirflow, startDaemon, workerEnv } from '../support/daemon.ts';
import { useS3 } from '../support/s3.ts';
import { LOST_HOST, startSystemPostgres } from './servers.ts';

const s3 = useS3('airflow-xcom');
const address = (does: 'add' | 'del') =>
  execFileSync('ip', ['address', does, `${LOST_HOST}/32`, 'dev', 'lo'], { stdio: 'pipe' });
const isRoot = process.getuid?.() === 0;

beforeAll(() => {
  if (isRoot) address('add');
});
afterAll(() => {
  // The address should be gone by then.
  if (isRoot)
    try {
      address('del');
    } catch {
      return;
    }
});

// A client whose address is gone cannot close its connection, and no machine answers for it: it is like a host
// without power.
test.skipIf(!isRoot)('a leader that is lost with its host is followed by the other', async () => {
  await using server = await startSystemPostgres({ listen_addresses: '*' });
  const airflow = await startAirflow(server, s3());
  const ha = { XCOM_EXPORTER_HA: 'lock' };
  const away = { host: LOST_HOST, port: server.port };
  const leader = await startDaemon({ ...workerEnv(airflow, s3(), { database: away }), ...ha });
  await eventually(async () => {
    expect(await leader.value('exporter_leader')).toBe(1);
  });
  const other = await startDaemon({ ...workerEnv(airflow, s3()), ...ha });
  await eventually(async () => {
    expect(await other.value('exporter_job_runs_total', { name: 'sample' })).toBeGreaterThan(1);
  });
  expect(await other.value('exporter_leader')).toBe(0);
  address('del');
  await eventually(async () => {
    expect([await leader.value('exporter_leader'), await other.value('exporter_leader')]).toEqual([0, 1]);
  }, 30);
  // The lost exporter has no session left that would count against the limit of the role.
  const sessions = await airflow.writer.query<{ address: string }>(/* SQL */ `
    SELECT client_addr::text AS address FROM pg_stat_activity WHERE application_name = 'airflow-xcom-exporter'`);
  expect(sessions.map((session) => session.address)).not.toContain(`${LOST_HOST}/32`);
  await Promise.all([leader.close(), other.close()]);
  await airflow.close();
});
