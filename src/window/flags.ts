import type { ByDesign } from '../airflow/classify.ts';
import type { XComSource } from '../airflow/shape.ts';

/**
 * The 32 bits of one number tell the kind of a row and the state of its object; 0 means no row. No bit depends on the
 * settings, so a reload of the settings keeps the flags.
 */
export const DB = 1;
export const S3 = 2;
export const OTHER = 3;
export const STORAGE_MASK = 3;
const STORAGES: readonly (Storage | null)[] = [null, 'db', 's3', 'other'];

/** The last answer of S3 about a reference. `unreadable`: the object exists, but in an archive. */
export type ObjectState = 'unverified' | 'present' | 'missing' | 'empty' | 'unreadable';
const FOUND_MASK = 3 << 2;
/** Set in addition to `PRESENT`: the object is in an archive. */
const IN_ARCHIVE = 1 << 24;
export const OBJECT_MASK = FOUND_MASK | IN_ARCHIVE;
const UNVERIFIED = 0;
export const PRESENT = 1 << 2;
const MISSING = 2 << 2;
const EMPTY = 3 << 2;
const UNREADABLE = PRESENT | IN_ARCHIVE;
const FOUND: readonly ObjectState[] = ['unverified', 'present', 'missing', 'empty'];

/**
 * Why nothing is known of the object of a reference, or no longer. `unconfirmed`: S3 said that there is no object, but
 * showed the same credentials no other object either; or the row could not be read again from a database that is not
 * behind; or the row's task may be about to delete the row. `not_asked`: S3 refused other references of the same path.
 * `budget`: no request was left. The last two are bad news as well, which does not count: of a server to which another
 * connection led that stood in for the row's, and of a row of which nobody knows if a task still reads it.
 */
export type UncheckedReason =
  | 'denied'
  | 'throttled'
  | 'timeout'
  | 'unreachable'
  | 'budget'
  | 'unconfirmed'
  | 'not_asked'
  | 'unknown_connection'
  | 'unknown_reader';

export const UNCHECKED_REASONS: readonly UncheckedReason[] = [
  'denied',
  'throttled',
  'timeout',
  'unreachable',
  'budget',
  'unconfirmed',
  'not_asked',
  'unknown_connection',
  'unknown_reader',
];

/** The reason why S3 gave no answer the last time. */
const UNCHECKED_SHIFT = 4;
const UNCHECKED_LOW = 7;
/** The fourth bit of the number of a reason; the bits beside the other three were taken. */
const UNCHECKED_HIGH = 1 << 27;
const UNCHECKED_MASK = (UNCHECKED_LOW << UNCHECKED_SHIFT) | UNCHECKED_HIGH;
const UNCHECKED: readonly (UncheckedReason | null)[] = [null, ...UNCHECKED_REASONS];

/** The row was there before the exporter: the row is part of the window but in no counter. */
export const BASELINE = 1 << 7;

/** The reasons for which the row has been counted as broken. */
const SAID_SHIFT = 8;
const SAID: readonly BrokenReason[] = ['missing', 'empty', 'path_mismatch', 'leaked'];
const SAID_UNREADABLE = 1 << 25;

/** The size that Airflow measured is not known, only the size that the value has in Postgres. */
export const INEXACT = 1 << 12;
const BY_DESIGN_SHIFT = 13;
export const BY_DESIGN_MASK = 3 << BY_DESIGN_SHIFT;
const BY_DESIGN: readonly (ByDesign | null)[] = [null, 'extra_link', 'skip_decision', 'server_side'];
const SERVER_SIDE = 3 << BY_DESIGN_SHIFT;

/** The reference belongs to another row. */
export const LEAKED = 1 << 15;
/**
 * The value is a file on a worker's disk. Storage `other` without this and `OTHER_STORE` means another backend's value.
 */
export const LOCAL = 1 << 16;
/** The value is a reference of its own row, to a store that is not S3. */
export const OTHER_STORE = 1 << 26;
/** The key is `skipmixin_key`. */
export const SKIP_DECISION = 1 << 17;
/** The reference does not fit into columns and is kept verbatim beside them. */
export const VERBATIM = 1 << 18;

const TABLE_SHIFT = 19;
const TABLE_MASK = 3 << TABLE_SHIFT;
const TABLES: readonly XComSource['table'][] = ['xcom', 'xcom_v1', 'xcom_v2'];
const V2 = 2 << TABLE_SHIFT;

/** The present reading has seen the row; the bit has no meaning outside of a reading. */
export const SEEN = 1 << 21;

/**
 * The row's task instance is an earlier try, which Airflow 3.4 keeps. No task reads the row any more, so a fault in the
 * row does not matter. The exporter asks for this only when the row has a fault.
 */
export const ARCHIVED = 1 << 22;

/** The server could not unpack the value when it was asked to, or it is too large to be measured. */
export const NOT_UNPACKED = 1 << 23;

export function storageOf(flags: number): Storage {
  return STORAGES[flags & STORAGE_MASK] ?? 'db';
}

export function objectOf(flags: number): ObjectState {
  return (flags & IN_ARCHIVE) === 0 ? (FOUND[(flags & FOUND_MASK) >> 2] ?? 'unverified') : 'unreadable';
}

export function withObject(flags: number, object: ObjectState): number {
  const bits = object === 'unreadable' ? UNREADABLE : FOUND.indexOf(object) << 2;
  return (flags & ~OBJECT_MASK) | bits;
}

/** Whether an object that is not empty exists, readable or not. */
export function hasObject(flags: number): boolean {
  return (flags & FOUND_MASK) === PRESENT;
}

