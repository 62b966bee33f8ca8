import { parseUrl } from '../lib/parse-url.ts';
import type { S3Connection } from '../s3/connection.ts';
import { below, byPlace, startOf } from './key-sql.ts';
import type { Duck } from './duck.ts';
import type { Base } from './named-object.ts';
import { UNNAMED } from './no-answer.ts';
import { giveConnection, shownConnection } from './shown-connection.ts';
import { text } from './sql-text.ts';

/** The server that a connection leads to; null when the connection is not known. */
export type ServerOf = (connection: string) => string | null;

export interface Connections {
  readonly connectionOf: (id: string) => S3Connection;
  /** False for an id that only rows name, when another connection stands in for it. */
  readonly isKnown: (id: string) => boolean;
}

export function serversOf({ connectionOf, isKnown }: Connections): ServerOf {
  return (id) => (isKnown(id) ? serverAt(connectionOf(id)) : null);
}

/** The partition of AWS whose list prices are known. */
export const PRICED = 'AWS';

/** A bucket has one name on all endpoints of its partition. Each partition has its own regions, accounts and names. */
const PARTITIONS: readonly (readonly [name: string, region: RegExp, host: RegExp])[] = [
  ['AWS China', /^cn-/, /\.amazonaws\.com\.cn$/],
  ['AWS GovCloud', /^us-gov-/, /\bus-gov-[^.]*\.(vpce\.)?amazonaws\.com$/],
  ['AWS European Sovereign Cloud', /^eusc-/, /\.amazonaws\.eu$/],
  [PRICED, /^/, /\.amazonaws\.com$/],
];

function serverAt({ endpoint, region }: Pick<S3Connection, 'endpoint' | 'region'>): string {
  const url = endpoint === null ? null : parseUrl(endpoint);
  if (endpoint !== null && url === null) return endpoint;
  const partition = PARTITIONS.find(([, ofRegion, ofHost]) =>
    url === null ? ofRegion.test(region ?? '') : ofHost.test(url.hostname),
  );
  return partition?.[0] ?? `${url?.host ?? ''}${url?.pathname.replace(/\/$/, '') ?? ''}`;
}

/**
 * Another connection stands in for one that is not known, and may lead to another server, where everything looks orphaned.
 *
 * @throws {Error} when the connection of a configured place is not known.
 */
export function requireKnown(configured: readonly Base[], isKnown: Connections['isKnown']): void {
  const unknown = configured.find(({ connection }) => connection !== '' && !isKnown(connection));
  if (unknown === undefined) return;
  const { bucket, prefix, connection } = unknown;
  throw new Error(
    `xcom.path: the connection ${connection} is not known here, so s3://${bucket}/${prefix} cannot be compared: ${giveConnection(connection)}, or an empty one, aws://, if the workers use a role`,
  );
}

/** @throws {Error} when two configured places are in buckets of one name on two servers: an object is known by that name. */
export function refuseTwoServers(configured: readonly Base[], serverOf: ServerOf): void {
  const servers = new Map<string, string | null>();
  for (const { bucket, connection } of configured) {
    const server = serverOf(connection);
    const other = servers.get(bucket);
    if (other !== undefined && other !== server)
      throw new Error(
        `xcom.path names a bucket ${bucket} on ${shown(other)} and one on ${shown(server)}: run an audit for each`,
      );
    servers.set(bucket, server);
  }
}

/**
 * Whether a place is on the server at which its bucket is compared. An object is known by the name of its bucket, so each
 * name is compared at one server: that of the first place in this bucket whose connection is known. An inventory names no
 * server, and is one of this bucket there.
 */
export function comparedAt(bases: readonly Base[], serverOf: ServerOf): (base: Base) => boolean {
  const servers = new Map<string, string>();
  for (const { bucket, connection } of bases) {
    const server = serverOf(connection);
    if (server !== null && !servers.has(bucket)) servers.set(bucket, server);
  }
  return ({ bucket, connection }) => {
    const server = serverOf(connection);
    return server !== null && server === servers.get(bucket);
  };
}

/** References that the listing of a place says nothing about. */
export interface Unjudged {
  /** As it may be shown. */
  readonly connection: string;
  readonly place: string;
  readonly references: number;
  readonly why: string;
}

export interface Apart {
  readonly unjudged: readonly Unjudged[];
  /** SQL: whether a reference is one of them. */
  readonly isApart: string;
}

/**
 * Finds the references whose connection does not lead to the server where their place was listed, or is not known. Their
 * objects may be elsewhere. An object of the same name may be another one, and is still no orphan.
 */
export async function setApart({
  duck,
  places,
  serverOf,
}: {
  readonly duck: Duck;
  readonly places: readonly Base[];
  readonly serverOf: ServerOf;
}): Promise<Apart> {
  const groups = await duck.run<{ connection: string; start: string; references: number }>(
    `SELECT connection, ${byPlace(places, (base) => text(startOf(base)), "''")} AS start, count(*)::DOUBLE AS "references"
     FROM named WHERE kind IN ('row', 'state') AND ${below(places)} GROUP BY ALL ORDER BY ALL`,
  );
  const conditions: string[] = [];
  const unjudged = groups.flatMap(({ connection, start, references }): Unjudged[] => {
    const place = places.find((base) => startOf(base) === start);
    const listed = serverOf(place?.connection ?? '');
    const own = serverOf(connection);
    if (own !== null && own === listed) return [];
    const why =
      own === null
        ? unknownWords(connection)
        : `this connection leads to ${own}, and the place was listed at ${shown(listed)}`;
    conditions.push(`connection = ${text(connection)} AND starts_with(location, ${text(start)})`);
    return [{ connection: shownConnection(connection), place: `s3://${start}`, references, why }];
  });
  return { unjudged, isApart: conditions.length === 0 ? 'false' : `(${conditions.join(' OR ')})` };
}

function unknownWords(connection: string): string {
  return connection === ''
    ? `they name no connection, and each path of xcom.path names one. ${UNNAMED}`
    : `this connection is not known here: ${giveConnection(shownConnection(connection))}`;
}

function shown(server: string | null): string {
  return server ?? 'a server that is not known';
}
