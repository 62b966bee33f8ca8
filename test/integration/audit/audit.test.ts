import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { openObjectStore } from '../../../src/s3/client.ts';
import { listFixtures, readExpected, replay } from '../../support/airflow-fixture.ts';
import { aged, DAY_MS, runAudit } from '../../support/audit.ts';
import { usePostgres } from '../../support/postgres.ts';
import { connectionTo, recordRequests, useS3 } from '../../support/s3.ts';

const postgres = usePostgres();
const s3 = useS3('airflow-xcom');

/**
 * Scenarios in which different things name an object, with the newest release of each shape that was recorded in it.
 */
const SCENARIOS: Readonly<Record<string, readonly string[]>> = {
  healthy: ['2.11.2', '3.3.2', '3.4.0b2'],
  pickled: ['2.9.3', '2.11.2'],
  compressed: ['3.4.0b2'],
  upgraded: ['3.2.2', '3.4.0b2'],
  'db-clean': ['2.11.2', '3.3.2', '3.4.0b2'],
  'dag-run-deleted': ['2.10.5', '3.4.0b2'],
  'key-twice': ['3.3.2'],
  'state-stores': ['3.3.2', '3.4.0b2'],
  'path-changed': ['2.11.2', '3.4.0b2'],
  'objects-missing': ['2.11.2', '3.3.2', '3.4.0b2'],
  'archived-object-missing': ['3.4.0b2'],
  'rest-patch-path': ['3.2.2'],
};
const fixtures = listFixtures().filter(({ release, scenario }) => SCENARIOS[scenario]?.includes(release));

test('the recorded runs that are meant are there', () => {
  expect(fixtures).toHaveLength(Object.values(SCENARIOS).flat().length);
});

describe.each(fixtures)('on what Airflow $release left after $scenario', (fixture) => {
  test('an object is orphaned that no row spells out, and missing what a row spells out and is not there', async () => {
    const replayed = await replay({ postgres: postgres(), s3: s3() }, fixture);
    const connection = connectionTo(s3().endpoint, s3());
    const store = openObjectStore(connection, { observer: recordRequests(), log: pino({ level: 'silent' }) });
    try {
      const locations = replayed.recordedObjects.map(({ bucket, key }) => `${bucket}/${key}`);
      const monthAgo = { lastModified: Date.now() - 30 * DAY_MS };
      const audited = await runAudit({
        url: (replayed.env['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'] ?? '').replace('+psycopg2', ''),
        store: aged(store, new Map(locations.map((location) => [location, monthAgo]))),
        connection,
        configured: (replayed.config.xcom.paths ?? []).map(({ bucket, prefix, connection: id }) => ({
          bucket,
          prefix,
          connection: id ?? '',
        })),
      });
      const isSpelled = speller(fixture);
      const orphans = locations.filter((location) => !isSpelled(location)).sort();
      expect(listed(audited.lists.orphaned)).toEqual(orphans);
      expect(audited.deletions.flat().sort()).toEqual(orphans);
      expect(audited.figures.objects.named.objects).toBe(locations.length - orphans.length);
      const broken = readExpected(fixture).xcoms.filter((xcom) => xcom.broken === 'missing');
      expect(audited.lists.missing).toHaveLength(broken.length);
      const { live, states = 0 } = readExpected(fixture).objects as { live: number; states?: number };
      expect(audited.figures.references).toMatchObject({ live: live + states, outside: 0, young: 0 });
    } finally {
      store.close();
      await replayed.close();
    }
  });
});

/** Whether the dump of the rows has an object's address in it: as text, or in the hex digits of a bytea. */
function speller({
  release,
  scenario,
}: {
  release: string;
  scenario: string;
}): (location: string) => boolean {
  const rows = readFileSync(
    new URL(`../../fixtures/airflow/${release}/${scenario}/rows.sql`, import.meta.url),
    'utf8',
  );
  return (location) => rows.includes(location) || rows.includes(Buffer.from(location).toString('hex'));
}

function listed(rows: readonly Readonly<Record<string, unknown>>[]): string[] {
  return rows.map(({ bucket, key }) => `${String(bucket)}/${String(key)}`).sort();
}
