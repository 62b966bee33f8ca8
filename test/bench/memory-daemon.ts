import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** The built daemon in a process of its own, without `--expose-gc` or any other help. */
export interface WatchedDaemon {
  readonly pid: number | undefined;
  readonly port: number;
  /** The next cycle in the log; the cycle may have ended before this call. */
  nextCycle(): Promise<CycleLine>;
  /** Resident memory now, and its peak since the last call; bytes. */
  memory(): { readonly rss: number; readonly peak: number };
  /** CPU of the process since a moment, epoch ms. The moment is no earlier than the last call of `memory`. */
  cpuMs(since: number): number;
  /** How long the event loop stood still at most since the last call, in ms by the clock and in ms of CPU. */
  stall(): Promise<{ readonly ms: number; readonly cpuMs: number }>;
  stop(): Promise<void>;
}

export interface CycleLine {
  readonly seconds: number;
  /** Epoch ms. */
  readonly began: number;
  readonly rows: Readonly<Record<string, number>> | null;
}

/**
 * Loaded before the daemon. On a signal it prints how long the event loop stood still at most: by the clock, and by the
 * CPU that was used between two turns. On a machine that others use too, only the CPU is the daemon's own. Node tells
 * that of the main thread from 23.9 on; before, it is that of the whole process, with its helping threads.
 */
const WATCH = `
import { monitorEventLoopDelay } from 'node:perf_hooks';
const used = process.threadCpuUsage ?? process.cpuUsage;
const delay = monitorEventLoopDelay({ resolution: 2 });
delay.enable();
let before = used();
let most = 0;
setInterval(() => {
  const { user, system } = used(before);
  before = used();
  most = Math.max(most, user + system);
}, 2).unref();
process.on('SIGUSR2', () => {
  process.stdout.write(JSON.stringify({ msg: 'stall', ms: delay.max / 1e6, cpuMs: most / 1e3 }) + '\\n');
  delay.reset();
  most = 0;
});`;
/** Arguments for Node, placed before the program. */
export const WATCHED = ['--import', `data:text/javascript,${encodeURIComponent(WATCH)}`];

export async function startWatched(
  main: string,
  nodeArguments: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<WatchedDaemon> {
  const child = spawn(process.execPath, [...nodeArguments, main], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const waiting = new Map<string, (line: object) => void>();
  const came: Record<string, object[]> = {};
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts.filter((one) => one.startsWith('{'))) {
      const line = JSON.parse(part) as { msg: string; seconds?: number; began?: number };
      line.began = Date.now() - 1_000 * (line.seconds ?? 0);
      const kind = line.msg.startsWith('cycle') ? 'cycle' : line.msg;
      if (!['cycle', 'stall', 'listening'].includes(kind)) console.log(part);
      const take = waiting.get(kind);
      waiting.delete(kind);
      if (take === undefined) (came[kind] ??= []).push(line);
      else take(line);
    }
  });
  const next = <Line>(kind: string): Promise<Line> =>
    new Promise((resolve, reject) => {
      const there = came[kind]?.shift();
      if (there !== undefined) resolve(there as Line);
      else waiting.set(kind, resolve as (line: object) => void);
      closed.then(() => {
        reject(new Error('The daemon ended'));
      }, reject);
    });
  const { port } = await next<{ port: number }>('listening');
  const status = (name: string) =>
    1_024 *
    Number(
      new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(
        readFileSync(`/proc/${child.pid ?? 0}/status`, 'utf8'),
      )?.[1],
    );
  /** The kernel counts in hundredths of a second. */
  function cpuMs(): number {
    const text = readFileSync(`/proc/${child.pid ?? 0}/stat`, 'utf8');
    // The program's name comes before these fields, in brackets, and may contain spaces.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return 10 * (Number(fields[11]) + Number(fields[12]));
  }
  let peak = 0;
  let used: { readonly at: number; readonly ms: number }[] = [];
  const timer = setInterval(() => {
    if (child.exitCode !== null) return;
    peak = Math.max(peak, status('VmRSS'));
    used.push({ at: Date.now(), ms: cpuMs() });
  }, 20);
  return {
    pid: child.pid,
    port,
    nextCycle: () => next<CycleLine>('cycle'),
    memory() {
      const found = { rss: status('VmRSS'), peak };
      peak = 0;
      used = [];
      return found;
    },
    cpuMs: (since) => cpuMs() - (used.findLast(({ at }) => at <= since)?.ms ?? 0),
    stall() {
      const answer = next<{ ms: number; cpuMs: number }>('stall');
      child.kill('SIGUSR2');
      return answer;
    },
    async stop() {
      clearInterval(timer);
      child.kill('SIGTERM');
      await Promise.race([closed, delay(20_000)]);
      child.kill('SIGKILL');
    },
  };
}
