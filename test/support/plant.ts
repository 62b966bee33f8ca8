import { createHash } from 'node:crypto';
import type { XComSource } from '../../src/airflow/shape.ts';
import type { BrokenReason, Storage } from '../../src/window/flags.ts';
import type { Run, Stage } from './seed.ts';

export const BUCKET = 'airflow-xcom';
export const BASE = 's3://aws_xcom@airflow-xcom/base';

/** One row to be written, and the truth about it: written down here, not computed by the exporter's rules. */
export interface Planted {
  readonly run: Run;
  readonly taskId: string;
  readonly mapIndex: number;
  readonly key: string;
  readonly queue: string;
  readonly stored: string | Uint8Array | null;
  readonly table: XComSource['table'];
  readonly storage: Storage;
  /** The value's size as Airflow measured it; null for a reference. */
  readonly bytes: number | null;
  readonly oversize: boolean;
  readonly broken: BrokenReason | null;
  /**
   * The object that the reference names; null when that object does not exist; undefined when nothing is looked up.
   */
  readonly object?: { readonly bucket: string; readonly key: string; readonly bytes: number } | null;
}

/** Python's `json.dumps(value)`. It is written again here, because the one in the demo is part of what is tested. */
export function dumps(value: unknown): string {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return `"${value.replaceAll(NOT_PLAIN, escaped)}"`;
  if (Array.isArray(value)) return `[${value.map(dumps).join(', ')}]`;
  return `{${Object.entries(value as object)
    .map(([key, member]) => `${dumps(key)}: ${dumps(member)}`)
    .join(', ')}}`;
}

/** One UTF-16 unit that is not printable ASCII, or that has a meaning in JSON. */
const NOT_PLAIN = /[^ !#-[\]-~]/g;
const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
};

