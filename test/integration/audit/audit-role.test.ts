import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { openWriter } from '../../../src/postgres/writer.ts';
import { openObjectStore } from '../../../src/s3/client.ts';
import { replay } from '../../support/airflow-fixture.ts';
import { runAudit } from '../../support/audit.ts';
import { usePostgres } from '../../support/postgres.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');
const sql = (name: string) => readFileSync(new URL(`../../../docs/sql/${name}`, import.meta.url), 'utf8');

describe.each([
  { release: '2.11.2', scenario: 'db-clean', table: '_airflow_deleted__xcom__' },
  { release: '3.3.2', scenario: 'upgraded', table: '_xcom_archive' },
  { release: '3.4.0b2', scenario: 'db-clean', table: '_airflow_deleted__xcom_v2__' },
  { release: '3.4.0b2', scenario: 'state-stores', table: 'asset_state_store' },
])('the role on Airflow $release after $scenario', ({ table, ...fixture }) => {
  test('reads nothing before its grants, and with them what the owner reads', async () => {
    const replayed = await replay({ postgres: postgres(), s3: s3() }, fixture);
    const connection = connectionTo(s3().endpoint, s3());
    const store = openObjectStore(connection, { observer: recordRequests(), log: pino({ level: 'silent' }) });
    const owner = (replayed.env['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'] ?? '').replace('+psycopg2', '');
    const admin = await openWriter({ url: owner, connections: 1 });
    try {
      await admin.query(sql('role.sql'));
      await admin.query(`ALTER ROLE xcom_exporter PASSWORD 'audit'`);
      const role = new URL(owner);
      role.username = 'xcom_exporter';
      role.password = 'audit';
      const place = { bucket: 'airflow-xcom', prefix: 'xcom', connection: 'aws_xcom' };
      const asked = { store, connection, configured: [place] };
      await expect(runAudit({ ...asked, url: role.href })).rejects.toThrow(
        new RegExp(`^Cannot read .*${table}.*audit-role\\.sql`),
      );
      await admin.query(sql('audit-role.sql'));
      const asRole = await runAudit({ ...asked, url: role.href });
      const asOwner = await runAudit({ ...asked, url: owner });
      expect(asRole.figures).toEqual(asOwner.figures);
      expect(asRole.sources).toEqual(asOwner.sources);
      expect(asRole.figures.references.archived + asRole.figures.references.live).toBeGreaterThan(0);
    } finally {
      store.close();
      await admin.query('DROP OWNED BY xcom_exporter');
      await admin.close();
      await replayed.close();
    }
  });
});
