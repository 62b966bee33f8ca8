import type { Party, Unknown } from '../s3/failure.ts';
import type { S3Reason } from '../s3/reason.ts';
import type { RefusalCause } from '../s3/refusal.ts';
import { giveConnection, shownConnection } from './shown-connection.ts';

/** Why the audit knows nothing of a place or an object without having asked object storage, or in spite of its answer. */
const OWN_WORDS = {
  unknown_connection: 'this connection is not known here',
  other_server: 'there is a bucket of this name on another server, and the audit compared that one',
  not_in_inventory: 'the inventory is of another bucket',
  standby_behind: 'a standby is behind, and may still show rows that are gone',
  gone_since: 'the listing has the object, and it is gone by now',
  table_gone: 'the table of the row is gone: Airflow was upgraded meanwhile',
  owners_denied:
    'the role may not read legacy_task_data_owner, which tells whether a task still reads the row',
} as const;
type OwnReason = keyof typeof OWN_WORDS;

/** Why something could not be found out about a place or an object, and who said so. */
export interface NoAnswer {
  /** The connection that was used, or that would have to be known, as it may be shown. */
  readonly connection: string;
  readonly reason: S3Reason | OwnReason;
  /** Null: nobody was asked, or it was answered and did not suffice. */
  readonly by: Party | null;
  /** HTTP status; null: there was none. */
  readonly status: number | null;
  readonly detail: string | null;
  readonly cause: RefusalCause | null;
}

export function noAnswer(connection: string, { reason, detail, said }: Unknown): NoAnswer {
  return {
    connection: shownConnection(connection),
    reason,
    by: said.by,
    status: said.status,
    detail,
    cause: said.cause,
  };
}

export function ownAnswer(connection: string, reason: OwnReason): NoAnswer {
  return {
    connection: shownConnection(connection),
    reason,
    by: null,
    status: null,
    detail: null,
    cause: null,
  };
}

/** References of which it could not be found out whether their objects are there, counted by why. */
export interface Unanswered extends NoAnswer {
  readonly references: number;
}

/** The most frequent reason comes first. */
export function countAnswers(answers: readonly NoAnswer[]): Unanswered[] {
  return groupsOf(answers)
    .map(([first, ...more]) => ({ ...first, references: more.length + 1 }))
    .toSorted((a, b) => b.references - a.references);
}

/** Those with one connection and one reason, in the order in which they come first. */
export function groupsOf<One extends NoAnswer>(answers: readonly One[]): (readonly [One, ...One[]])[] {
  const groups = new Map<string, [One, ...One[]]>();
  for (const one of answers) {
    const { connection, reason, by, detail, cause } = one;
    const name = JSON.stringify([connection, reason, by, detail, cause]);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [one]);
    else group.push(one);
  }
  return [...groups.values()];
}

/** The beginning of what each party said. The others say in their detail who they are. */
const SAID: Partial<Readonly<Record<Party, string>>> = {
  s3: 'object storage answered ',
  proxy: 'a proxy in between answered ',
  network: 'no answer came, ',
};

/** A detail about credentials, or about a proxy that opens no way, names who said it. */
function saidBy(by: Party, detail: string | null): string {
  return detail !== null && /^no credentials|\bthe proxy /.test(detail) ? '' : (SAID[by] ?? '');
}

/** The action that a request needs. */
export type Action = 's3:ListBucket' | 's3:GetObject';

/** The reason and what to do about it, as sentences. */
export function wordsOf(one: NoAnswer, action: Action): string {
  const { reason, by, detail } = one;
  const why =
    by === null
      ? OWN_WORDS[reason as OwnReason]
      : `${reason.replaceAll('_', ' ')}: ${saidBy(by, detail)}${detail ?? ''}`;
  return `${why}. ${remedyOf(one, action)}`;
}

const AGAIN = 'Run the audit again.';
/** For rows that name no connection although each path names one. */
export const UNNAMED =
  'If these rows are from a path that named no connection, name that path in xcom.path too.';
const BY_REASON: Readonly<Record<Exclude<NoAnswer['reason'], 'denied' | 'unknown_connection'>, string>> = {
  throttled: 'Run the audit again with a lower --requests-per-second.',
  timeout: 'Look at the network and at the load of object storage, and run the audit again.',
  unreachable: 'Correct the endpoint of the connection, or open the way to it.',
  no_such_bucket: 'If the bucket was not deleted, correct the endpoint of the connection.',
  wrong_region: 'Set region_name of the connection to the region of the bucket.',
  server_error: 'Look at the log of object storage, and run the audit again.',
  clock_skew: 'Set the clock of this machine by NTP.',
  aborted: AGAIN,
  other_server: 'Run an audit of its own for this place: give it as xcom.path.',
  not_in_inventory: 'Run an audit without --inventory, or with an inventory of this bucket.',
  standby_behind: 'Give the URL of the primary, or run the audit again.',
  gone_since: AGAIN,
  table_gone: AGAIN,
  owners_denied: 'Run docs/sql/role.sql and audit-role.sql again.',
};

function remedyOf(one: NoAnswer, action: Action): string {
  const { connection, reason, by, cause } = one;
  const give = connection === '' ? 'Give credentials of AWS.' : `${sentence(giveConnection(connection))}.`;
  if (by === 'credentials' && reason === 'timeout') return AGAIN;
  if (reason === 'unknown_connection' && connection === '') return UNNAMED;
  if (reason === 'unknown_connection' || by === 'credentials') return give;
  if ((by === 'sts' || by === 'agent') && (reason === 'throttled' || reason === 'server_error')) return AGAIN;
  if (by === 'sts') return 'Let the audit reach STS, and let the trust policy of the role name the audit.';
  if (by === 'agent') return 'Let the agent of credentials give the audit a role.';
  if (by === 'sdk') return 'Correct the bucket, or the endpoint of AWS that the connection asks for.';
  if (by === 'proxy') return remedyOfProxy(one);
  if (reason !== 'denied') return BY_REASON[reason];
  return cause === 'identity'
    ? 'Renew or correct the credentials of the connection.'
    : `Allow ${action} on the path to the credentials of the connection.`;
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}

function remedyOfProxy({ reason, status }: NoAnswer): string {
  if (reason === 'throttled') return BY_REASON.throttled;
  // A proxy that opens no way is one of HTTP_PROXY or HTTPS_PROXY. A gateway answers instead.
  if (reason === 'unreachable') return 'Let the proxy pass these requests, or name the host in NO_PROXY.';
  if (reason === 'timeout' || (status ?? 0) >= 500)
    return 'Look at the log of the proxy and at the server behind it, and run the audit again.';
  return 'Let the proxy pass these requests, or correct the endpoint of the connection. If HTTP_PROXY names the proxy, NO_PROXY can name the host.';
}
