import { formatBytes, formatCount } from '../lib/format.ts';
import { TIERED } from '../s3/archive.ts';
import type { Audit } from './audit.ts';
import type { Amount, Undecided } from './figures.ts';
import { NOT_TOLD } from './inventory.ts';
import type { Base } from './named-object.ts';
import { groupsOf, wordsOf } from './no-answer.ts';

/** 0: all that rows name is there; 1: something is missing or cannot be read; 2: something could not be found out. */
export function auditCode({ figures, confirmed, unlisted, rowsAsOf }: Audit): 0 | 1 | 2 {
  if (confirmed.missing > 0 || figures.references.unreadable.length > 0) return 1;
  const { absent, outside, young, unsure } = figures.references;
  const isOpen = confirmed.unknown + confirmed.doubts.length > 0 || absent + outside + young + unsure > 0;
  return isOpen || unlisted.length > 0 || rowsAsOf === null ? 2 : 0;
}

/** The result of the audit, for machines. */
export function auditDocument(
  audit: Audit,
  { folder, version }: { folder: string; version: string },
): unknown {
  const iso = (at: number | null) => (at === null ? null : new Date(at).toISOString());
  const { figures, confirmed, places, unlisted, sources, safe } = audit;
  const place = ({ bucket, prefix }: { bucket: string; prefix: string }) => `s3://${bucket}/${prefix}`;
  return {
    version,
    rows_as_of: iso(audit.rowsAsOf),
    inventory_made: iso(audit.inventoryAt),
    may_be_deleted_up_to: iso(audit.deletedUpTo),
    tables: sources,
    places: places.map(place),
    held_back: audit.held.map((one) => ({ place: place(one), reason: one.why })),
    not_listed: unlisted.map(({ bucket, prefix, ...why }) => ({ place: place({ bucket, prefix }), ...why })),
    references: figures.references,
    undecided: figures.undecided,
    confirmed,
    objects: figures.objects,
    by_class: figures.byClass,
    by_dag: figures.byDag,
    by_month: figures.byMonth,
    lifecycle: safe,
    folder,
  };
}

/** The same for people. `plain` makes names harmless to a terminal. */
export function auditText(
  audit: Audit,
  { folder, plain }: { folder: string; plain: (text: string) => string },
): string {
  const { figures, confirmed, safe, unlisted } = audit;
  const { references, objects } = figures;
  const lines = [
    title(audit),
    '',
    `References in ${audit.sources.length} tables${moment(audit.rowsAsOf, ', as of ')}`,
    row('live', formatCount(references.live)),
    row('missing', missingWords(audit)),
    row('not known', formatCount(notKnown(audit))),
    ...references.unreadable.map(({ storageClass, references: count }) =>
      row(
        'unreadable',
        `${formatCount(count)} in ${plain(storageClass)}: to be restored before Airflow can read them`,
      ),
    ),
    row('too young', formatCount(references.young)),
    row('outside', formatCount(references.outside)),
    row('in archives', formatCount(references.archived)),
    '',
    `Objects${moment(audit.inventoryAt, ', by the inventory of ')}`,
    row('named', amount(objects.named)),
    row('orphaned', amount(objects.orphaned)),
    row('to be deleted', `${amount(objects.deletable)}${moment(audit.deletedUpTo, ', older than ')}`),
    row('too young', amount(objects.young)),
    row('other files', amount(objects.other)),
    '',
    ...table(
      'By storage class',
      figures.byClass.map(({ storageClass, orphaned, ...all }) => [plain(storageClass), all, orphaned]),
    ),
    ...table(
      'By dag',
      figures.byDag.slice(0, MOST_DAGS).map(({ dag, all, orphaned }) => [plain(dag), all, orphaned]),
      figures.byDag.length - MOST_DAGS,
    ),
    ...table(
      'By month',
      figures.byMonth.slice(-MOST_MONTHS).map(({ month, all, orphaned }) => [month, all, orphaned]),
      figures.byMonth.length - MOST_MONTHS,
    ),
    ...placesText(audit, plain),
    safe.days === null
      ? `Lifecycle rule: no safe number of days is known: ${plain(safe.reason)}.`
      : `Lifecycle rule: safe from ${safe.days} days on: ${plain(safe.reason)}.`,
    ...groupsOf(unlisted).map(([one, ...more]) => {
      const others = more.length === 0 ? '' : ` and ${more.length} more (summary.json)`;
      const place = `s3://${plain(one.bucket)}/${plain(one.prefix)}${others}`;
      return `Not listed: ${place} ${byConnection(plain(one.connection))}: ${plain(wordsOf(one, 's3:ListBucket'))}`;
    }),
    ...confirmed.unjudged.map(
      ({ connection, place, references: count, why }) =>
        `Not judged: references to ${plain(place)} ${byConnection(plain(connection))} (${formatCount(count)}): ${plain(why)}${why.endsWith('.') ? '' : '.'}`,
    ),
    ...confirmed.unanswered.map(
      (one) =>
        `Not confirmed: references ${byConnection(plain(one.connection))} (${formatCount(one.references)}): ${plain(wordsOf(one, 's3:GetObject'))}`,
    ),
    ...figures.undecided.map(({ place: at, why, references: count }) => {
      return `Not known: ${formatCount(count)} references below ${plain(at)} are ${UNDECIDED[why]}.`;
    }),
    ...confirmed.doubts.map(
      ({ bucket, why }) => `Nothing in s3://${plain(bucket)} is to be deleted: ${plain(why)}.`,
    ),
    ...(figures.byClass.some(({ storageClass }) => storageClass === NOT_TOLD)
      ? [
          'The inventory does not tell storage classes, so no object is known to be readable: let it have StorageClass.',
        ]
      : []),
    ...(figures.byClass.some(({ storageClass }) => storageClass === TIERED)
      ? [`Named objects in ${TIERED} count as live: no listing shows which of them are in an archive tier.`]
      : []),
    ...(audit.rowsAsOf === null
      ? ['The standby does not say how far it is: no object is called orphaned.']
      : []),
    ...(objects.orphaned.objects > 0
      ? ['Objects of another Airflow under the same path look orphaned: make sure that there is none.']
      : []),
    '',
    `Lists: ${folder}`,
  ];
  return `${lines.join('\n')}\n`;
}

