import { afterEach, describe, expect, test, vi } from 'vitest';
import { checkCode } from '../../../src/status/check-document.ts';
import { listVerdicts, replay } from '../../support/airflow-fixture.ts';
import { examineAsWorker } from '../../support/call-command.ts';
import { usePostgres } from '../../support/postgres.ts';
import { useS3 } from '../../support/s3.ts';

const verdicts = listVerdicts();
const postgres = usePostgres();
const s3 = useS3(...new Set(verdicts.flatMap(({ buckets }) => buckets)));

afterEach(() => {
  vi.unstubAllEnvs();
});

test('there are recordings that are judged as a whole', () => {
  expect(verdicts.length).toBeGreaterThan(0);
});

/** Recorded runs that were once judged wrongly: the exporter must say exactly what the verdict lists. */
describe.each(verdicts)('Airflow $release, $scenario', ({ release, scenario, verdict }) => {
  test('is judged as its dags, its rows and its bucket say', async () => {
    const fixture = await replay({ postgres: postgres(), s3: s3() }, { release, scenario });
    try {
      const report = await fixture.cycle.run(await fixture.probe(), new AbortController().signal);
      expect(report.databaseFailure).toBeNull();
      const { window } = report;
      expect(window?.rows).toEqual(verdict.rows);
      expect(window?.broken).toEqual({ unreadable: 0, ...verdict.broken });
      expect(window?.bytes.s3).toBe(verdict.s3_bytes);
      expect(window?.orphanObjects).toBe(verdict.orphans);
      if (verdict.oversize_rows !== undefined) expect(window?.oversizeRows).toBe(verdict.oversize_rows);
      const [least, most] = verdict.db_bytes ?? [0, Infinity];
      expect(window?.bytes.db).toBeGreaterThanOrEqual(least);
      expect(window?.bytes.db).toBeLessThanOrEqual(most);

      const said = report.problems.filter(({ code }) => verdict.may?.includes(code) !== true);
      expect(said.map(({ code }) => code).sort()).toEqual([...verdict.problems].sort());
      for (const { code, evidence, where } of said) {
        for (const [label, names] of Object.entries(verdict.where?.[code] ?? {}))
          expect(where.filter((place) => place.label === label).map(({ value }) => value)).toEqual(
            expect.arrayContaining([...names]),
          );
        const { has = [], not = [] } = verdict.evidence?.[code] ?? {};
        for (const words of has) expect(evidence).toContain(words);
        for (const words of not) expect(evidence).not.toContain(words);
      }
      // The SDK looks for credentials in the environment of the process.
      for (const [name, value] of Object.entries(fixture.env))
        if (name.startsWith('AWS_')) vi.stubEnv(name, value);
      expect(checkCode(await examineAsWorker(fixture.env))).toBe(verdict.exit_code);
    } finally {
      await fixture.close();
    }
  });
});
