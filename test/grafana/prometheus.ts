import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** Epoch seconds and value. */
  readonly values: readonly (readonly [number, number])[];
}

export interface Prometheus {
  readonly url: string;
  readonly version: string;
  /** Sets the targets that are scraped from now on, each as `host:port`. The change takes up to five seconds. */
  target(targets: readonly string[]): Promise<void>;
  /** @throws {Error} with Prometheus' words when it refuses the expression. */
  range(expr: string, span: { from: number; to: number; step?: number }): Promise<readonly Series[]>;
  instant(expr: string, at: number): Promise<readonly Series[]>;
  /** The rules that could not be evaluated, with their errors. */
  brokenRules(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

/** Starts a Prometheus of its own that scrapes and evaluates every second. `rules` are files by name. */
export async function startPrometheus(rules: Readonly<Record<string, string>>): Promise<Prometheus> {
  const dir = await mkdtemp(join(tmpdir(), 'airflow-xcom-prometheus-'));
  await mkdir(join(dir, 'targets'));
  for (const [name, text] of Object.entries(rules)) await writeFile(join(dir, name), text);
  await writeFile(join(dir, 'targets', 'exporters.json'), '[]');
  await writeFile(
    join(dir, 'prometheus.yml'),
    `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [${Object.keys(rules).join(', ')}]
scrape_configs:
  - job_name: airflow-xcom-exporter
    file_sd_configs: [{ files: [targets/*.json], refresh_interval: 2s }]
`,
  );
  const port = await freePort();
  const child = spawn(
    process.env['PROMETHEUS'] ?? 'prometheus',
    [
      `--config.file=${dir}/prometheus.yml`,
      `--storage.tsdb.path=${dir}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      resolve();
    });
    child.once('error', (error) => {
      said += error.message;
      resolve();
    });
  });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; !(await answers(`${url}/-/ready`)); tries += 1) {
    if (tries > 100 || child.exitCode !== null) throw new Error(`Prometheus did not start: ${said}`);
    await delay(100);
  }

  async function ask(path: string, parameters: Record<string, string>): Promise<unknown> {
    const body = new URLSearchParams(parameters);
    const answer = await fetch(`${url}/api/v1/${path}`, { method: 'POST', body });
    const { status, error, data } = (await answer.json()) as {
      status: string;
      error?: string;
      data: unknown;
    };
    if (status !== 'success')
      throw new Error(`Prometheus refused ${parameters['query'] ?? path}: ${error ?? ''}`);
    return data;
  }

  const build = (await (await fetch(`${url}/api/v1/status/buildinfo`)).json()) as {
    data: { version: string };
  };

  return {
    url,
    version: build.data.version,
    target: async (targets) => {
      await writeFile(
        join(dir, 'targets', 'exporters.json'),
        JSON.stringify(targets.length === 0 ? [] : [{ targets }]),
      );
    },
    range: async (query, { from, to, step = 1 }) => {
      const data = await ask('query_range', {
        query,
        start: String(from),
        end: String(to),
        step: String(step),
      });
      const { result } = data as { result: { metric: Series['metric']; values: [number, string][] }[] };
      return result.map(({ metric, values }) => ({
        metric,
        values: values.map(([at, value]) => [at, Number(value)] as const),
      }));
    },
    instant: async (query, at) => {
      const data = await ask('query', { query, time: String(at) });
      const { result } = data as { result: { metric: Series['metric']; value: [number, string] }[] };
      return result.map(({ metric, value: [time, value] }) => ({
        metric,
        values: [[time, Number(value)] as const],
      }));
    },
    brokenRules: async () => {
      const answer = (await (await fetch(`${url}/api/v1/rules`)).json()) as {
        data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] };
      };
      return answer.data.groups
        .flatMap(({ rules: all }) => all)
        .filter(({ health }) => health !== 'ok')
        .map(({ name, health, lastError = '' }) => `${name}: ${health} ${lastError}`);
    },
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
