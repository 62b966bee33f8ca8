import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** The daemon as it is shipped, in a process of its own. */
export interface DaemonProcess {
  readonly pid: number;
  readonly port: number;
  /** Every line that it has written to its log. */
  readonly lines: readonly string[];
  readonly ended: () => boolean;
  signal(name: 'SIGHUP' | 'SIGSTOP' | 'SIGCONT'): void;
  stop(name: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Everything that the process holds, after a garbage collection. */
  look(): Promise<Holdings>;
}

/** Counts by the process itself and by the system; memory in bytes. */
export interface Holdings {
  readonly sockets: number;
  readonly fds: number;
  readonly timers: number;
  readonly heap: number;
  readonly rss: number;
}

/** Loaded before the daemon: on a signal it collects garbage and writes down what the process holds. */
const LOOK_IN = `
import { writeFileSync, renameSync } from 'node:fs';
process.on('SIGUSR2', () => {
  globalThis.gc();
  const counts = {};
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
  const file = process.env.LOOK_FILE;
  writeFileSync(file + '.new', JSON.stringify({ counts, memory: process.memoryUsage() }));
  renameSync(file + '.new', file);
});`;

export async function startDaemonProcess(options: {
  /** The path of the built daemon: `…/dist/main.js`. */
  readonly main: string;
  readonly prefix: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly lookFile: string;
}): Promise<DaemonProcess> {
  const preload = `data:text/javascript,${encodeURIComponent(LOOK_IN)}`;
  const command = [...options.prefix, process.execPath, '--expose-gc', '--import', preload, options.main];
  writeFileSync(options.lookFile, '');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
    env: { PATH: process.env['PATH'] ?? '', LOOK_FILE: options.lookFile, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  let rest = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts);
      // A day's lines would be too many to keep.
      if (lines.length > 50_000) lines.splice(0, 10_000);
    });
  const closed = once(child, 'close');
  // The rejection matters only to a caller that waits for it.
  closed.catch(() => undefined);
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  let port = 0;
  for (let attempt = 0; port === 0; attempt += 1) {
    const line = lines.find((one) => one.includes('"listening"'));
    if (line !== undefined) port = (JSON.parse(line) as { port: number }).port;
    else if (attempt > 600 || ended()) throw new Error(`The daemon did not start:\n${lines.join('\n')}`);
    else await delay(50);
  }
  const pid = child.pid ?? 0;
  return {
    pid,
    port,
    lines,
    ended,
    signal: (name) => {
      child.kill(name);
    },
    stop: async (name) => {
      child.kill(name);
      if (!ended()) await closed;
    },
    look: async () => {
      rmSync(options.lookFile, { force: true });
      child.kill('SIGUSR2');
      let text = '';
      for (let attempt = 0; text === ''; attempt += 1) {
        if (attempt > 200) throw new Error('The daemon did not say what it holds');
        await delay(25);
        try {
          text = readFileSync(options.lookFile, 'utf8');
        } catch {
          continue;
        }
      }
      const { counts, memory } = JSON.parse(text) as {
        counts: Record<string, number>;
        memory: { heapUsed: number; external: number; rss: number };
      };
      const fds = openFds(pid);
      return {
        sockets: fds.filter((target) => target.startsWith('socket:')).length,
        fds: fds.length,
        timers: (counts['Timeout'] ?? 0) + (counts['Immediate'] ?? 0),
        heap: memory.heapUsed + memory.external,
        rss: memory.rss,
      };
    },
  };
}

function openFds(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return [];
    }
  });
}

/** How long the main thread of a process has waited for a core so far, ms. Linux. */
export function waitedForCore(pid: number): number {
  const [, waited = '0'] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ');
  return Number(waited) / 1e6;
}
