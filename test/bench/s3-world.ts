import type { PendingOfRun } from '../../src/objects/pending.ts';

/** A reference of the window, or an object that no row of the window refers to. */
export interface WorldKey {
  readonly key: string;
  readonly wanted: boolean;
}

/** A run with its keys in the order in which S3 lists them. */
export interface WorldRun {
  readonly dag: string;
  readonly id: string;
  /** Ends with a slash. */
  readonly prefix: string;
  readonly keys: readonly WorldKey[];
}

/** Dags of one sort. */
export interface WorldGroup {
  readonly name: string;
  readonly what: string;
  /** All runs of these dags in the bucket, in the order of keys. */
  readonly runs: readonly WorldRun[];
}

const PREFIX = 'xcom';
const LAST_HOUR = Date.UTC(2026, 5, 30, 23);
const HOUR = 3_600_000;

/** Builds the same keys at every call. */
export function buildWorld(): WorldGroup[] {
  let state = 1;
  /** Lehmer's generator: the uuids are as good as random and the same every time. */
  const word = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state.toString(16).padStart(8, '0');
  };
  const leaf = () => {
    const [a, b, c, d] = [word(), word(), word(), word()];
    return `${a}-${b.slice(0, 4)}-4${b.slice(5)}-8${c.slice(1, 4)}-${c.slice(4)}${d}`;
  };
  const run = (
    dag: string,
    hoursAgo: number,
    content: { tasks: number; each: number; orphans?: number; wanted: boolean },
  ): WorldRun => {
    const id = `scheduled__${new Date(LAST_HOUR - hoursAgo * HOUR).toISOString().replace('.000Z', '+00:00')}`;
    const prefix = `${PREFIX}/${dag}/${id}/`;
    const keys: WorldKey[] = [];
    for (let task = 0; task < content.tasks; task += 1) {
      for (let index = 0; index < content.each; index += 1)
        keys.push({ key: `${prefix}task_${task}/${leaf()}`, wanted: content.wanted });
    }
    for (let index = 0; index < (content.orphans ?? 0); index += 1)
      keys.push({ key: `${prefix}task_0/${leaf()}`, wanted: false });
    return { dag, id, prefix, keys: keys.sort((a, b) => (a.key < b.key ? -1 : 1)) };
  };
  const dags = (name: string, count: number, runsOf: (dag: string) => WorldRun[]) =>
    Array.from({ length: count }, (_, index) => runsOf(`${name}_${String(index).padStart(3, '0')}`)).flat();
  /** A run every `every` hours for `days` days; the window is the last day. */
  const series = (dag: string, days: number, every: number, content: { tasks: number; each: number }) =>
    Array.from({ length: Math.floor((days * 24) / every) }, (_, index) =>
      run(dag, index * every, { ...content, wanted: index * every < 24 }),
    ).reverse();

  return [
    {
      name: 'mapped',
      what: '4 runs of 2,000 mapped tasks',
      runs: dags('mapped', 4, (dag) => [run(dag, 1, { tasks: 1, each: 2_000, wanted: true })]),
    },
    {
      name: 'leaky',
      what: '5 runs of 300 references and as many objects that retries have left',
      runs: dags('leaky', 5, (dag) => [run(dag, 2, { tasks: 1, each: 300, orphans: 300, wanted: true })]),
    },
    {
      name: 'hourly',
      what: '20 dags, every hour 4 references, 10 days in the bucket',
      runs: dags('hourly', 20, (dag) => series(dag, 10, 1, { tasks: 4, each: 1 })),
    },
    {
      name: 'daily',
      what: '100 dags, every day 3 references, 30 days in the bucket',
      runs: dags('daily', 100, (dag) => series(dag, 30, 24, { tasks: 3, each: 1 })),
    },
    {
      name: 'quarterly',
      what: '10 dags, every six hours 6 references, 30 days in the bucket',
      runs: dags('quarterly', 10, (dag) => series(dag, 30, 6, { tasks: 2, each: 3 })),
    },
  ];
}

/** The facts that the rows of the window tell about a group: nothing about older runs or objects without a row. */
export function toldBy(group: WorldGroup): PendingOfRun<string>[] {
  return windowOf(group).map(({ id, prefix, keys }) => ({
    location: { connection: '', bucket: 'xcom', prefix: '', folder: prefix },
    runId: id,
    waiting: keys
      .filter(({ wanted }) => wanted)
      .map(({ key }) => ({ item: key, key, at: Date.parse(id.slice('scheduled__'.length)), asked: false })),
    settled: 0,
    others: 0,
  }));
}

export function windowOf({ runs }: WorldGroup): readonly WorldRun[] {
  return runs.filter(({ keys }) => keys.some(({ wanted }) => wanted));
}

export function wantedOf(group: WorldGroup): string[] {
  return windowOf(group).flatMap(({ keys }) => keys.filter(({ wanted }) => wanted).map(({ key }) => key));
}