function escaped(unit: string): string {
  return SHORT[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** A string whose measured length is exactly `bytes`, made of `char` as far as possible. */
export function stringOf(bytes: number, char: string): string {
  const each = dumps(char).length - 2;
  const count = Math.floor((bytes - 2) / each);
  return char.repeat(count) + 'x'.repeat(bytes - 2 - count * each);
}

/** ASCII text that hardly compresses, the same on every call. */
export function noise(length: number): string {
  let text = '';
  for (let i = 0; text.length < length; i += 1)
    text += createHash('sha256').update(`noise ${i}`).digest('base64');
  return text.slice(0, length);
}

let uuids = 0;
export function uuid4(): string {
  uuids += 1;
  const hex = createHash('md5').update(`uuid ${uuids}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/** `pickle.dumps(text)` with protocol 4. */
export function pickled(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  const string =
    bytes.length < 256
      ? Buffer.concat([Buffer.from([0x8c, bytes.length]), bytes])
      : Buffer.concat([Buffer.from([0x58]), uint32(bytes.length), bytes]);
  const body = Buffer.concat([string, Buffer.from([0x94, 0x2e])]);
  const frame = Buffer.alloc(8);
  frame.writeBigUInt64LE(BigInt(body.length));
  return Buffer.concat([Buffer.from([0x80, 4, 0x95]), frame, body]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Characters that break queries, paths, URLs or labels. A line feed is not among them: no S3 key has one. */
const HOSTILE = `O'Brien "x" 100%\\t ?a=1&b#c +:,;<é>жук😀`;

/**
 * Writes rows of every kind into the given runs: small, large, broken, at the threshold, and another program's.
 * `runs` has an ordinary run, one with many references (answered by one LIST), and ones with a hostile and a very
 * long name.
 */
export function plant(
  stage: Stage,
  options: {
    readonly threshold: number;
    readonly runs: Readonly<Record<'plain' | 'many' | 'hostile' | 'long', Run>>;
  },
): Planted[] {
  const { threshold, runs } = options;
  const { shape, source } = stage;
  const isBytea = source.value === 'bytea';
  const rows: Planted[] = [];
  const encode = (value: unknown): string | Uint8Array =>
    isBytea ? Buffer.from(dumps(value)) : JSON.stringify(value);
  const defaults = {
    run: runs.plain,
    taskId: 'extract',
    mapIndex: -1,
    queue: 'default',
    table: source.table,
    broken: null,
    oversize: false,
  } as const;
  type Place = Partial<Pick<Planted, 'run' | 'taskId' | 'mapIndex' | 'key' | 'queue' | 'table'>>;
  const named = () => `key_${rows.length}`;

  function value(
    what: unknown,
    place: Place & { oversize?: boolean; stored?: Planted['stored'] } = {},
  ): void {
    const bytes = dumps(what).length;
    rows.push({
      ...defaults,
      // A queue belongs to a task, so each queue gets a task of its own.
      ...(place.queue === undefined ? {} : { taskId: `extract_${place.queue}` }),
      key: named(),
      stored: encode(what),
      storage: 'db',
      bytes,
      oversize: bytes >= threshold,
      ...place,
    });
  }
  function other(text: string, place: Place & { bytes?: number; stored?: Planted['stored'] } = {}): void {
    rows.push({
      ...defaults,
      key: named(),
      stored: encode(text),
      storage: 'other',
      bytes: dumps(text).length,
      ...place,
    });
  }
  interface Referred extends Place {
    readonly base?: string;
    readonly suffix?: string;
    /** Bytes of the object; null when there is no object. */
    readonly size?: number | null;
    readonly broken?: BrokenReason | null;
    readonly encode?: (path: string) => Planted['stored'];
    readonly leaf?: string;
    /** The row that the path belongs to, when it is another row's. */
    readonly of?: { readonly run: Run; readonly taskId: string };
  }
  function reference(ref: Referred = {}): void {
    const { base = BASE, suffix = '', size = 100 + rows.length, broken = null, of, leaf, ...rest } = ref;
    const { encode: encodePath = encode, ...place } = rest;
    const row = { ...defaults, key: named(), ...place };
    const owner = of ?? row;
    const path = `${base}/${owner.run.dagId}/${owner.run.runId}/${owner.taskId}/${leaf ?? uuid4() + suffix}`;
    const [, netloc = '', key = ''] = /^s3:\/\/([^/]*)\/(.*)$/s.exec(path) ?? [];
    const bucket = netloc.slice(netloc.lastIndexOf('@') + 1);
    rows.push({
      ...row,
      stored: encodePath(path),
      storage: 's3',
      bytes: null,
      broken,
      ...(broken === 'leaked' ? {} : { object: size === null ? null : { bucket, key, bytes: size } }),
    });
  }

  // Values at the threshold, in every alphabet, compressible and not.
  for (const length of [threshold - 1, threshold, threshold + 1]) {
    for (const char of ['a', 'ж', '😀', '\n', '\u0001', '"', '\u007f', 'é'])
      value(stringOf(length, char), { queue: length === threshold ? 'at' : 'default' });
    value(noise(length - 2), { queue: 'noise' });
    value([stringOf(length - 12, 'ж'), null, 1], { queue: 'nested' });
    value({ ключ: stringOf(length - dumps('ключ').length - 4, 'я') }, { queue: 'nested' });
  }
  // Values of two megabytes, compressible and not.
  value('z'.repeat(2_000_000), { queue: 'legacy' });
  value('ж'.repeat(340_000), { queue: 'legacy' });
  value(noise(2_000_000), { queue: 'legacy' });
  value(
    Array.from({ length: 30_000 }, (_, i) => ({ id: i, name: `row ${i}`, tags: ['a', 'b'] })),
    { queue: 'legacy' },
  );
  // Small values of every type.
  for (const small of [0, 42, true, false, '', 'text', [], {}, [1, 'two', null], { a: { b: ['ж'] } }, null])
    value(small);
  rows.push({ ...defaults, key: named(), stored: null, storage: 'db', bytes: 0 });
  // Strings that look like references but are a user's own values.
  for (const text of [
    's3://datalake/events/part-00000.parquet',
    `s3://datalake/exports/${uuid4()}`,
    `s3://aws_xcom@airflow-xcom/base/report.csv`,
    `s3://datalake/base/other_dag/other_run/other_task/${uuid4()}`,
    `https://example.com/${uuid4()}`,
    uuid4(),
    `${runs.plain.dagId}/${runs.plain.runId}/extract/report.csv`,
    's3_xco', // almost the path of a third-party backend
  ])
    value(text);
  // A string that is JSON: a task's return value, or one that the REST API encoded a second time.
  value(JSON.stringify({ a: 1 }));
  value(dumps(stringOf(threshold, 'q')), { queue: 'api' });
  // Values that Airflow keeps in the database by design, whatever their size.
  value(stringOf(threshold + 10, 's'), { key: 'skipmixin_key', oversize: false });
  value(`https://example.com/${'l'.repeat(threshold)}`, {
    key: '_link_ConsoleLink',
    oversize: shape.major === 2,
  });
  // The instances of a mapped task share one folder for their objects.
  for (let mapIndex = 0; mapIndex < 5; mapIndex += 1) {
    value(mapIndex, { taskId: 'mapped', mapIndex, key: 'return_value' });
    reference({ taskId: 'mapped_ref', mapIndex, key: 'return_value' });
  }
  value(stringOf(threshold + 5, 'm'), { taskId: 'mapped', mapIndex: 7, queue: 'mapped_queue' });

  // References: few in one run, many in another, intact and broken.
  reference();
  reference({ suffix: '.gz' });
  reference({ taskId: 'group.task' });
  reference({ size: null, broken: 'missing' });
  reference({ size: 0, broken: 'empty' });
  reference({ base: 's3://aws_xcom@airflow-xcom/old', broken: 'path_mismatch' });
  reference({ base: 's3://aws_xcom@airflow-xcom', broken: 'path_mismatch' });
  reference({ base: 's3://airflow-xcom/base', broken: 'path_mismatch' });
  reference({ base: 's3://other@airflow-xcom/base', broken: 'path_mismatch' });
  reference({ base: 's3://aws_xcom@second-bucket/base', broken: 'path_mismatch' });
  reference({ base: 's3://aws_xcom@second-bucket/base', size: null, broken: 'missing' });
  reference({ of: { run: runs.plain, taskId: 'load' }, broken: 'leaked' });
  reference({ of: { run: runs.many, taskId: 'extract' }, broken: 'leaked' });
  for (let i = 0; i < 20; i += 1) reference({ run: runs.many, taskId: `task_${i}` });
  reference({ run: runs.many, size: null, broken: 'missing' });
  reference({ run: runs.many, size: 0, broken: 'empty' });
  reference({ run: runs.many, base: 's3://aws_xcom@airflow-xcom/old', broken: 'path_mismatch' });
  reference({ run: runs.plain, key: 'skipmixin_key', taskId: 'branch' });

  if (isBytea) {
    reference({ encode: pickled });
    reference({ encode: pickled, size: null, broken: 'missing' });
    reference({ encode: pickled, of: { run: runs.plain, taskId: 'load' }, broken: 'leaked' });
    reference({ encode: pickled, run: runs.long });
    const notText = Buffer.from([0x80, 4, 0x4b, 7, 0x2e, ...Buffer.alloc(threshold, 0x2e)]);
    value(null, { stored: notText, oversize: true });
    Object.assign(rows.at(-1) ?? {}, { bytes: notText.length });
    value(null, { stored: Buffer.alloc(0) });
    Object.assign(rows.at(-1) ?? {}, { bytes: 0 });
  } else {
    // JSON text inside a JSON string, encoded once more than a task's value: a task that reads it gets the path itself.
    reference({ encode: (path) => JSON.stringify(JSON.stringify(path)), broken: 'leaked' });
    // A tuple is stored in an envelope. As the whole value it was measured with the envelope, inside another value as
    // a list.
    const tuple = {
      __data__: [stringOf(threshold - 8, 't'), 1],
      __version__: 1,
      __classname__: 'builtins.tuple',
    };
    value(tuple);
    const list = [tuple.__data__];
    value([tuple], { oversize: dumps(list).length >= threshold });
    Object.assign(rows.at(-1) ?? {}, { bytes: dumps(list).length });
  }
  const third = [`s3_xcom_${uuid4()}`, `s3_xcom_${uuid4()}_dataframe.gz`, `xcom_s3://data_${uuid4()}.csv`];
  for (const text of third) other(text);
  const tail = `${runs.plain.dagId}/${runs.plain.runId}/extract/${uuid4()}`;
  for (const text of [`/${tail}`, tail, `file:///tmp/xcom/${tail}`, `gs://bucket/base/${tail}`]) other(text);

  // Hostile and very long names.
  for (const run of [runs.hostile, runs.long])
    for (const taskId of [HOSTILE, 't'.repeat(250)]) {
      value('small', { run, taskId, key: `${HOSTILE}\n--`, queue: HOSTILE });
      value(stringOf(threshold, 'h'), { run, taskId, key: 'k'.repeat(512), queue: HOSTILE });
      reference({ run, taskId: taskId.slice(0, 200) });
      reference({ run, taskId: taskId.slice(0, 200), size: null, broken: 'missing' });
    }
  value(1, { taskId: 'line\nfeed', key: 'a\r\n\tb' });

  // Airflow 3.4 also has the old table, and names objects of the new table differently.
  for (const old of shape.sources.filter(({ table }) => table !== source.table)) {
    value(stringOf(threshold, 'o'), { table: old.table, queue: 'upgraded' });
    value('small', { table: old.table, run: runs.hostile });
    reference({ table: old.table });
    reference({ table: old.table, size: null, broken: 'missing' });
    reference({ leaf: `write-${uuid4()}/return_value.json` });
    reference({ leaf: `ti-${uuid4()}/return%20value.json.gz`, suffix: '.gz' });
  }
  return rows;
}

export function hostileName(suffix: string): string {
  return `${HOSTILE}${suffix}`;
}