const UNDECIDED: Readonly<Record<Undecided['why'], string>> = {
  outside: 'outside of what was listed',
  young: 'too young for the inventory',
  unsure: 'in an archive class, and storage did not say whether they can be read',
};

const MOST_DAGS = 10;
const MOST_MONTHS = 12;
/** A task that puts the date into its path can make a place of each day. */
const MOST_PLACES = 10;

function placesText({ places, held }: Audit, plain: (text: string) => string): string[] {
  const shown = ({ bucket, prefix }: Pick<Base, 'bucket' | 'prefix'>) =>
    `  s3://${plain(bucket)}/${plain(prefix)}`;
  const some = (lines: readonly string[]) => [
    ...lines.slice(0, MOST_PLACES),
    ...(lines.length > MOST_PLACES ? [`  and ${lines.length - MOST_PLACES} more: summary.json`] : []),
    '',
  ];
  return [
    'Places that were judged',
    ...some(places.map(shown)),
    ...(held.length === 0
      ? []
      : [
          'Places whose orphans are not to be deleted',
          ...some(held.map((one) => `${shown(one)}: ${plain(one.why)}`)),
        ]),
  ];
}

function title(audit: Audit): string {
  const code = auditCode(audit);
  if (code === 1) return 'Rows name objects that Airflow cannot read.';
  if (code === 2) return 'Not all could be found out.';
  return 'All objects that rows name are there.';
}

function byConnection(connection: string): string {
  return connection === '' ? 'without a connection' : `with the connection ${connection}`;
}

function missingWords(audit: Audit): string {
  const { absent, looked, missing } = audit.confirmed;
  if (looked < absent)
    return `${formatCount(absent)} by the listing; ${formatCount(missing)} of ${formatCount(looked)} that were asked for one by one are`;
  return `${formatCount(missing)}${notKnown(audit) > 0 ? ' known' : ''}`;
}

/** The references of listed places of which it is not known whether Airflow can read their objects. */
function notKnown({ figures, confirmed }: Audit): number {
  return confirmed.unknown + figures.references.unsure + confirmed.absent - confirmed.looked;
}

function row(name: string, value: string): string {
  return `  ${name.padEnd(14)} ${value}`;
}

function amount({ objects, bytes, dollars }: Amount): string {
  const cost = dollars === null ? '' : `, $${dollars.toFixed(2)} a month`;
  return `${formatCount(objects)}, ${formatBytes(bytes)}${cost}`;
}

function moment(at: number | null, before: string): string {
  return at === null ? '' : `${before}${new Date(at).toISOString().slice(0, 19)}Z`;
}

/** `more`: how many rows are left out. */
function table(name: string, rows: readonly (readonly [string, Amount, Amount])[], more = 0): string[] {
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([first]) => first.length));
  return [
    `${name} (all; orphaned)`,
    ...rows.map(([first, all, orphaned]) => `  ${first.padEnd(width)}  ${amount(all)}; ${amount(orphaned)}`),
    ...(more > 0 ? [`  and ${more} more: summary.json`] : []),
    '',
  ];
}
