import cron from 'node-cron';
import { messageOf } from './message-of.ts';

/**
 * Known answers: each reading of a configuration asks for the same few, and without this map they take most of its
 * time.
 */
const faults = new Map<string, string | null>();

/**
 * Names the fault of an expression of six fields; null: there is none. An expression may be valid and still never fire,
 * such as one for the 30th of February.
 */
export function scheduleFault(expression: string): string | null {
  const known = faults.get(expression);
  const fault = known === undefined ? findFault(expression) : known;
  faults.set(expression, fault);
  return fault;
}

function findFault(expression: string): string | null {
  try {
    const task = cron.createTask(expression, () => undefined, { timezone: 'UTC' });
    const [next] = task.getNextRuns(1);
    void task.destroy();
    return next === undefined ? 'it never fires' : null;
  } catch (error) {
    const message = messageOf(error);
    return /impossible/.test(message) ? `it never fires (${message})` : message;
  }
}

/** How long it is from now to the tick that has this number, in ms; the next tick is the first. */
export function msToTick(expression: string, number: number): number {
  const last = nextTicks(expression, number).at(-1) ?? 0;
  return Math.max(1_000, last - Date.now());
}

/** Days that are looked at for the longest wait: more than a year. */
const DAYS = 400;
const DAY_MS = 86_400_000;

/**
 * The longest wait between two ticks of a cron expression, in ms, whenever it is asked: between ticks of one day, from
 * one day to another, or, where years pass in between, among the next ten ticks.
 */
export function longestWait(expression: string): number {
  const { second, minute, hour } = cron.parse(expression);
  const ofDay = hour.flatMap((h) =>
    minute.flatMap((m) => second.map((s) => ((h * 60 + m) * 60 + s) * 1_000)),
  );
  const [first = 0] = ofDay;
  const span = (ofDay.at(-1) ?? 0) - first;
  return [
    waits(ofDay),
    waits(daysOf(expression, first)).map((wait) => wait - span),
    waits(nextTicks(expression, 10)),
  ]
    .flat()
    .reduce((longest, wait) => Math.max(longest, wait), 1_000);
}

/** The first ticks of the days from today on, epoch ms. */
function daysOf(expression: string, ofDay: number): number[] {
  const task = cron.createTask(expression, () => undefined, { timezone: 'UTC' });
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  const ticks = Array.from({ length: DAYS }, (_, day) => today + day * DAY_MS + ofDay);
  const found = ticks.filter((at) => task.match(new Date(at)));
  void task.destroy();
  return found;
}

function nextTicks(expression: string, count: number): number[] {
  const task = cron.createTask(expression, () => undefined, { timezone: 'UTC' });
  const times = task.getNextRuns(count).map((date) => date.getTime());
  void task.destroy();
  return times;
}

function waits(times: readonly number[]): number[] {
  return times.slice(1).map((time, index) => time - (times[index] ?? time));
}
