import type { ConfigurationTexts } from '../airflow/config-option.ts';
import type { AirflowConnection } from '../airflow/connection.ts';
import { connectionVariable, parseConnection } from '../airflow/connection.ts';
import type { SecretsBackend } from '../airflow/secrets-backend.ts';
import { hasLookupPattern, holderAmong, secretsBackends } from '../airflow/secrets-backend.ts';
import { brokenProxy } from '../airflow/worker-proxies.ts';
import type { WorkerWorld } from '../airflow/worker-s3.ts';
import { s3Connection } from '../airflow/worker-s3.ts';
import type { XComPath } from '../airflow/xcom-path.ts';
import { isS3Path } from '../airflow/xcom-path.ts';
import { nearest } from '../lib/nearest.ts';
import type { S3Connection } from '../s3/connection.ts';
import { isQuoted } from './airflow-source.ts';
import type { Attempts } from './attempts.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface NamedConnection {
  /** '' is the one that a path without an id uses. */
  readonly id: string;
  /** The variable that holds the connection, or would hold it. */
  readonly variable: string;
  /** Null when no variable holds it. */
  readonly given: AirflowConnection | null;
  readonly isSet: boolean;
  /** Null when what was given is wrong. */
  readonly s3: S3Connection | null;
}

/** The connections that the paths name, and '' for a reference without a connection. */
export function readConnections(
  paths: readonly XComPath[],
  world: WorkerWorld,
  { attempt }: Attempts,
): readonly NamedConnection[] {
  return connectionIds(paths).map((id) => {
    const variable = holderOf(id, world.env);
    const text = id === '' ? '' : (world.env[variable] ?? '');
    const given = text === '' ? null : attempt(variable, () => parseUnquoted(text));
    const bare =
      brokenProxy(world.env) === null
        ? 'AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url of the AWS config file'
        : 'S3 without a connection';
    const from = text === '' ? bare : variable;
    const s3 = attempt(from, () => s3Connection({ id, given }, world));
    return { id, variable, given, isSet: text !== '', s3 };
  });
}

/**
 * The connections to S3 in all other variables, by their ids in upper case. A row may name one of them, for example if
 * nobody told the path. One that cannot be read is left out: it concerns nobody unless a row names it.
 */
export function otherConnections(
  named: readonly NamedConnection[],
  world: WorkerWorld,
): ReadonlyMap<string, S3Connection> {
  const taken = new Set(named.map(({ variable }) => variable));
  return new Map(
    Object.entries(world.env).flatMap(
      ([variable, text = '']): readonly (readonly [string, S3Connection])[] => {
        const id = /^AIRFLOW_CONN_([A-Z0-9].*)$/.exec(variable)?.[1];
        if (id === undefined || taken.has(variable) || !isOfS3(text)) return [];
        try {
          return [[id, s3Connection({ id, given: parseConnection(text) }, world)]];
        } catch {
          return [];
        }
      },
    ),
  );
}

/** Whether a connection may be one to S3, by the type that it names. For one without a type, Airflow takes `aws`. */
function isOfS3(text: string): boolean {
  if (!/^\s*\{/.test(text)) return /^\s*(?:aws|s3):\/\//.test(text);
  const { uri, conn_type: type } = objectIn(text);
  if (typeof uri === 'string' && uri !== '') return isOfS3(uri);
  return !type || type === 'aws' || type === 's3';
}

/** The keys of a JSON object; none for another text, which no parser takes for a connection. */
function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}

/** The ids that the paths name and nothing here holds, each with its reason. */
export function missingConnections(
  connections: readonly NamedConnection[],
  view: string | null,
): ReadonlyMap<string, string> {
  const why = (id: string) =>
    view === null
      ? `the connection ${id} is not known here (give ${connectionVariable(id)})`
      : `the connection ${id} has not been read from the view ${view} of Airflow's database`;
  return new Map(connections.filter(({ id, isSet }) => id !== '' && !isSet).map(({ id }) => [id, why(id)]));
}

function connectionIds(paths: readonly XComPath[]): readonly string[] {
  return [...new Set(['', ...paths.filter(isS3Path).map((path) => path.connection ?? '')])];
}

/**
 * A task of any team asks for the plain variable first. If that is not set, the API server gives it what its team has
 * (Airflow 3.2 and later).
 */
function holderOf(id: string, env: Environment): string {
  const plain = connectionVariable(id);
  const [ofTeam, another] = teamVariables(id, env);
  return isSetIn(env, plain) || ofTeam === undefined || another !== undefined ? plain : ofTeam;
}

function teamVariables(id: string, env: Environment): readonly string[] {
  return Object.keys(env).filter(
    (name) =>
      name.startsWith('AIRFLOW_CONN__') && name.endsWith(`___${id.toUpperCase()}`) && isSetIn(env, name),
  );
}

