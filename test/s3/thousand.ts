import { randomUUID } from 'node:crypto';
import type { Verified } from '../../src/objects/verify.ts';
import { verify } from '../../src/objects/verify.ts';
import { orphans as orphansOf } from '../../src/diagnosis/window-totals.ts';
import { emptyState } from '../../src/window/ledger-state.ts';
import type { Ledger } from '../../src/window/ledger.ts';
import { createLedger } from '../../src/window/ledger.ts';
import { newRun } from '../../src/window/run.ts';
import { recordRequests, storesOf } from '../support/s3.ts';
import type { Case, Cell } from './case.ts';
import type { World } from './world.ts';
import { never } from './world.ts';

/** The cycles of an hour, with one every 30 s. */
const CYCLES = 120;
const CYCLE_MS = 30_000;
const ORPHANS = 5;

export const THOUSAND: readonly Case[] = [
  {
    name: '1,000 references by LIST, for an hour',
    run: (world) =>
      thousand(world, { runs: 4, nameOf: (at) => `scheduled__2026-01-0${at + 1}T00:00:00+00:00` }),
  },
  {
    name: '1,000 references by HEAD, for an hour',
    run: (world) => thousand(world, { runs: 100, nameOf: (at) => `run-${at}` }),
  },
];

interface Layout {
  readonly runs: number;
  readonly nameOf: (run: number) => string;
}

interface Planted {
  readonly ledger: Ledger;
  readonly missing: ReadonlySet<string>;
  readonly empty: ReadonlySet<string>;
}

/** Ten objects are missing, ten are empty, and five have no row: every cycle must report exactly these. */
async function thousand(world: World, layout: Layout): Promise<Cell> {
  const bucket = await world.newBucket();
  const { ledger, missing, empty } = await plant(world, bucket, layout);
  const observer = recordRequests();
  const stores = storesOf(world.open({}, observer), observer);
  const base = { connection: '', bucket, prefix: 'xcom' };
  // The cycles begin after the time in which an object may still get its row.
  const start = Date.now() + 3_600_000;
  const cycle = async (at: number): Promise<Verified> => {
    const options = {
      stores,
      bases: [base],
      control: null,
      unfinished: new WeakMap(),
      isCurrent: true,
      requests: 2_000,
      now: start + at * CYCLE_MS,
      from: 0,
      random: Math.random,
    };
    const verified = await verify(ledger, options, never);
    for (const { slot, object, bytes } of verified.answers)
      ledger.rows().setObject(ledger.runOf(slot), slot, { object, bytes });
    return verified;
  };
  const first = await cycle(0);
  const { list, head } = observer.requests;
  const keyOf = (slot: number) => ledger.rows().referenceOf(ledger.runOf(slot), slot)?.key ?? '';
  const ofKind = (kind: string) =>
    new Set(first.answers.filter(({ object }) => object === kind).map(({ slot }) => keyOf(slot)));
  let later = 0;
  for (let at = 1; at <= CYCLES; at += 1) later += (await cycle(at)).answers.length;
  const { orphanObjects: orphans } = orphansOf(ledger);
  const isExact =
    isSame(ofKind('missing'), missing) && isSame(ofKind('empty'), empty) && ofKind('present').size === 980;
  return {
    seen: `980 full, 10 empty, 10 deleted, ${ORPHANS} without a row`,
    said: `${ofKind('present').size} present, ${ofKind('empty').size} empty, ${ofKind('missing').size} missing, ${orphans} orphans (${list} LIST, ${head} HEAD); in ${CYCLES} cycles more ${later} changes`,
    right: isExact && later === 0 && orphans === ORPHANS && first.unchecked.size === 0,
  };
}

function isSame(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((each) => b.has(each));
}

async function plant(world: World, bucket: string, { runs, nameOf }: Layout): Promise<Planted> {
  const state = emptyState();
  const full: string[] = [];
  const missing = new Set<string>();
  const empty = new Set<string>();
  const each = 1_000 / runs;
  const at = Date.now();
  for (let id = 0; id < runs; id += 1) {
    const run = newRun(state.runSlots.take(), {
      id,
      dagId: 'Dag',
      runId: nameOf(id),
      live: false,
      readAt: at,
      horizon: '7',
      expired: 0,
      gone: false,
      activeAt: at,
      listed: null,
    });
    state.runSlots.put(run);
    state.runs.set(run.id, run);
    for (let index = 0; index < each; index += 1) {
      const taskId = index % 2 === 0 ? 'Load' : 'extract';
      const key = `xcom/Dag/${run.runId}/${taskId}/${randomUUID()}`;
      const number = id * each + index;
      if (number % 100 === 0) missing.add(key);
      else if (number % 100 === 50) empty.add(key);
      else full.push(key);
      const row = {
        table: 'xcom' as const,
        dagRunId: id,
        dagId: 'Dag',
        runId: run.runId,
        taskId,
        mapIndex: index,
        key: 'return_value',
        taskInstanceId: null,
        version: '3',
        at,
        isNull: false,
        stored: 100,
        bytes: 100,
        leastBytes: 100,
        text: null,
      };
      const reference = { scheme: 's3', connection: '', bucket, key, prefix: 'xcom', suffix: '' };
      const placement = { storage: 's3' as const, reference, leaked: false, bytes: 100 };
      state.rows.link(run, state.rows.write(run, row, { placement, baseline: false }));
    }
  }
  const orphans = Array.from({ length: ORPHANS }, () => `xcom/Dag/${nameOf(0)}/Load/${randomUUID()}`);
  const wrote = await world.writer.fill({ bucket, keys: [...full, ...orphans] }, '"value"');
  await world.putEmpty(bucket, empty);
  const failed = wrote.find(({ ok }) => !ok);
  if (failed !== undefined) throw new Error(`s3fs cannot write: ${failed.text ?? ''}`);
  return { ledger: createLedger(state), missing, empty };
}
