import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { watchAudit } from '../../../src/daemon/audit-watch.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import type { AuditResult } from '../../../src/state/audit-result.ts';
import {
  auditResultPath,
  auditStamp,
  readAuditResult,
  writeAuditResult,
} from '../../../src/state/audit-result.ts';
import { expectScrapeMatchesContract } from '../../support/contract.ts';
import { METRICS_OPTIONS } from '../../support/small-exporter.ts';

const RESULT: AuditResult = {
  at: 1_700_000_000_000,
  objects: {
    named: { objects: 10, bytes: 1_000 },
    orphaned: { objects: 3, bytes: 300 },
    young: { objects: 0, bytes: 0 },
    other: { objects: 1, bytes: 5 },
  },
  missing: 2,
  unlistedPlaces: 0,
};

const folder = mkdtempSync(join(tmpdir(), 'audit-watch-'));
const stateFile = join(folder, 'state');
const path = auditResultPath(stateFile);
beforeEach(() => {
  rmSync(path, { recursive: true, force: true });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function start(file: string | null = stateFile) {
  const lines: { level: number; msg: string; why?: string }[] = [];
  const log = pino(
    { level: 'debug' },
    { write: (line: string) => lines.push(JSON.parse(line) as (typeof lines)[number]) },
  );
  const metrics = createMetrics(METRICS_OPTIONS);
  const watch = watchAudit({ stateFile: file, metrics, log });
  const shown = async () => {
    const { text } = await metrics.snapshot();
    const scrape = expectScrapeMatchesContract(text.toString('utf8'));
    const series = [...scrape.values()].flatMap(({ name, samples }) =>
      name.startsWith('airflow_xcom_audit_') ? samples : [],
    );
    return Object.fromEntries(
      series.map(({ name, labels, value }) => [
        [name.slice('airflow_xcom_audit_'.length), ...Object.values(labels)].join(' '),
        value,
      ]),
    );
  };
  return { watch, lines, shown };
}

test('a new mode of the file alone is a change: a file that could not be read can then be', async () => {
  await writeAuditResult(path, RESULT);
  const before = await auditStamp(path);
  // The kernel gives times in steps of some milliseconds.
  await delay(50);
  chmodSync(path, 0o640);
  expect(await auditStamp(path)).not.toBe(before);
});

const SHOWN = {
  timestamp_seconds: 1_700_000_000,
  'objects named': 10,
  'objects orphaned': 3,
  'objects young': 0,
  'objects other': 1,
  'bytes named': 1_000,
  'bytes orphaned': 300,
  'bytes young': 0,
  'bytes other': 5,
  missing_references: 2,
  unlisted_places: 0,
};

describe('the result of the last audit', () => {
  test('is shown as it was written, and followed', async () => {
    await writeAuditResult(path, RESULT);
    const { watch, lines, shown } = start();
    expect(await shown()).toEqual({});
    await watch.look();
    expect(await shown()).toEqual(SHOWN);
    await watch.look();
    expect(lines.map(({ msg }) => msg)).toEqual(['the last audit is shown']);
    await writeAuditResult(path, { ...RESULT, missing: 7 });
    await watch.look();
    expect(await shown()).toEqual({ ...SHOWN, missing_references: 7 });
    expect(readdirSync(folder)).toEqual(['state.audit.json']);
  });

  test('is shown only as far as it is known', async () => {
    const objects = { ...RESULT.objects, orphaned: null, young: null };
    await writeAuditResult(path, { ...RESULT, objects, missing: null, unlistedPlaces: 1 });
    const { watch, shown } = start();
    await watch.look();
    const unknown = [
      'objects orphaned',
      'objects young',
      'bytes orphaned',
      'bytes young',
      'missing_references',
    ];
    const known = Object.entries(SHOWN).filter(([name]) => !unknown.includes(name));
    expect(await shown()).toEqual({ ...Object.fromEntries(known), unlisted_places: 1 });
  });

  test.each<[string, () => void, string]>([
    [
      'damaged',
      () => {
        writeFileSync(path, '{"format":"airflow-xcom-exporter-audit/1","at":170000');
      },
      'it is damaged',
    ],
    [
      'without a figure',
      () => {
        writeFileSync(path, JSON.stringify({ format: 'airflow-xcom-exporter-audit/1', at: 1 }));
      },
      'it is damaged',
    ],
    [
      'with a figure that cannot be',
      () => {
        const body = { format: 'airflow-xcom-exporter-audit/1', ...RESULT, missing: -1 };
        writeFileSync(path, JSON.stringify(body));
      },
      'it is damaged',
    ],
    [
      'of a newer version',
      () => {
        writeFileSync(path, JSON.stringify({ format: 'airflow-xcom-exporter-audit/2', ...RESULT }));
      },
      'it is of another version of the exporter',
    ],
    [
      'too long',
      () => {
        writeFileSync(path, ' '.repeat(70_000));
      },
      'it is too long',
    ],
    [
      'a folder',
      () => {
        mkdirSync(path);
      },
      'it cannot be read: EISDIR',
    ],
    [
      'a pipe',
      () => {
        execFileSync('mkfifo', [path]);
      },
      'it is damaged',
    ],
  ])('is not shown when it is %s, and the log says so once', async (_, damage, why) => {
    await writeAuditResult(path, RESULT);
    const { watch, lines, shown } = start();
    await watch.look();
    expect(await shown()).toEqual(SHOWN);
    rmSync(path);
    damage();
    await watch.look();
    await watch.look();
    expect(await shown()).toEqual({});
    expect(lines.slice(1).map(({ level, why: said }) => [level, said])).toEqual([[50, why]]);
  });

  test('is not shown when it is gone, and comes back', async () => {
    const { watch, lines, shown } = start();
    await watch.look();
    expect(await shown()).toEqual({});
    await writeAuditResult(path, RESULT);
    await watch.look();
    rmSync(path);
    await watch.look();
    expect(await shown()).toEqual({});
    await writeAuditResult(path, RESULT);
    await watch.look();
    expect(await shown()).toEqual(SHOWN);
    expect(lines.map(({ level }) => level)).toEqual([20, 30, 40, 30]);
  });

  test('is hidden by one that stands by, and shown when it leads again', async () => {
    await writeAuditResult(path, RESULT);
    const { watch, shown } = start();
    await watch.look();
    watch.hide();
    expect(await shown()).toEqual({});
    await watch.look();
    expect(await shown()).toEqual(SHOWN);
  });

  test('is looked for nowhere without a state file', async () => {
    const { watch, lines, shown } = start(null);
    await watch.look();
    expect([await shown(), lines]).toEqual([{}, []]);
  });

  test('is the old one or the new one for whoever reads while it is written', async () => {
    await writeAuditResult(path, RESULT);
    const writing = new AbortController();
    const written = (async () => {
      for (let round = 0; round < 100; round += 1)
        await writeAuditResult(path, { ...RESULT, missing: round });
      writing.abort();
    })();
    const kinds = new Set<string>();
    while (!writing.signal.aborted) kinds.add((await readAuditResult(path)).kind);
    await written;
    expect([...kinds]).toEqual(['found']);
  });
});
