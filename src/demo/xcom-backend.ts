import { randomUUID } from 'node:crypto';
import type { PostgresWriter } from '../postgres/writer.ts';
import type { ObjectStore } from '../s3/client.ts';
import type { Unknown } from '../s3/failure.ts';

/** One task instance, as the rows of table `xcom` name it. */
export interface TaskPlace {
  readonly dagRunId: number;
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string;
  readonly mapIndex: number;
}

/** A row that exists, without its value. */
export interface WrittenXCom extends TaskPlace {
  readonly key: string;
  /** The size that Airflow compares with the threshold. */
  readonly bytes: number;
  /** The object that the row refers to; null when the value is in the row. */
  readonly objectKey: string | null;
}

/** `s3://<connection>@<bucket>/<prefix>` */
export interface StorageBase {
  readonly connection: string;
  readonly bucket: string;
  readonly prefix: string;
}

/** How Airflow 3.3 with common-io 1.9 writes, reads and purges XComs (`XComObjectStorageBackend`). */
export interface XComBackend {
  /**
   * Writes the object first, then the row. `threshold` in bytes, as the worker is configured; negative: never an
   * object.
   *
   * @throws {Error} when the object is refused: there is no row then, and the task fails.
   */
  push(place: TaskPlace, xcom: { key: string; value: unknown; threshold: number }): Promise<WrittenXCom>;
  /** The value. When the object is missing, it is the reference itself, which Airflow hands to the task. */
  pull(place: TaskPlace, key: string): Promise<unknown>;
  /** Deletes all rows of the task instance, each after its object. */
  purge(place: TaskPlace): Promise<void>;
}

export interface BackendOptions {
  readonly database: PostgresWriter;
  readonly objects: ObjectStore;
  readonly base: StorageBase;
  readonly signal: AbortSignal;
}

export function basePath({ connection, bucket, prefix }: StorageBase): string {
  return `s3://${connection}@${bucket}/${prefix}`;
}

export function createXComBackend(options: BackendOptions): XComBackend {
  const { database, objects, base, signal } = options;
  const root = basePath(base);

  function keyOf(stored: unknown): string | null {
    return typeof stored === 'string' && stored.startsWith(`${root}/`)
      ? `${base.prefix}${stored.slice(root.length)}`
      : null;
  }

  async function read(place: TaskPlace): Promise<readonly { key: string; value: unknown }[]> {
    return database.query(
      /* SQL */ `SELECT key, value FROM xcom
        WHERE dag_run_id = $1 AND task_id = $2 AND map_index = $3 ORDER BY key`,
      [place.dagRunId, place.taskId, place.mapIndex],
    );
  }

  return {
    push: async (place, { key, value, threshold }) => {
      const text = pythonJson(value);
      const bytes = text.length;
      const inline = threshold < 0 || bytes < threshold;
      const tail = `${place.dagId}/${place.runId}/${place.taskId}/${randomUUID()}`;
      const objectKey = inline ? null : `${base.prefix}/${tail}`;
      if (objectKey !== null) {
        const target = { bucket: base.bucket, key: objectKey, body: new TextEncoder().encode(text) };
        const answer = await objects.put(target, signal);
        if (answer.kind === 'unknown') throw refusal('write', answer);
      }
      await database.query(
        /* SQL */ `INSERT INTO xcom
          (dag_run_id, task_id, map_index, key, dag_result, dag_id, run_id, value, timestamp)
          VALUES ($1, $2, $3, $4, false, $5, $6, $7::jsonb, $8)`,
        [
          place.dagRunId,
          place.taskId,
          place.mapIndex,
          key,
          place.dagId,
          place.runId,
          JSON.stringify(inline ? value : `${root}/${tail}`),
          // The writer's clock, as in Airflow, not the database's.
          new Date().toISOString(),
        ],
      );
      return { ...place, key, bytes, objectKey };
    },

    pull: async (place, key) => {
      const stored = (await read(place)).find((row) => row.key === key)?.value;
      const objectKey = keyOf(stored);
      if (objectKey === null) return stored;
      const answer = await objects.get({ bucket: base.bucket, key: objectKey }, signal);
      if (answer.kind === 'unknown') throw refusal('read', answer);
      if (answer.kind === 'missing') return stored;
      return JSON.parse(new TextDecoder().decode(answer.body)) as unknown;
    },

    purge: async (place) => {
      for (const { key, value } of await read(place)) {
        const objectKey = keyOf(value);
        if (objectKey !== null) {
          const answer = await objects.delete({ bucket: base.bucket, key: objectKey }, signal);
          if (answer.kind === 'unknown') throw refusal('delete', answer);
        }
        await database.query(
          /* SQL */ `DELETE FROM xcom WHERE dag_run_id = $1 AND task_id = $2 AND map_index = $3 AND key = $4`,
          [place.dagRunId, place.taskId, place.mapIndex, key],
        );
      }
    },
  };
}

function refusal(verb: string, { reason, detail }: Unknown): Error {
  return new Error(`Cannot ${verb} the XCom's object: ${reason} (${detail})`);
}

/**
 * Writes a value as Python's `json.dumps(value)` does by default: with `, ` and `: ` as separators, and only in ASCII.
 */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([key, member]) => `${asciiJson(key)}: ${pythonJson(member)}`);
    return `{${members.join(', ')}}`;
  }
  return asciiJson(value);
}

function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