export function uncheckedOf(flags: number): UncheckedReason | null {
  const high = (flags & UNCHECKED_HIGH) === 0 ? 0 : UNCHECKED_LOW + 1;
  return UNCHECKED[high + ((flags >> UNCHECKED_SHIFT) & UNCHECKED_LOW)] ?? null;
}

export function isUnasked(reason: UncheckedReason): boolean {
  return reason === 'budget' || reason === 'not_asked';
}

export function withUnchecked(flags: number, reason: UncheckedReason | null): number {
  const at = UNCHECKED.indexOf(reason);
  const high = at > UNCHECKED_LOW ? UNCHECKED_HIGH : 0;
  return (flags & ~UNCHECKED_MASK) | ((at & UNCHECKED_LOW) << UNCHECKED_SHIFT) | high;
}

export function hasSaid(flags: number, reason: BrokenReason): boolean {
  return (flags & saidBit(reason)) !== 0;
}

export function saidBit(reason: BrokenReason): number {
  return reason === 'unreadable' ? SAID_UNREADABLE : 1 << (SAID_SHIFT + SAID.indexOf(reason));
}

export function byDesignOf(flags: number): ByDesign | null {
  return BY_DESIGN[(flags & BY_DESIGN_MASK) >> BY_DESIGN_SHIFT] ?? null;
}

export function byDesignBits(byDesign: ByDesign | null): number {
  return BY_DESIGN.indexOf(byDesign) << BY_DESIGN_SHIFT;
}

/** Marks a value that no worker's backend has seen; another known cause stays. */
export function asServerWritten(flags: number): number {
  const isUnexplained = (flags & STORAGE_MASK) === DB && (flags & BY_DESIGN_MASK) === 0;
  return isUnexplained ? flags | SERVER_SIDE : flags;
}

export function withMeasured(flags: number, exact: boolean): number {
  return exact ? flags & ~INEXACT : flags | NOT_UNPACKED;
}

export function tableOf(flags: number): XComSource['table'] {
  return TABLES[(flags & TABLE_MASK) >> TABLE_SHIFT] ?? 'xcom';
}

export function tableBits(table: XComSource['table']): number {
  return TABLES.indexOf(table) << TABLE_SHIFT;
}

/** Whether the row is of `xcom_v1`: from before Airflow 3.4, where another table names its task instance. */
export function hasOwner(flags: number): boolean {
  return tableOf(flags) === 'xcom_v1';
}

/** Whether the row is of `xcom_v2`, whose rows hang on their task instance and not on their run. */
export function hangsOnTask(flags: number): boolean {
  return (flags & TABLE_MASK) === V2;
}

/** Whether the row is a reference of its own to S3: only such objects are looked up. */
export function isReference(flags: number): boolean {
  return (flags & (STORAGE_MASK | LEAKED)) === S3;
}

/** Whether the row is a reference of its own, to any store; objects are looked up only in S3. */
export function hasBase(flags: number): boolean {
  return isReference(flags) || (flags & OTHER_STORE) !== 0;
}

export function isUnverified(flags: number): boolean {
  return (flags & (STORAGE_MASK | LEAKED | OBJECT_MASK)) === (S3 | UNVERIFIED);
}

/** Whether the object of a reference was found whole, and nothing has spoken against that since. */
export function isWhole(flags: number): boolean {
  return (flags & OBJECT_MASK) === PRESENT && uncheckedOf(flags) === null;
}

/** Whether the row is a reference under the key of a skip decision, in a try that counts. */
export function isSkipDecision(flags: number): boolean {
  return isReference(flags) && (flags & (SKIP_DECISION | ARCHIVED)) === SKIP_DECISION;
}

/** Whether the value is a file on the disk of a worker, in a try that counts. */
export function isOnDisk(flags: number): boolean {
  return (flags & (STORAGE_MASK | LOCAL | ARCHIVED)) === (OTHER | LOCAL);
}

/** Gives the known reason why Airflow cannot use the value of a row; null when there is none. */
export function brokenReason(flags: number, inForce: boolean): BrokenReason | null {
  if ((flags & ARCHIVED) !== 0) return null;
  if ((flags & OTHER_STORE) !== 0) return inForce ? null : 'path_mismatch';
  if ((flags & STORAGE_MASK) !== S3) return null;
  if ((flags & LEAKED) !== 0) return 'leaked';
  const object = flags & OBJECT_MASK;
  if (object === MISSING) return 'missing';
  if (object === EMPTY) return 'empty';
  if (object === UNREADABLE) return 'unreadable';
  return inForce ? null : 'path_mismatch';
}

/**
 * Whether the value is in the database and certainly at least `oversize` bytes. Values that the REST API or the server
 * wrote count as well. With threshold 0, only values that a task wrote count, because only they are ever offloaded.
 */
export function isOversizeRow(flags: number, leastBytes: number, oversize: number): boolean {
  if ((flags & STORAGE_MASK) !== DB || leastBytes < oversize) return false;
  const byDesign = flags & BY_DESIGN_MASK;
  return byDesign === 0 || (byDesign === SERVER_SIDE && oversize > 0);
}

/** The place of the value of an XCom row. */
export type Storage = 'db' | 's3' | 'other';

/** Why Airflow cannot use a reference. `unreadable`: the object is in an archive and not restored. */
export type BrokenReason = 'missing' | 'empty' | 'unreadable' | 'path_mismatch' | 'leaked';

export const BROKEN_REASONS: readonly BrokenReason[] = [
  'missing',
  'empty',
  'unreadable',
  'path_mismatch',
  'leaked',
];

/** A fault of a row that is over when a later try of its task has taken its place. `disk`: a file on a worker's disk. */
export type Fault = BrokenReason | 'skip' | 'disk';

export const FAULTS: readonly Fault[] = [...BROKEN_REASONS, 'skip', 'disk'];
