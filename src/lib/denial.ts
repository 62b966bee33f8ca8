import type { Stats } from 'node:fs';
import { readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

type Access = 'read' | 'write' | 'enter';

/** The bits of a mode that an access needs, as for others. A file beside another is written by way of its folder. */
const BITS: Readonly<Record<Access, number>> = { read: 4, write: 3, enter: 1 };

/** Who this process is to the system. */
export interface Subject {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/**
 * Says who is refused what, and what to do, if the rights of a file or folder are the cause; null: another cause. Names
 * no part of the path that is not known to exist: a secret may stand in its place.
 */
export function denial(path: string, cause: unknown, access: 'read' | 'write' = 'read'): string | null {
  if (!(cause instanceof Error && 'code' in cause && (cause.code === 'EACCES' || cause.code === 'EPERM')))
    return null;
  const self = subject();
  const place = lastVisible(path);
  const found = place === null ? undefined : look(place);
  if (self === null || place === null || found === undefined)
    return `permission denied: let the user of the exporter ${access} it`;
  const what = place === path ? 'it' : `the folder ${quietly(() => realpathSync(place)) ?? place}`;
  return `permission denied: ${what} ${explainRights(found, self, place === path ? access : 'enter')}`;
}

/** The second half of the sentence: whose it is, who asks, and what to change. */
export function explainRights(
  { uid, gid, mode }: Pick<Stats, 'uid' | 'gid' | 'mode'>,
  self: Subject,
  access: Access,
): string {
  const isMember = self.gid === gid || self.groups.includes(gid);
  const own = (self.uid === uid ? mode >> 6 : isMember ? mode >> 3 : mode) & 7;
  const rights = (mode & 0o7777).toString(8).padStart(4, '0');
  const facts = `belongs to ${uid}:${gid} with mode ${rights}, and the exporter runs as ${self.uid}:${self.gid}`;
  if ((own & BITS[access]) === BITS[access])
    return `${facts}: these rights are enough, so something else refuses, such as SELinux or an access list`;
  const asOwner = self.uid === uid || uid === 0 ? '' : `, or run the exporter as ${uid}:${gid}`;
  return `${facts}: let that user or group ${access} it${asOwner}`;
}

/**
 * The last part of the path that this process may see: the one that refuses. Behind a link that leads to nothing visible,
 * it is part of what the link names.
 */
function lastVisible(path: string, linksLeft = MOST_LINKS): string | null {
  if (look(path) !== undefined) return path;
  const folder = dirname(path);
  const target = linksLeft === 0 ? undefined : quietly(() => readlinkSync(path));
  const base = quietly(() => realpathSync(folder));
  if (target !== undefined && base !== undefined) return lastVisible(resolve(base, target), linksLeft - 1);
  return folder === path ? null : lastVisible(folder, linksLeft);
}

/** Linux follows no more. */
const MOST_LINKS = 40;

function look(path: string): Stats | undefined {
  return quietly(() => statSync(path));
}

function quietly<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

/** Linux's own word. `os.userInfo` fails for a user without a name, as containers have. */
function subject(): Subject | null {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    const ids = (name: string) =>
      (new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1]?.match(/\d+/g) ?? []).map(Number);
    const [, uid] = ids('Uid');
    const [, gid] = ids('Gid');
    return uid === undefined || gid === undefined ? null : { uid, gid, groups: ids('Groups') };
  } catch {
    return null;
  }
}
