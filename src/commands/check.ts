import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { SHAPE_TABLES } from '../airflow/shape.ts';
import { createCycle } from '../daemon/cycle.ts';
import type { Report } from '../diagnosis/report.ts';
import { COMPARED_EVERY } from '../diagnosis/surveyor.ts';
import { openDatabase } from '../postgres/client.ts';
import { probeInForce } from '../probe/in-force.ts';
import { createWriteRefusals } from '../probe/write-refusal.ts';
import { openStores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import { requireDatabase } from '../settings/config.ts';
import { createStoredConnections } from '../settings/stored-connections.ts';
import type { Checked } from '../status/check-document.ts';
import { checkCode, checkDocument } from '../status/check-document.ts';
import { checkText } from './check-text.ts';
import type { CommandIo } from './command.ts';
import { loadConfig } from './command.ts';
import { preflightCommand } from './preflight.ts';
import { painter, startProgress } from './terminal.ts';

/** Rounds of verifying, so that a window larger than one cycle's ceiling is still decided. */
const MAX_ROUNDS = 20;
/** The most rows whose writers are asked for: there is no next cycle for the others. */
const WORKERS_AT_ONCE = 20_000;

/**
 * One pass over the window and one probe. 0: healthy; 1: problems found; 2: could not decide, because the
 * database or object storage gave no answer, or only a sample of a large window could be looked at.
 */
export async function checkCommand(io: CommandIo): Promise<number> {
  const asJson = io.argv.includes('--json');
  const own = ['--json', '--probe-only'];
  const config = loadConfig({ ...io, argv: io.argv.filter((word) => !own.includes(word)) }, own);
  if (io.argv.includes('--probe-only')) return preflightCommand(io, { config, asJson });
  const checked = await examine(config, io);
  io.stdout(
    asJson ? `${JSON.stringify(checkDocument(checked), null, 2)}\n` : checkText(checked, painter(io)),
  );
  return checkCode(checked);
}

/** Finds what `check` reports with these settings, as values. */
export async function examine(config: Config, io: CommandIo): Promise<Checked> {
  const where = requireDatabase(config);
  let stage = 'probing object storage';
  let requests = 0;
  const progress = startProgress(io, () =>
    requests === 0 ? stage : `${stage}, ${requests} requests to object storage`,
  );
  const database = openDatabase(where, { lock: null, tables: SHAPE_TABLES });
  const observer = {
    request: () => {
      requests += 1;
    },
    failure: () => undefined,
  };
  const stores = openStores(config.s3, { observer, log: pino({ level: 'silent' }) });
  try {
    const stored = createStoredConnections(config, { database, clock: () => performance.now() });
    stores.learn(await stored.read(io.signal));
    const probed = await probeInForce(config, {
      stores,
      refusals: createWriteRefusals(),
      id: randomUUID(),
      mayErase: true,
      signal: io.signal,
    });
    const cycle = createCycle({
      config,
      database,
      stores,
      stored,
      restored: null,
      workersACycle: WORKERS_AT_ONCE,
      random: Math.random,
      clock: Date.now,
      comparison: {
        every: COMPARED_EVERY,
        differs: (message) => {
          io.stderr(`airflow-xcom-exporter: ${message}\n`);
        },
      },
    });
    stage = 'reading the window';
    let report = await cycle.run(probed, io.signal);
    let before = -1;
    for (let round = 1; round < MAX_ROUNDS && isOpen(report) && (report.coverage ?? 0) > before; round += 1) {
      before = report.coverage ?? 0;
      stage = `${Math.floor(before * 100)} % of the window decided`;
      report = await cycle.run(probed, io.signal);
    }
    return { report, probed, warnings: [...config.warnings, ...stored.warnings()], version: io.version };
  } finally {
    progress.stop();
    stores.close();
    await database.close();
  }
}

/** True when another round could decide more. */
function isOpen({ coverage, databaseFailure, s3Failure }: Report): boolean {
  return coverage !== null && coverage < 1 && databaseFailure === null && s3Failure === null;
}
