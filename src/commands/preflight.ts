import { randomBytes, randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { connectionVariable } from '../airflow/connection.ts';
import { withinGrace } from '../lib/grace.ts';
import { secret } from '../lib/secret.ts';
import { withoutPasswords } from '../lib/without-passwords.ts';
import { noteVersions, versionsStep } from '../probe/own-versions.ts';
import type { PreflightStep } from '../probe/preflight-step.ts';
import { preflight } from '../probe/preflight.ts';
import { seeServerWays, waySteps } from '../probe/server-ways.ts';
import type { ObjectStore } from '../s3/client.ts';
import { openObjectStore } from '../s3/client.ts';
import type { S3Connection } from '../s3/connection.ts';
import { greet } from '../s3/greeting.ts';
import { openStores } from '../s3/stores.ts';
import type { Config } from '../settings/config.ts';
import { storageInForce, toldSettings } from '../settings/config.ts';
import { codecFaults, gravestFault } from '../settings/push-fault.ts';
import type { Preflight } from '../status/preflight-document.ts';
import { preflightCode, preflightDocument, preflightVerdict } from '../status/preflight-document.ts';
import type { CommandIo } from './command.ts';
import type { Paint } from './terminal.ts';
import { painter, plain } from './terminal.ts';

/**
 * `check --probe-only`: tries the place where Airflow is to write, before Airflow writes there. Asks no database.
 *
 * @returns 0: all is allowed; 1: something is wrong; 2: something could not be found out.
 */
export async function preflightCommand(
  io: CommandIo,
  options: { readonly config: Config; readonly asJson: boolean },
): Promise<number> {
  const { config } = options;
  // Some of them make every push of a worker fail, whatever the exporter may do.
  for (const warning of config.warnings) io.stderr(`airflow-xcom-exporter: warning: ${warning}\n`);
  const tried = await tryAll(options.config, io);
  io.stdout(options.asJson ? `${JSON.stringify(preflightDocument(tried), null, 2)}\n` : textOf(tried, io));
  return preflightCode(tried);
}

const UNWRITTEN = 'not tried: probe.write is false';

async function tryAll(config: Config, io: CommandIo): Promise<Preflight> {
  const path = storageInForce(config);
  const id = path?.connection ?? '';
  const connection = config.s3.connections.get(id);
  const pushFault = gravestFault([...config.xcom.pushFaults, ...codecFaults(config.xcom)], null);
  const told = { pushFault, warnings: config.warnings, version: io.version };
  // Other credentials, or another endpoint, would answer for something else than was asked.
  if (path === null || connection === undefined || config.s3.missing.has(id))
    return { ...told, target: { untried: untriedBecause(config, path === null ? null : id) }, steps: [] };
  const { bucket, prefix } = path;
  const greeting = await greet(connection, bucket, io.signal);
  const observer = { request: () => undefined, failure: () => undefined };
  const stores = openStores(config.s3, { observer, log: pino({ level: 'silent' }) });
  try {
    const own = noteVersions(stores.of(id));
    const steps = await preflight(
      own.store,
      {
        bucket,
        prefix,
        region: connection.region,
        isAtAws: connection.endpoint === null,
        write: config.probe.write,
        id: randomUUID(),
        asWorker: connection.asker === 'workers',
      },
      { greeting, signal: io.signal },
    );
    const ways = await seeWays(own.store, { connection, config, steps, bucket, prefix }, io);
    const isDone = (name: string) => steps.some(({ check, ok }) => check === name && ok === true);
    const isTried = isDone('put') && isDone('delete');
    const untried = config.probe.write ? 'not tried: it takes put and delete' : UNWRITTEN;
    const litter = await withinGrace(io.signal, own.erase);
    const all = [...steps, versionsStep(isTried ? litter : { untried }, { bucket, prefix }), ...ways];
    const name = id === '' ? 's3' : `s3 (${id})`;
    const shown = config.origins.find((origin) => origin.name === name)?.shown ?? '';
    return {
      ...told,
      target: {
        path: withoutPasswords(path.raw),
        bucket: withoutPasswords(bucket),
        prefix: withoutPasswords(prefix),
        connection: id,
        shown,
        greeting,
      },
      steps: all,
    };
  } finally {
    stores.close();
  }
}

/** Tests how the server behaves where no permission decides. Runs only if all five operations are allowed. */
async function seeWays(
  store: ObjectStore,
  tried: {
    readonly connection: S3Connection;
    readonly config: Config;
    readonly steps: readonly PreflightStep[];
    readonly bucket: string;
    readonly prefix: string;
  },
  { signal }: CommandIo,
): Promise<readonly PreflightStep[]> {
  const { connection, config, steps, bucket, prefix } = tried;
  if (!config.probe.write) return waySteps({ untried: UNWRITTEN });
  const needed: readonly string[] = ['put', 'head', 'get', 'list', 'delete'];
  if (steps.some(({ check, ok }) => needed.includes(check) && ok !== true))
    return waySteps({ untried: 'not tried: it takes put, head, get, list and delete' });
  const observer = { request: () => undefined, failure: () => undefined };
  const nobody = openObjectStore(nobodyAt(connection), { observer, log: pino({ level: 'silent' }) });
  try {
    return waySteps(await seeServerWays({ store, nobody }, { bucket, prefix, id: randomUUID() }, signal));
  } finally {
    nobody.close();
  }
}

/** A connection to the same endpoint, with keys that no server knows. */
function nobodyAt(connection: S3Connection): S3Connection {
  const accessKeyId = `AKIA${randomBytes(8).toString('hex').toUpperCase()}`;
  const secretAccessKey = secret(randomUUID());
  return { ...connection, accessKeyId, secretAccessKey, sessionToken: null, role: null };
}

/** Gives the reason as a sentence. `id`: the connection of the path; null when no path in S3 is known. */
function untriedBecause(config: Config, id: string | null): string {
  if (id === null)
    return `xcom.path ${toldSettings(config)['xcom.path'] ? 'names no place in S3' : 'is not known'}: nothing was tried.`;
  return `The connection ${id} was not tried: its keys, endpoint and region are not known. Give it as ${connectionVariable(id)}: no database is asked for it here.`;
}

function textOf(tried: Preflight, io: CommandIo): string {
  const paint = painter(io);
  const { title, notes } = preflightVerdict(tried);
  const { target, steps } = tried;
  const colour = (['green', 'red', 'yellow'] as const)[preflightCode(tried)];
  const lines = [paint(`${title}.`, colour), ...notes];
  if (!('untried' in target)) lines.push('', `${plain(target.path)} (${plain(target.shown)})`);
  for (const step of steps) {
    lines.push(`  ${markOf(step, paint)}  ${step.check.padEnd(11)}  ${plain(step.detail)}`);
    if (step.fix !== null) lines.push(`         What to do: ${plain(step.fix)}`);
  }
  return `${lines.join('\n')}\n`;
}

function markOf({ ok, isOpen }: PreflightStep, paint: Paint): string {
  if (isOpen) return paint('?    ', 'yellow');
  if (ok === null) return '-    ';
  return ok ? paint('ok   ', 'green') : paint('WRONG', 'red');
}
