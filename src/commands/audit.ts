import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { catalogueStatement } from '../airflow/catalogue-queries.ts';
import type { CatalogueColumn } from '../airflow/shape.ts';
import { mayLackConnection, recogniseShape, SHAPE_TABLES } from '../airflow/shape.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import type { AuditOptions } from '../audit/audit.ts';
import { audit, readReferences } from '../audit/audit.ts';
import { AUDIT_FLAGS, parseAuditFlags } from '../audit/flags.ts';
import { monthsPicture } from '../audit/picture.ts';
import { createRate } from '../audit/rate.ts';
import { writeReferences } from '../audit/references.ts';
import { writeResults } from '../audit/results.ts';
import { auditCode, auditDocument, auditText } from '../audit/summary.ts';
import { WORK_FOLDER } from '../audit/work-folder.ts';
import { openDatabase } from '../postgres/client.ts';
import { openStores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import { ConfigError, requireDatabase } from '../settings/config.ts';
import { createStoredConnections } from '../settings/stored-connections.ts';
import { auditResultPath, writeAuditResult } from '../state/audit-result.ts';
import { auditResult } from './audit-result.ts';
import type { CommandIo } from './command.ts';
import { loadConfig } from './command.ts';
import { plain, startProgress } from './terminal.ts';

/** Longer than a purge of Airflow 3 takes from deleting an object to deleting its row. */
const SETTLE_MS = 15_000;
const CONCURRENCY = 16;

/**
 * Compares the whole bucket with the whole table, once. The audit reads the database and the bucket, and writes into a
 * folder.
 *
 * @returns 0: every object that rows name is there, or the references were written as asked; 1: something is missing or
 * cannot be read; 2: something could not be found out.
 */
export async function auditCommand(io: CommandIo): Promise<number> {
  const { own, rest } = parseAuditFlags(io.argv);
  const config = loadConfig({ ...io, argv: rest }, AUDIT_FLAGS);
  const where = requireDatabase(config);
  const configured = configuredBases(config);
  const beside = own.leavesState ? auditResultPath(requireStateFile(config)) : null;
  const out = resolve(own.out);
  mkdirSync(out, { recursive: true });
  const begun = `${new Date().toISOString().slice(0, 19).replaceAll(':', '')}Z`;
  const named = (what: string) => join(out, `${what}-${begun}`);
  const database = openDatabase(where, { lock: null, tables: SHAPE_TABLES });
  const observer = { request: () => undefined, failure: () => undefined };
  const stores = openStores(config.s3, { observer, log: pino({ level: 'silent' }) });
  let words = 'starting';
  const progress = startProgress(io, () => words);
  const says = sayingStages(io);
  try {
    stores.learn(
      await createStoredConnections(config, { database, clock: () => performance.now() }).read(io.signal),
    );
    const catalogue = await database.read((query) => query<CatalogueColumn>(catalogueStatement()), io.signal);
    const shape = recogniseShape(catalogue);
    stores.takeUnnamed(!('unsupported' in shape) && mayLackConnection(shape));
    const options: AuditOptions = {
      database,
      storeOf: stores.of,
      connectionOf: stores.connectionOf,
      isKnown: stores.knows,
      configured,
      inventory: own.inventory,
      work: join(out, WORK_FOLDER),
      olderThanMs: own.olderThanMs,
      memoryBytes: own.memoryBytes,
      pages: createRate(own.pagesPerSecond),
      requests: createRate(own.requestsPerSecond),
      concurrency: CONCURRENCY,
      settle: (signal) => sleep(SETTLE_MS, undefined, { signal }),
      signal: io.signal,
      report: (next) => {
        words = next;
        says(next);
      },
      note: (sentence) => {
        // On a terminal the sentence takes the place of the line that shows the progress.
        io.stderr(`${io.stderrIsTty ? '\r\u001b[K' : ''}${sentence}\n`);
      },
    };
    if (own.isForReferences) {
      await readReferences(options, ({ asOf, bases }, duck) =>
        writeReferences({ duck, rowsAsOf: asOf, bases, folder: named('references') }),
      );
      progress.stop();
      io.stdout(
        own.asJson ? `${JSON.stringify({ folder: named('references') })}\n` : `${named('references')}\n`,
      );
      return 0;
    }
    const folder = named('audit');
    const { code, result } = await audit(options, async (audited, duck) => {
      const document = auditDocument(audited, { folder, version: io.version });
      const json = `${JSON.stringify(document, null, 2)}\n`;
      const text = auditText(audited, { folder, plain });
      await writeResults({
        duck,
        folder,
        documents: {
          'summary.json': json,
          'summary.txt': text,
          'bytes-by-month.svg': monthsPicture(audited.figures.byMonth),
        },
      });
      progress.stop();
      io.stdout(own.asJson ? json : text);
      return { code: auditCode(audited), result: auditResult(audited, Date.now()) };
    });
    if (beside !== null) await writeAuditResult(beside, result);
    return code;
  } catch (error) {
    if (!io.signal.aborted) throw error;
    throw new Error('audit: interrupted. Call it again with the same --out, and it goes on', {
      cause: error,
    });
  } finally {
    progress.stop();
    stores.close();
    await database.close();
  }
}

function configuredBases(config: Config): { bucket: string; prefix: string; connection: string }[] {
  const bases = (config.xcom.paths ?? [])
    .filter(isS3Path)
    .map(({ bucket, prefix, connection }) => ({ bucket, prefix, connection: connection ?? '' }));
  if (bases.length === 0)
    throw new ConfigError([
      'xcom.path: the audit needs a path in S3: give --xcom.path s3://[conn_id@]bucket[/prefix]',
    ]);
  return bases;
}

function requireStateFile({ stateFile }: Config): string {
  if (stateFile === null)
    throw new ConfigError([
      '--state: the exporter keeps no state file: give --state.file as it has it, or leave out --state',
    ]);
  return stateFile;
}

/** Without a terminal, prints one line for each stage. The stage is the text before the colon. */
function sayingStages(io: CommandIo): (words: string) => void {
  let stage = '';
  return (words) => {
    const [next = ''] = words.split(':');
    if (next === stage || io.stderrIsTty) return;
    stage = next;
    io.stderr(`${words}\n`);
  };
}
