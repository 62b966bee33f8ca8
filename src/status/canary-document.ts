import { z } from 'zod';
import { MOST_POOLS } from '../canary/dag-file.ts';
import { OPERATIONS } from '../canary/report.ts';
import type { CanaryVerdict, PoolVerdict } from '../canary/verdict.ts';

const timeSchema = z.iso.datetime({ precision: 3 });
const version = z.string().nullable();

const poolSchema = z
  .strictObject({
    queue: z.string(),
    state: z
      .enum(['works', 'fails', 'untold', 'silent', 'waits'])
      .describe(
        'untold: nothing failed, and where its value went it did not see. waits: not heard yet, and not overdue.',
      ),
    heard_at: timeSchema.nullable().describe('When its last report was written; null: never.'),
    silence: z.string().nullable().describe('Why nothing comes, as far as its task tells.'),
    settings: z
      .strictObject({
        backend: z.string(),
        object_storage: z.boolean().describe('It is the object storage backend, or made from it.'),
        path: z.string(),
        threshold: z.string().nullable().describe('As the workers have it; null: unset.'),
        compression: z.string(),
        versions: z.strictObject({
          python: version,
          airflow: version,
          common_io: version,
          amazon: version,
          universal_pathlib: version,
          fsspec: version,
          s3fs: version,
        }),
      })
      .nullable()
      .describe('What its workers resolve; null while it is not heard.'),
    payload: z
      .enum(['stored', 'kept', 'untold', 'misplaced'])
      .nullable()
      .describe(
        'The place of the value of its latest push. stored: object storage. kept: the database, as its settings say. untold: it did not see. misplaced: not where its settings say. null: the push failed, or is not known.',
      ),
    operations: z.array(
      z.strictObject({
        operation: z.enum(OPERATIONS),
        ok: z.boolean(),
        seconds: z.number().min(0),
        faults: z.array(z.string()),
      }),
    ),
    last_success_at: z.partialRecord(z.enum(OPERATIONS), timeSchema),
  })
  .describe('One pool of workers, as its latest report tells.');

export const canarySchema = z
  .strictObject({
    pools: z.array(poolSchema).max(MOST_POOLS),
    differences: z
      .array(
        z.strictObject({
          option: z.string(),
          values: z.array(z.strictObject({ value: z.string(), queues: z.array(z.string()) })),
          told: z.string().nullable().describe('As the exporter was told; null: nobody told it.'),
        }),
      )
      .describe('Options that are not the same on all queues, or not as the exporter was told.'),
  })
  .describe('What each pool of workers says of itself.');

export type CanaryDocument = z.output<typeof canarySchema>;

/** Fields are named one by one: a field that a report gains is not given out before it is described. */
export function canaryDocument(verdict: CanaryVerdict | null): CanaryDocument | null {
  if (verdict === null) return null;
  return {
    pools: verdict.pools.map(poolOf),
    differences: verdict.differences.map(({ option, values, told }) => ({
      option,
      values: values.map(({ value, pools }) => ({ value, queues: [...pools] })),
      told,
    })),
  };
}

function poolOf(pool: PoolVerdict): CanaryDocument['pools'][number] {
  const { name, state, heardAt, silence, settings, payload, operations, succeededAt } = pool;
  return {
    queue: name,
    state,
    heard_at: heardAt === null ? null : isoOf(heardAt),
    silence,
    settings: settings === null ? null : settingsOf(settings),
    payload,
    operations: operations.map(({ operation, ok, seconds, faults }) => ({
      operation,
      ok,
      seconds,
      faults: [...faults],
    })),
    last_success_at: Object.fromEntries(
      Object.entries(succeededAt).map(([operation, at]) => [operation, isoOf(at)]),
    ),
  };
}

function settingsOf(
  settings: NonNullable<PoolVerdict['settings']>,
): CanaryDocument['pools'][number]['settings'] {
  const { backend, object_storage, path, threshold, compression, versions } = settings;
  const { python, airflow, common_io, amazon, universal_pathlib, fsspec, s3fs } = versions;
  return {
    backend,
    object_storage,
    path,
    threshold,
    compression,
    versions: { python, airflow, common_io, amazon, universal_pathlib, fsspec, s3fs },
  };
}

function isoOf(at: number): string {
  return new Date(at).toISOString();
}
