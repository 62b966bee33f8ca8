/** Profiles the daemon and condenses the profile into a table of what the process spends its CPU on. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { SourceMap } from 'node:module';
import type { SourceMapPayload } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The part of V8's profile that is read here. */
export interface Profile {
  readonly nodes: readonly Node[];
  /** Microseconds. */
  readonly startTime: number;
  readonly endTime: number;
}

interface Node {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    /** The line of the function's first character, counted from 0. */
    readonly lineNumber: number;
  };
  readonly hitCount?: number;
  readonly children?: readonly number[];
  /** Lines are counted from 1. */
  readonly positionTicks?: readonly { readonly line: number; readonly ticks: number }[];
}

export interface Profiler {
  /** Arguments for Node, placed before the program. The first profile starts with the process. */
  readonly nodeArguments: readonly string[];
  /** Ends the profile under way and starts the next one. */
  readonly next: (process: { readonly pid?: number | undefined }) => Promise<Profile>;
  readonly close: () => void;
}

/** Loaded before the daemon: at each signal it writes the profile so far and starts a new one. */
const preload = (dir: string) => `
import { renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
const dir = ${JSON.stringify(dir)};
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.start');
process.on('SIGUSR2', () => {
  session.post('Profiler.stop', (_, { profile }) => {
    writeFileSync(dir + '/unfinished', JSON.stringify(profile));
    renameSync(dir + '/unfinished', dir + '/profile');
  });
  session.post('Profiler.start');
});`;

export function startProfiler(): Profiler {
  const dir = mkdtempSync(join(tmpdir(), 'bench-profile-'));
  const path = join(dir, 'profile');
  return {
    nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(preload(dir))}`],
    async next({ pid = 0 }) {
      process.kill(pid, 'SIGUSR2');
      while (!existsSync(path)) {
        // Throws when the process has ended.
        process.kill(pid, 0);
        await delay(20);
      }
      const profile = JSON.parse(readFileSync(path, 'utf8')) as Profile;
      rmSync(path);
      return profile;
    },
    close() {
      rmSync(dir, { recursive: true });
    },
  };
}

const COLLECTION = 'garbage collection';
const LOADING = 'loading and compiling modules';
const NODE = 'Node itself';

/** A table with a column for each group of profiles. The column shows what the process did while it was not idle. */
export function profileTable(root: string, columns: Readonly<Record<string, readonly Profile[]>>): string {
  const sourceOf = sourceFinder(root);
  const found = Object.entries(columns).map(([name, profiles]) => {
    const ticks = new Map<string, number>();
    let seconds = 0;
    for (const profile of profiles) seconds += condense(profile, { sourceOf, ticks });
    const all = [...ticks.values()].reduce((sum, count) => sum + count, 0);
    return { name, seconds, shareOf: (what: string) => (ticks.get(what) ?? 0) / Math.max(all, 1), ticks };
  });
  const most = (what: string) => Math.max(...found.map(({ shareOf }) => shareOf(what)));
  const names = [...new Set(found.flatMap(({ ticks }) => [...ticks.keys()]))]
    .filter((what) => most(what) >= 0.01)
    .toSorted((a, b) => most(b) - most(a));
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(['what', ...found.map(({ name, seconds }) => `${name} (${seconds.toFixed(2)} s)`)]),
    `|---|${'---:|'.repeat(found.length)}`,
    ...names.map((what) => line([what, ...found.map(({ shareOf }) => percent(shareOf(what)))])),
    line([
      'less than 1 % each',
      ...found.map(({ shareOf }) => percent(1 - names.reduce((sum, what) => sum + shareOf(what), 0))),
    ]),
  ].join('\n');
}

/** Adds the ticks of a profile to `ticks`, by kind; returns the seconds in which the process was not idle. */
function condense(
  profile: Profile,
  { sourceOf, ticks }: { sourceOf: SourceFinder; ticks: Map<string, number> },
): number {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const add = (what: string, count: number) => ticks.set(what, (ticks.get(what) ?? 0) + count);
  let idle = 0;
  let all = 0;
  /** `above` is the kind of the caller: a function without a file of its own counts for its caller. */
  function visit(node: Node, above: string): void {
    const { functionName, url, lineNumber } = node.callFrame;
    const hits = node.hitCount ?? 0;
    all += hits;
    let what = above;
    if (functionName === '(idle)') idle += hits;
    else if (functionName === '(garbage collector)') add(COLLECTION, hits);
    else if (url.startsWith('file:')) {
      what = sourceOf(url, lineNumber);
      let rest = hits;
      // All modules of a bundle do their work at loading in one function: only the lines tell the modules apart.
      for (const { line, ticks: count } of node.positionTicks ?? []) {
        add(sourceOf(url, line - 1), count);
        rest -= count;
      }
      add(what, rest);
    } else {
      if (url.startsWith('node:internal/modules/')) what = LOADING;
      else if (url !== '' && above !== LOADING) what = NODE;
      add(what, hits);
    }
    for (const id of node.children ?? []) {
      const child = nodes.get(id);
      if (child !== undefined) visit(child, what);
    }
  }
  const [root] = profile.nodes;
  if (root !== undefined) visit(root, NODE);
  return ((profile.endTime - profile.startTime) / 1e6) * (1 - idle / Math.max(all, 1));
}

type SourceFinder = (url: string, line: number) => string;

/** Finds the package or the folder of `src` that a line of a file comes from. */
function sourceFinder(root: string): SourceFinder {
  const maps = new Map<string, SourceMap | null>();
  return (url, line) => {
    const path = fileURLToPath(url);
    let map = maps.get(path);
    if (map === undefined) {
      const file = `${path}.map`;
      map = existsSync(file)
        ? new SourceMap(JSON.parse(readFileSync(file, 'utf8')) as SourceMapPayload)
        : null;
      maps.set(path, map);
    }
    const entry = map?.findEntry(line, Number.MAX_SAFE_INTEGER);
    return nameOf(
      root,
      entry !== undefined && 'originalSource' in entry ? resolve(dirname(path), entry.originalSource) : path,
    );
  };
}

function nameOf(root: string, path: string): string {
  const [, ...inPackages] = path.split('/node_modules/');
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(inPackages.at(-1) ?? '')?.[0];
  if (name === undefined) {
    const [first = '', folder = ''] = relative(root, path).split('/');
    // The bundle's own lines only run each module when it is first needed, and V8 compiles the module there.
    return first === 'src' ? `\`src/${folder}\`` : LOADING;
  }
  if (/^@(?:aws|smithy)/.test(name)) return '`@aws-sdk`, `@smithy`';
  return `\`${name.startsWith('pg') ? 'pg' : name}\``;
}
