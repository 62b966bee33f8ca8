import { describe, expect, test } from 'vitest';
import { inForceRule } from '../../../src/airflow/xcom-path.ts';
import { checkText } from '../../../src/commands/check-text.ts';
import { checkCode, checkDocument, checkSchema } from '../../../src/status/check-document.ts';
import type { CheckDocument } from '../../../src/status/check-document.ts';
import { timeSchema } from '../../../src/status/json-fields.ts';
import { brokenReason } from '../../../src/window/flags.ts';
import { RECORDED_BUCKETS, listFixtures, readExpected, replay } from '../../support/airflow-fixture.ts';
import { examineAsWorker } from '../../support/call-command.ts';
import { entriesOf } from '../../support/entries.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';

const postgres = usePostgres();
const s3 = useS3(...RECORDED_BUCKETS);

const MOMENT = '2026-01-01T00:00:00.000Z';

/** The recorded runs of real Airflow releases, each compared with what its dags did. */
describe.each(listFixtures())('Airflow $release, $scenario', ({ release, scenario }) => {
  test('every row is placed as the dag placed it, and nothing but the planted problem is said', async () => {
    const fixture = await replay({ postgres: postgres(), s3: s3() }, { release, scenario });
    const expected = readExpected({ release, scenario });
    try {
      const { signal } = new AbortController();
      const report = await fixture.cycle.run(await fixture.probe(), signal);
      expect(report.databaseFailure).toBeNull();

      const { ledger } = fixture.cycle;
      const entries = entriesOf(ledger).sort((a, b) => name(a.row).localeCompare(name(b.row)));
      const inForce = inForceRule(fixture.config.xcom.paths);
      const seen = entries.map(({ row, slot, placement }) => ({
        name: name(row),
        storage: placement.storage,
        broken:
          brokenReason(
            ledger.rows().flagsOf(slot),
            placement.storage === 's3' && !placement.leaked && inForce(placement.reference),
          ) ?? undefined,
      }));
      const planned = expected.xcoms
        .map((xcom) => ({
          name: name({
            dagId: xcom.dag_id,
            runId: xcom.run_id,
            taskId: xcom.task_id,
            mapIndex: xcom.map_index,
            key: xcom.key,
          }),
          storage: xcom.storage,
          broken: xcom.broken,
        }))
        .sort(byText);
      expect(seen.sort(byText)).toEqual(planned);

      const measured = new Map(
        expected.xcoms.map((xcom) => [
          JSON.stringify([xcom.dag_id, xcom.run_id, xcom.task_id, xcom.map_index, xcom.key]),
          xcom.by_design === undefined ? xcom.measured_bytes : undefined,
        ]),
      );
      for (const entry of entries) {
        const bytes = measured.get(name(entry.row));
        // The scenario `sizes` tries kinds of values: sizes.test.ts says how close the exporter comes for each.
        if (bytes === undefined || scenario === 'sizes') continue;
        const { placement } = entry;
        if (placement.storage === 'db')
          expect
            .soft([placement.leastBytes, placement.bytes], name(entry.row))
            .toSatisfy(
              ([least = 0, most = 0]: number[]) => least <= bytes && bytes <= most,
              `${bytes} bytes lie between ${placement.leastBytes} and ${placement.bytes}`,
            );
        const isPlain = placement.storage === 's3' && !placement.leaked && placement.reference.suffix === '';
        if (isPlain && entry.object === 'present')
          expect.soft(entry.objectBytes, name(entry.row)).toBe(bytes);
      }

      expect(report.problems.map(({ code }) => code).sort()).toEqual([...expected.problems].sort());
      const runs = await fixture.writer.query<{ place: string }>(
        `SELECT '/' || dag_id || '/' || run_id || '/' AS place FROM dag_run`,
      );
      const underRuns = fixture.recordedObjects.filter(
        ({ key, state_store: ofAStateStore }) =>
          ofAStateStore !== true && runs.some(({ place }) => key.includes(place)),
      );
      // Objects that a deleted run left lie under no run of the window, unless the exporter saw the deletion.
      expect(report.window?.orphanObjects).toBe(underRuns.length - expected.objects.live);
      expect(report.coverage).toBe(1);

      const again = await fixture.cycle.run(null, signal);
      expect(again.increments).toEqual([]);

      // The same run as seen by a person who has only the environment of a worker.
      const checked = await examineAsWorker(fixture.env);
      const golden = `../../golden/check/${release}/${scenario}`;
      await expect(checkText(checked, (text) => text)).toMatchFileSnapshot(`${golden}.txt`);
      const document = checkDocument(checked);
      expect(checkSchema.safeParse(JSON.parse(JSON.stringify(document))).error).toBeUndefined();
      await expect(steady(document)).toMatchFileSnapshot(`${golden}.json`);
      const otherwise = expected.undecided === true ? 2 : 0;
      expect(checkCode(checked)).toBe(expected.problems.length > 0 ? 1 : otherwise);
    } finally {
      await fixture.close();
    }
  });
});

function name(row: { dagId: string; runId: string; taskId: string; mapIndex: number; key: string }): string {
  return JSON.stringify([row.dagId, row.runId, row.taskId, row.mapIndex, row.key]);
}

/** Since Airflow 3.4 several tries of one task keep their rows, so that the name alone does not give an order. */
function byText(a: object, b: object): number {
  return JSON.stringify(a).localeCompare(JSON.stringify(b));
}

/** The document of `check --json`, with one fixed moment in place of all and one second for every duration. */
function steady(document: CheckDocument): string {
  const { cycle, probe } = document;
  const timed = {
    ...document,
    cycle: cycle && { ...cycle, duration_seconds: 1 },
    probe: probe && probe.map((step) => (step.ok === null ? step : { ...step, seconds: 1 })),
  };
  const isMoment = (value: unknown) => timeSchema.safeParse(value).success;
  return `${JSON.stringify(timed, (_name, value: unknown) => (isMoment(value) ? MOMENT : value), 2)}\n`;
}
