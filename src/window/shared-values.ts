import type { ReferenceBase } from '../airflow/compact-reference.ts';
import type { Worker } from '../airflow/worker-queries.ts';
import type { Interner } from '../lib/interner.ts';
import { createInterner } from '../lib/interner.ts';

/**
 * How many workers are told apart by their host; further workers lose the host. If each task has its own pod, each of a
 * million rows would have its own host, at half a kilobyte each.
 */
export const MAX_HOSTS = 5_000;

interface TaskKey {
  readonly taskId: string;
  readonly key: string;
}

/** Values that many rows share, under the numbers that the columns hold. */
export interface SharedValues {
  readonly names: Interner<TaskKey>;
  readonly bases: Interner<ReferenceBase>;
  readonly workers: Interner<Worker>;
  holdName(name: TaskKey): number;
  /** 0: no row has this task and key. */
  findName(name: TaskKey): number;
  holdBase(base: ReferenceBase): number;
  holdWorker(worker: Worker): number;
}

export function createSharedValues(): SharedValues {
  const names = createInterner<TaskKey>();
  const bases = createInterner<ReferenceBase>();
  const workers = createInterner<Worker>();
  return {
    names,
    bases,
    workers,
    holdName: (name) => names.hold(textOf(name), () => ({ taskId: name.taskId, key: name.key })),
    findName: (name) => names.find(textOf(name)),
    holdBase: (base) => bases.hold(JSON.stringify(Object.values(base)), () => base),
    holdWorker({ queue, executor, hostname, operator }) {
      const textWith = (host: string | null) => JSON.stringify([queue, executor, host, operator]);
      const isTold = workers.size() < MAX_HOSTS || workers.find(textWith(hostname)) !== 0;
      const host = isTold ? hostname : null;
      return workers.hold(textWith(host), () => ({ queue, executor, hostname: host, operator }));
    },
  };
}

function textOf({ taskId, key }: TaskKey): string {
  // A text of Postgres never contains the character 0.
  return `${taskId}\0${key}`;
}