function isSetIn(env: Environment, name: string): boolean {
  return (env[name] ?? '') !== '';
}

function parseUnquoted(text: string): AirflowConnection {
  if (isQuoted(text.trim())) throw new RangeError(IN_QUOTES);
  return parseConnection(text);
}

/** Warns of connections that the paths name and the environment does not hold, or holds more than once. */
export function connectionWarnings(
  connections: readonly NamedConnection[],
  { from, view }: { readonly from: ConfigurationTexts; readonly view: string | null },
): readonly string[] {
  const ofPaths = connections
    .filter(({ id }) => id !== '')
    .flatMap(({ id, variable, isSet }) => [
      ...teamWarnings(id, from.env),
      ...(isSet
        ? askedBefore({ id, place: variable }, secretsBackends(from))
        : missingConnection(id, { from, view })),
    ]);
  const quoted = Object.entries(from.env).filter(
    ([name, text]) => /^AIRFLOW_CONN_/.test(name) && isQuoted(text?.trim() ?? ''),
  );
  return [...ofPaths, ...quoted.map(([name]) => `${name} ${IN_QUOTES}`)];
}

const IN_QUOTES =
  'has quotes around its value: Compose takes them off, docker run --env-file does not: give it without';

function teamWarnings(id: string, env: Environment): string[] {
  const plain = connectionVariable(id);
  const ofTeams = teamVariables(id, env);
  if (isSetIn(env, plain) || ofTeams.length < 2) return [];
  return [
    `${ofTeams.join(' and ')} are connections of several teams, and which one the path uses is not known: give ${plain}`,
  ];
}

/**
 * Airflow asks a secrets backend before its environment, and its database last. The exporter asks no secrets backend,
 * and the database only through a view.
 */
function missingConnection(
  id: string,
  { from, view }: { readonly from: ConfigurationTexts; readonly view: string | null },
): string[] {
  const variable = connectionVariable(id);
  const slip = slipOf(id, from.env);
  if (slip !== null)
    return [
      `${slip} is no variable of Airflow's for the connection ${id}, which the path names: did you mean ${variable}?`,
    ];
  const backend = holderAmong(secretsBackends(from), id);
  if (backend !== null)
    return [
      `Airflow may ask ${nameOf(backend)} first for the connection ${id}, and the exporter does not: give it as ${variable}`,
    ];
  // Whether the view has it is told when the view is read.
  if (view !== null) return [];
  return [
    `The connection ${id}, which the path names, is not known here, as where it was made in Airflow's interface: give it as ${variable}, or a view of it as airflow.connections. Until then run and check try the credentials that AWS finds here in its place; check --probe-only tries nothing`,
  ];
}

/** Any other text than a class may be the backend's options, with a secret in them. */
function nameOf({ className }: SecretsBackend): string {
  return /^[\w.]+$/.test(className) ? className : 'a secrets backend';
}

/** Warns that the workers may have another connection of this id than the one in `place`. */
export function askedBefore(
  { id, place }: { readonly id: string; readonly place: string },
  backends: readonly SecretsBackend[],
): string[] {
  const backend = holderAmong(backends, id);
  if (backend === null) return [];
  const orPattern = hasLookupPattern(backend)
    ? ', or, if the backend has none, exclude the id by its option connections_lookup_pattern'
    : '';
  return [
    `Airflow may ask ${nameOf(backend)} for the connection ${id} before ${place}, and the exporter does not: a refusal of the exporter's keys says nothing of the workers'. Give the exporter the same connection as the backend has${orPattern}`,
  ];
}

/** A variable that was meant for the connection: misspelt, in lower case, or with other underscores. */
function slipOf(id: string, env: Environment): string | null {
  const bare = (name: string) => name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '');
  const wanted = bare(connectionVariable(id));
  const names = Object.keys(env).filter((name) => /^AIRFLOW_?_?CONN?/i.test(name) && isSetIn(env, name));
  const found = nearest(wanted, names.map(bare), { within: id.length < 5 ? 0 : 2 });
  return names.find((name) => bare(name) === found) ?? null;
}

const AUTHORITIES = 'AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or ca_bundle of the AWS config file';

/**
 * Checked at the start: a missing or empty file of authorities would else show at the first request, and in each cycle.
 */
export function checkConnectionFiles(
  connections: readonly NamedConnection[],
  { problems, readText }: Attempts,
): void {
  for (const { s3 } of connections) {
    if (s3 === null || s3.authorities === null) continue;
    const before = problems.length;
    const text = readText(s3.authorities, AUTHORITIES);
    if (problems.length === before && !/-BEGIN (?:TRUSTED |X509 )?CERTIFICATE-/.test(text))
      problems.push(`${AUTHORITIES}: the file holds no certificate: give one in PEM`);
  }
}
