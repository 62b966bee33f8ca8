import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { installPython } from './install.ts';
import { ACCOUNT } from './servers.ts';

/** The result for one key: `text` is the text that was read, or the reason for the failure. */
export interface Attempt {
  readonly ok: boolean;
  readonly text: string | null;
}

interface Place {
  readonly bucket: string;
  readonly keys: readonly string[];
}

/** s3fs in a process of its own, which writes and reads as Airflow does. */
export interface Writer {
  readonly release: string;
  write(place: Place, body: string, extra?: Readonly<Record<string, string>>): Promise<readonly Attempt[]>;
  /** Writes on the condition that no such object exists. */
  create(place: Place, body: string): Promise<readonly Attempt[]>;
  /** Writes thousands of objects at once. */
  fill(place: Place, body: string): Promise<readonly Attempt[]>;
  read(place: Place): Promise<readonly Attempt[]>;
  stop(): Promise<void>;
}

/** The versions that come with Airflow 2.9 and 3.4. */
export const RELEASES = [
  { release: '2024.6.1', packages: ['s3fs==2024.6.1', 'aiobotocore==2.13.1'] },
  { release: '2026.9.0', packages: ['s3fs==2026.9.0', 'aiobotocore==3.10.0'] },
] as const;

export async function startWriter(
  endpoint: string,
  { release, packages }: (typeof RELEASES)[number],
): Promise<Writer> {
  const programs = await installPython(`s3fs-${release}`, packages);
  const script = fileURLToPath(new URL('./writer.py', import.meta.url));
  const { accessKeyId, secretAccessKey, region } = ACCOUNT;
  const child = spawn(join(programs, 'python'), [script, endpoint, accessKeyId, secretAccessKey, region], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.once('exit', resolve));

  async function tell(told: Place & { readonly do: string } & Record<string, unknown>): Promise<Attempt[]> {
    child.stdin.write(`${JSON.stringify(told)}\n`);
    const line = await lines.next();
    if (line.done === true) throw new Error(`s3fs ${release} has ended`);
    return JSON.parse(line.value) as Attempt[];
  }

  return {
    release,
    write: (place, body, extra = {}) => tell({ ...place, do: 'write', body, extra }),
    create: (place, body) => tell({ ...place, do: 'create', body }),
    fill: (place, body) => tell({ ...place, do: 'fill', body }),
    read: (place) => tell({ ...place, do: 'read' }),
    stop: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
