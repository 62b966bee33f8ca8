import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { XComSource } from '../../src/airflow/shape.ts';

const PROGRAM = 'prometheus-sql-exporter';

/** A generic SQL exporter with one query. */
export interface Rival extends AsyncDisposable {
  /**
   * Waits until the exporter's query, which runs once, has ended. Gives the rows that the exporter then shows, summed
   * over all dags.
   */
  ran(): Promise<number>;
}

/** The version of the package. Throws if the program is not installed. */
export async function rivalVersion(): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)(PROGRAM, ['-version']);
    const { stdout: packaged } = await promisify(execFile)('dpkg-query', [
      '-W',
      '-f',
      '${Version}',
      PROGRAM,
    ]).catch(() => ({ stdout: '' }));
    return packaged || /version ([^,]+)/.exec(stdout + stderr)?.[1] || 'of unknown version';
  } catch (cause) {
    throw new Error(`Cannot run ${PROGRAM}: install it (apt-get install ${PROGRAM})`, { cause });
  }
}

/** The query that a user would write for the rows and bytes of the last day. It leaves values packed. */
export function rivalQuery(source: XComSource): string {
  const bytes = source.value === 'bytea' ? 'octet_length(x.value)' : 'pg_column_size(x.value)';
  const [dag, from] =
    source.keyedBy === 'task_instance'
      ? ['t.dag_id', `${source.table} x JOIN task_instance t ON t.id = x.task_instance_id`]
      : ['x.dag_id', `${source.table} x`];
  return `SELECT ${dag} AS dag_id, count(*)::float8 AS rows, sum(${bytes})::float8 AS bytes FROM ${from} WHERE x.timestamp > now() - interval '24 hours' GROUP BY 1`;
}

/** The query runs at the start, and not again within the hour. */
export async function startRival(options: { readonly url: string; readonly query: string }): Promise<Rival> {
  const dir = await mkdtemp(join(tmpdir(), 'xcom-bench-'));
  const port = await freePort();
  const config = join(dir, 'config.yml');
  const url = new URL(options.url);
  url.protocol = 'postgres:';
  url.searchParams.set('sslmode', 'disable');
  await writeFile(
    config,
    JSON.stringify({
      jobs: [
        {
          name: 'xcom',
          interval: '1h',
          connections: [url.href],
          queries: [
            {
              name: 'xcom',
              help: 'XCom rows and bytes of the last day',
              labels: ['dag_id'],
              values: ['rows', 'bytes'],
              query: options.query,
            },
          ],
        },
      ],
    }),
  );
  const child = spawn(PROGRAM, ['-config.file', config, '-web.listen-address', `127.0.0.1:${port}`], {
    stdio: 'ignore',
  });
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => {
      resolve();
    });
    child.once('error', () => {
      resolve();
    });
  });

  async function scrape(): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(10_000) });
    const rows = (await answer.text()).split('\n').filter((line) => /^sql_xcom\{.*col="rows"/.test(line));
    return rows.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  return {
    async ran() {
      for (let attempt = 0; attempt < 3_000; attempt += 1) {
        const rows = await scrape().catch(() => 0);
        if (rows > 0) return rows;
        await delay(200);
      }
      throw new Error(`Cannot read the rows that ${PROGRAM} counts: none came within ten minutes`);
    },
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  });
}
