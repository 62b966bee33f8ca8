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

/** The longest wait between the next ticks of a cron expression, in ms. */
export function intervalOf(expression: string): number {
  const task = cron.createTask(expression, () => undefined, { timezone: 'UTC' });
  const times = task.getNextRuns(10).map((date) => date.getTime());
  void task.destroy();
  return Math.max(1_000, ...times.slice(1).map((time, index) => time - (times[index] ?? time)));
}
