import { expect, test } from 'vitest';
import { conclude, decidedOf } from '../../../src/diagnosis/conclude.ts';
import type { Standby } from '../../../src/diagnosis/diagnose.ts';
import { survey } from '../../../src/diagnosis/survey.ts';
import { newLooks } from '../../../src/diagnosis/surveyor.ts';
import { standingRule } from '../../../src/airflow/xcom-path.ts';
import { readConfig } from '../../../src/settings/read-config.ts';
import { emptyState } from '../../../src/window/ledger-state.ts';
import { createLedger } from '../../../src/window/ledger.ts';
import { createLooks } from '../../../src/window/looks.ts';
import { shapeOf } from '../../support/seed.ts';

const NOW = Date.UTC(2026, 0, 1);
const SECOND = 1_000;

function surveyed() {
  const options = {
    windowMs: 86_400_000,
    oversize: 1_000,
    threshold: 1_000,
    standing: standingRule(null),
    ownersUnread: false,
  };
  return survey(createLedger(emptyState()), options, newLooks(createLooks()));
}

async function figuresOf({
  path = 's3://aws@bucket/xcom',
  standby = { lagSeconds: 0, doubt: null },
  waitedSeconds = 0,
}: {
  readonly path?: string;
  readonly standby?: Standby;
  readonly waitedSeconds?: number;
}) {
  const seen = await surveyed();
  const waiting = { ...seen.unlooked.waiting, rows: 1, oldest: NOW - waitedSeconds * SECOND };
  const found = { ...seen, count: 4, unlooked: { ...seen.unlooked, waiting } };
  return conclude(
    {
      shape: shapeOf('3.1.8'),
      survey: found,
      orphanGrowth: 'none',
      canary: null,
      isCanaryGone: false,
      standby,
      ...decidedOf(found, { now: NOW, unmeasured: 0 }),
    },
    {
      config: readConfig({ argv: [`--xcom.path=${path}`], env: {}, readFile: () => '' }),
      probe: null,
      at: NOW,
    },
  );
}

test.each([
  { what: 'the row that has waited', waitedSeconds: 90, lagSeconds: 30, lag: 90 },
  { what: 'the standby', waitedSeconds: 30, lagSeconds: 90, lag: 90 },
  { what: 'nothing that is known', waitedSeconds: 30, lagSeconds: null, lag: null },
])('the lag is that of $what', async ({ waitedSeconds, lagSeconds, lag }) => {
  const standby = { lagSeconds, doubt: null };
  expect((await figuresOf({ waitedSeconds, standby })).lagSeconds).toBe(lag);
});

test.each([
  { inexact: 0, unmeasured: 0, coverage: 1 },
  { inexact: 3, unmeasured: 0, coverage: 0.25 },
  { inexact: 0, unmeasured: 1, coverage: 0.75 },
  { inexact: 3, unmeasured: 1, coverage: 0.25 },
])(
  '$inexact values without an exact size and $unmeasured unmeasured ones of four: $coverage is decided',
  async ({ inexact, unmeasured, coverage }) => {
    const found = { ...(await surveyed()), count: 4, inexact };
    expect(decidedOf(found, { now: NOW, unmeasured })).toMatchObject({
      coverage,
      unmeasured: Math.max(inexact, unmeasured),
    });
  },
);

test('the labels of the place show no password that stands in a path', async () => {
  const { backend } = await figuresOf({ path: 's3://aws@bucket/xcom/https://user:geheim@host/x' });
  expect(backend?.prefix).toContain('host');
  expect(JSON.stringify(backend)).not.toContain('geheim');
});
