import type { Logger } from 'pino';
import { messageOf } from '../lib/message-of.ts';
import { reasonFor, StateConflict } from '../state/failure.ts';
import type { StateFile } from '../state/file.ts';
import type { State } from '../state/records.ts';
import type { JobEnd } from '../status/jobs.ts';

/** How long a state without news counts as good as the one written before. */
const QUIET_MS = 300_000;

export interface Keeper {
  /**
   * Writes the state when it has news, and otherwise now and then, and publishes what is written. What cannot be
   * written is published as well. False: nothing was published, because another leader has written the file. Throws
   * nothing.
   */
  save(state: State, how: { readonly isNews: boolean; readonly publish: () => void }): Promise<boolean>;
  /**
   * Reads the file when another exporter has written it since this one last read or wrote it, or may have written it
   * last when nothing is `remembered` here. Null: the state of the last leader is not there. Undefined: the memory here
   * is as good, or there is no file.
   */
  found(here: { readonly remembered: boolean }): Promise<State | null | undefined>;
}

export function createKeeper(parts: {
  file: StateFile | null;
  /** Called after every state that was written or could not be written. */
  finished: (end: JobEnd) => void;
  /** Whether the file belongs to a leader, so that another writer has led. */
  isLed: boolean;
  /** The longest time between two cycles of a leader. */
  cyclesApartMs: () => number;
  log: Logger;
}): Keeper {
  const { file, finished, isLed, cyclesApartMs, log } = parts;
  const read = async (from: StateFile): Promise<State | null> => {
    const state = await from.read();
    const unused = from.unused();
    if (unused !== null) log.warn(unused);
    return state;
  };
  let saved: State['window'] | null = null;
  let savedAt = 0;
  return {
    async save(state, { isNews, publish }) {
      let published = false;
      const publishOnce = () => {
        if (published) return;
        published = true;
        publish();
      };
      if (file === null) {
        publishOnce();
        return true;
      }
      // After a migration the state differs, though nothing was counted.
      if (!isNews && state.window === saved && performance.now() - savedAt < QUIET_MS) {
        publishOnce();
        return true;
      }
      const before = performance.now();
      const end = (failure: JobEnd['failure']) => {
        finished({ seconds: (performance.now() - before) / 1000, failure, at: Date.now() });
      };
      try {
        await file.write(state, publishOnce);
        saved = state.window;
        savedAt = performance.now();
        end(null);
      } catch (error) {
        // The next cycle writes the state again, even if it counts nothing new.
        saved = null;
        log.error(
          { err: error },
          'cannot write the state file: a restart will count from the last one written',
        );
        end({ reason: reasonFor(error), detail: messageOf(error) });
        // The other one led meanwhile and has counted the same rows. Without a lock each exporter counts for itself.
        if (isLed && error instanceof StateConflict) return false;
      }
      publishOnce();
      return true;
    },

    async found({ remembered }) {
      if (file === null) return undefined;
      try {
        if (await file.changed()) return await read(file);
        if (remembered) return undefined;
        // Another exporter may have led meanwhile. It would have written a file of both; what it counted is not in here.
        if (file.seenMs() <= QUIET_MS + cyclesApartMs()) return await read(file);
        log.warn(
          'another exporter may have led since this state file was written, and what it counted is not in it: what is there now forms the baseline. Give both the same file',
        );
        return null;
      } catch (error) {
        // The file stays as it is: later counts are not written over it.
        log.error({ err: error }, 'cannot go on from the state file: what is there now forms the baseline');
        return null;
      }
    },
  };
}
