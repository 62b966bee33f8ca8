import type { Writes } from '../airflow/catalogue-queries.ts';
import { classify } from '../airflow/classify.ts';
import type { Shape, UnknownShape } from '../airflow/shape.ts';
import type { StandingRule } from '../airflow/xcom-path.ts';
import type { FaultLooks } from '../objects/earlier-tries.ts';
import { noteEarlierTries } from '../objects/earlier-tries.ts';
import type { Query } from '../postgres/client.ts';
import type { Place } from '../postgres/standby.ts';
import type { WaitingLooks } from '../sample/measure.ts';
import { measureBaseline } from '../sample/measure.ts';
import { sample } from '../sample/sample.ts';
import type { ReadShape } from '../sample/shape-reader.ts';
import type { Patience } from '../sample/unpack.ts';
import type { WorkerLooks } from '../sample/workers.ts';
import { attribute, worthAttributing } from '../sample/workers.ts';
import type { Config } from '../settings/config.ts';
import type { BaseLooks } from '../window/bases.ts';
import { basesOf } from '../window/bases.ts';
import { rowIncrements } from '../window/increments.ts';
import type { Increment } from '../window/increments.ts';
import type { Ledger } from '../window/ledger.ts';
import type { CanaryWatch } from './canary-watch.ts';

export interface RowsRead {
  readonly shape: Shape;
  /** The clock of the database, epoch ms. */
  readonly now: number;
  /** Rows that were not measured because of the cap. */
  readonly unmeasured: number;
  readonly writes: Writes;
}

export interface ReadRowsOptions {
  readonly place: Place;
  readonly config: Pick<Config, 'windowMs' | 'shard' | 'canaryDagId' | 'xcom'>;
  readonly standing: StandingRule;
  readonly looks: {
    readonly bases: BaseLooks;
    readonly faults: FaultLooks;
    readonly workers: WorkerLooks;
    readonly waiting: WaitingLooks;
  };
  readonly readShape: ReadShape;
  readonly patience: Patience;
  readonly canary: Pick<CanaryWatch, 'look'>;
  /** How many rows it asks the worker of, besides new oversize rows. */
  readonly workersACycle: number;
  readonly random: () => number;
  /** Receives the increments as soon as the ledger has the rows, so that a later failed statement loses none. */
  readonly count: (increments: readonly Increment[]) => void;
}

/** Reads the new rows into the ledger, with the workers of those that matter, and measures some older rows. */
export async function readRows(
  query: Query,
  ledger: Ledger,
  {
    place,
    config,
    standing,
    looks,
    readShape,
    patience,
    canary,
    count,
    workersACycle,
    random,
  }: ReadRowsOptions,
): Promise<RowsRead | UnknownShape> {
  const { windowMs, shard, canaryDagId, xcom } = config;
  const { oversize } = xcom;
  const sampled = await sample(query, ledger, {
    place,
    windowMs,
    shard,
    canaryDagId,
    oversize,
    readShape,
    patience,
    classify: (row, { shape: { major }, isRun }) => classify(row, { major, isRun }),
  });
  if ('unsupported' in sampled) return sampled;
  const { shape, now, unmeasured, writes } = sampled;
  const fresh = await ledger.takeIn(sampled, { windowMs });
  const bases = await basesOf(ledger, { standing, threshold: xcom.threshold, looks: looks.bases });
  count(rowIncrements(ledger, fresh, { oversize, bases }));
  await noteEarlierTries(query, shape, { ledger, bases, looks: looks.faults, random });
  if (unmeasured === 0)
    await measureBaseline(query, shape, {
      ledger,
      classify: (row, isRun) => classify(row, { major: shape.major, isRun }),
      looks: looks.waiting,
      patience,
    });
  // These include rows that have just turned out to be large.
  const slots = await worthAttributing(ledger, {
    oversize,
    bases,
    most: workersACycle,
    looks: looks.workers,
  });
  await attribute(query, shape, { ledger, slots });
  await canary.look(query, { shape, runs: sampled.canaryRuns, now });
  return { shape, now, unmeasured, writes };
}
