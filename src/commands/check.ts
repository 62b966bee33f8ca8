import { openDatabase } from '../clients/postgres.ts';
import { requireDatabase } from '../config.ts';
import type { Config } from '../config.ts';
import { createCycle } from '../cycle.ts';
import { pino } from 'pino';
import { probeInForce } from '../probe-in-force.ts';
import type { ProbeResult } from '../probe.ts';
import { PROBLEMS } from '../problems.ts';
import type { Report } from '../report.ts';
import { openStores } from '../stores.ts';
import { loadConfig } from './command.ts';
import type { CommandIo } from './command.ts';
import { checkText } from './check-text.ts';

/** Bumped whenever a field of `check --json` changes its meaning. */
const JSON_VERSION = 1;
/** Rounds of verifying, so that a window larger than one cycle's ceiling is still decided. */
const MAX_ROUNDS = 20;

/**
 * One pass over the window and one probe. 0: healthy; 1: problems found; 2: could not decide, because the
 * database or object storage gave no answer.
 */
export async function checkCommand(io: CommandIo): Promise<number> {
  const asJson = io.argv.includes('--json');
  const argv = io.argv.filter((word) => word !== '--json');
  const config = loadConfig({ ...io, argv });
  requireDatabase(config);
  const { report, probed } = await examine(config, io);
  const code = exitCode(report, probed);
  io.stdout(
    asJson
      ? `${JSON.stringify(asDocument(report, probed, code), null, 2)}\n`
      : checkText(report, { probed, code, isTty: io.isTty }),
  );
  return code;
}

async function examine(
  config: Config,
  io: CommandIo,
): Promise<{ report: Report; probed: ProbeResult | null }> {
  const database = openDatabase(requireDatabase(config));
  const observer = { request: () => undefined, failure: () => undefined };
  const stores = openStores(config, { observer, log: pino({ level: 'silent' }) });
  try {
    const probed = await probeInForce(config, { stores, signal: io.signal });
    const cycle = createCycle({
      config,
      database,
      stores,
      restored: null,
      random: Math.random,
      clock: Date.now,
    });
    let report = await cycle.run(probed, io.signal);
    for (let round = 1; round < MAX_ROUNDS && isProgressing(report); round += 1) {
      if (io.isTty) io.stderr(`checked ${Math.round((report.coverage ?? 0) * 100)} % of the window\n`);
      report = await cycle.run(probed, io.signal);
    }
    return { report, probed };
  } finally {
    stores.close();
    await database.close();
  }
}

function isProgressing({ coverage, databaseFailure, s3Failure }: Report): boolean {
  return coverage !== null && coverage < 1 && databaseFailure === null && s3Failure === null;
}

function exitCode(report: Report, probed: ProbeResult | null): number {
  if (report.problems.some(({ code }) => PROBLEMS[code].severity !== 'info')) return 1;
  const unread = report.window === null || report.databaseFailure !== null;
  const unasked = probed === null || probed.steps.every(({ ok }) => ok !== true);
  const undecided = report.s3Failure !== null || (report.coverage !== null && report.coverage < 1);
  return unread || unasked || undecided ? 2 : 0;
}

function asDocument(report: Report, probed: ProbeResult | null, code: number): unknown {
  const { increments, ...rest } = report;
  return {
    version: JSON_VERSION,
    verdict: code === 0 ? 'healthy' : code === 1 ? 'problems' : 'undecided',
    ...rest,
    problems: report.problems.map((problem) => ({
      ...problem,
      severity: PROBLEMS[problem.code].severity,
      title: PROBLEMS[problem.code].title,
      remedy: PROBLEMS[problem.code].remedy,
    })),
    probe: probed?.steps ?? null,
  };
}
