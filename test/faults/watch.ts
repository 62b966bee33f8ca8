import { spawn } from 'node:child_process';
import { once as onceOf } from 'node:events';
import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseScrape } from '../support/contract.ts';
import type { Scrape } from '../support/contract.ts';
import { waitedForCore } from './daemon-process.ts';

/** The slowest answer of each kind; the kinds need not come from the same scrape. */
export interface Slowest {
  /** The time that a client sees. */
  readonly ms: number;
  /**
   * The same without the time that the daemon waited for a core of this machine, and without the asking process's own
   * delay.
   */
  readonly netMs: number;
  /** The same for an idle server beside the daemon that only answers: the time that this machine adds by itself. */
  readonly idleNetMs: number;
}

/** Asks for /metrics all the time, and remembers the last answer and the slowest one. */
export interface Watch {
  /** The last scrape. While a daemon is being started, this is the scrape before. */
  scrape(): Scrape;
  /** When the last scrape was asked for, epoch ms. */
  at(): number;
  /** A scrape that begins after now. */
  next(): Promise<Scrape>;
  /** A scrape at once, beside the regular ones. */
  now(): Promise<Scrape>;
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
  /** The slowest answers since the last call, and how many answers failed although the daemon was there. */
  takeSlowest(): Slowest & { readonly failed: number; readonly scrapes: number };
  follow(daemon: { readonly pid: number; readonly port: number } | null): void;
  stop(): Promise<void>;
}

const NONE = { ms: 0, netMs: 0, idleNetMs: 0, failed: 0, scrapes: 0 };

const IDLE_SERVER = `
  const server = require('node:http').createServer((_, answer) => answer.end('x'.repeat(60000)));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));`;

export async function startWatch(everyMs: number): Promise<Watch> {
  const idle = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, '-e', IDLE_SERVER], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [said] = (await onceOf(idle.stdout, 'data')) as [Buffer];
  const nothing = { pid: idle.pid ?? 0, port: Number(said.toString()) };
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  const state: { followed: { readonly pid: number; readonly port: number } | null; stopped: boolean } = {
    followed: null,
    stopped: false,
  };
  let last: Scrape = new Map();
  let lastAt = 0;
  let slowest = { ...NONE };
  let waiting: ((scrape: Scrape) => void)[] = [];
  let late = 0;
  let tickAt = performance.now();
  const ticks = setInterval(() => {
    const now = performance.now();
    late = Math.max(late, now - tickAt - 5);
    tickAt = now;
  }, 5);

  async function timed(target: { readonly pid: number; readonly port: number }) {
    const before = waitedForCore(target.pid);
    late = 0;
    const start = performance.now();
    const text = await fetchText(target.port, agent);
    const ms = performance.now() - start;
    return { text, ms, netMs: Math.max(0, ms - (waitedForCore(target.pid) - before) - late) };
  }

  async function once(target: { readonly pid: number; readonly port: number }): Promise<void> {
    const asked = waiting;
    const at = Date.now();
    waiting = [];
    try {
      const { text, ms, netMs } = await timed(target);
      const idleNetMs = Math.max(slowest.idleNetMs, (await timed(nothing)).netMs);
      slowest = {
        ...slowest,
        ms: Math.max(ms, slowest.ms),
        netMs: Math.max(netMs, slowest.netMs),
        idleNetMs,
        scrapes: slowest.scrapes + 1,
      };
      last = parseScrape(text);
      lastAt = at;
      for (const tell of asked) tell(last);
    } catch {
      waiting.push(...asked);
      if (state.followed === target) slowest = { ...slowest, failed: slowest.failed + 1 };
    }
  }
  const going = (async () => {
    while (!state.stopped) {
      const target = state.followed;
      if (target !== null) await once(target);
      await delay(everyMs);
    }
  })();

  return {
    scrape: () => last,
    at: () => lastAt,
    next: () => new Promise((resolve) => waiting.push(resolve)),
    now: async () => {
      if (state.followed === null) throw new Error('No daemon is followed');
      return parseScrape(await fetchText(state.followed.port, agent));
    },
    value: (name, labels = {}) => valueOf(last, name, labels),
    takeSlowest: () => {
      const taken = slowest;
      slowest = { ...NONE };
      return taken;
    },
    follow: (daemon) => {
      state.followed = daemon;
    },
    stop: async () => {
      state.stopped = true;
      await going;
      clearInterval(ticks);
      agent.destroy();
      idle.kill('SIGKILL');
    },
  };
}

/** The sum over the series of `airflow_xcom_<name>` that have these labels; undefined when there is none. */
export function valueOf(
  scrape: Scrape,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const found = (scrape.get(`airflow_xcom_${name}`)?.samples ?? []).filter((sample) =>
    Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
}

function fetchText(port: number, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path: '/metrics', agent, timeout: 10_000 }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      answer.once('end', () => {
        resolve(text);
      });
      answer.once('error', reject);
    });
    request.once('error', reject);
    request.once('timeout', () => request.destroy(new Error('no answer in 10 s')));
  });
}
