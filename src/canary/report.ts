import { z } from 'zod';
import { withoutPasswords } from '../lib/without-passwords.ts';
import { MOST_POOLS } from './dag-file.ts';

/**
 * The most bytes of a report. A report has about 1 kB for one pool of workers, and about 12 kB if it names fifty pools.
 * A longer report is not read.
 */
export const MOST_REPORT_BYTES = 24 * 1024;

/** Why a report is not believed. */
export const REFUSALS = ['too_large', 'no_json', 'other_version', 'malformed', 'foreign'] as const;
export type Refusal = (typeof REFUSALS)[number];

export const OPERATIONS = ['push', 'pull', 'read', 'delete'] as const;

/** A name that people gave: it becomes a label and is shown on a page. */
const name = z.string().regex(/^\P{C}{1,100}$/u);
/** A class, a code or a version, as the DAG file's function `safe` returns it. */
const word = z.string().regex(/^[\w.:+-]{0,100}$/);
const seconds = z.number().min(0).max(86_400);

const failure = z.object({
  class: word,
  cause: word.optional(),
  /** The storage's error code, and the request that it answered. */
  code: word.optional(),
  request: word.optional(),
});

const outcome = z.object({
  operation: z.enum(OPERATIONS),
  ok: z.boolean(),
  seconds,
  /** The result of a pull. */
  got: z.enum(['equal', 'other', 'path', 'nothing']).optional(),
  /** The queue whose payload was read. */
  from: name.optional(),
  error: failure.optional(),
});

const version = word.nullable();

const settings = z.object({
  backend: word,
  /** Whether the class is the object storage backend, or one made from it. */
  object_storage: z.boolean(),
  path: z
    .string()
    .regex(/^\P{C}{0,500}$/u)
    .transform(withoutPasswords),
  /** As the worker has it; null: unset. Python's `\w`, by which the DAG file masks a text, takes letters of any script. */
  threshold: z
    .string()
    .regex(/^[\p{L}\p{N}_.+*-]{0,20}$/u)
    .nullable(),
  /** As Airflow reads that text, in digits; null: Airflow refuses it. DAG files of earlier exporters do not tell it. */
  threshold_bytes: z
    .string()
    .regex(/^-?\d{1,20}$/)
    .nullable()
    .optional(),
  compression: word,
  versions: z.object({
    python: version,
    airflow: version,
    common_io: version,
    amazon: version,
    universal_pathlib: version,
    fsspec: version,
    s3fs: version,
  }),
});

const schema = z
  .object({
    canary: z.literal(1),
    step: z.enum(['look', 'read', 'clean']),
    pool: name,
    /** All pools that the DAG was made for, each with the name of its tasks. */
    pools: z.record(name, z.string().regex(/^[\w-]{1,110}$/)),
    interval: z.number().min(1).max(86_400),
    operations: z.array(outcome).max(MOST_POOLS + 2),
    settings: settings.optional(),
    payload: z
      .object({
        bytes: z.number().int().min(0).max(1e9),
        /** The content of the row: the value itself, or the path of its object; null: the row was not seen. */
        form: z.enum(['value', 'reference']).nullable(),
      })
      .optional(),
    warm_up_seconds: seconds.nullable().optional(),
  })
  .refine(({ pool, pools, operations }) => {
    const names = new Set(Object.keys(pools));
    return (
      names.has(pool) &&
      names.size <= MOST_POOLS &&
      new Set(Object.values(pools)).size === names.size &&
      operations.every(({ from }) => from === undefined || names.has(from))
    );
  })
  .refine(
    ({ step, settings: told, payload, operations }) =>
      step !== 'look' ||
      (told !== undefined &&
        payload !== undefined &&
        operations.some(({ operation }) => operation === 'push')),
  )
  // An operation that handed over anything other than the value did not work.
  .refine(({ operations }) => operations.every(({ ok, got }) => !ok || got === undefined || got === 'equal'));

export type CanaryReport = Readonly<z.output<typeof schema>>;
export type CanarySettings = z.output<typeof settings>;
export type Outcome = z.output<typeof outcome>;

/**
 * Reads a report as untrusted text: anybody who writes DAGs may have put it there. A report that does not name its own
 * task is refused: one pool does not speak for another.
 */
export function parseReport(text: string, taskId: string): CanaryReport | { readonly refused: Refusal } {
  if (Buffer.byteLength(text) > MOST_REPORT_BYTES) return { refused: 'too_large' };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { refused: 'no_json' };
  }
  if (typeof value !== 'object' || value === null || !('canary' in value)) return { refused: 'malformed' };
  if (value.canary !== 1) return { refused: 'other_version' };
  const parsed = schema.safeParse(value);
  if (!parsed.success) return { refused: 'malformed' };
  const { step, pool, pools } = parsed.data;
  return taskId === `${step}_${pools[pool] ?? ''}` ? parsed.data : { refused: 'foreign' };
}
