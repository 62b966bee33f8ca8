import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm, stat } from 'node:fs/promises';
import { z } from 'zod';

/** Changes whenever what is written changes its form: a file of another version is not guessed at. */
const FORMAT = 'airflow-xcom-exporter-audit/1';
const MOST_BYTES = 65_536;

const count = z.number().nonnegative();
const amount = z.object({ objects: count, bytes: count });

const schema = z.object({
  format: z.literal(FORMAT),
  /** When the audit ended, epoch ms. */
  at: z.number().int().positive(),
  /** Objects in the places that were listed, by what was said of them; null: that could not be said. */
  objects: z.object({
    named: amount.nullable(),
    orphaned: amount.nullable(),
    young: amount.nullable(),
    other: amount.nullable(),
  }),
  /** References whose objects are gone; null: not known of all of them. */
  missing: count.nullable(),
  unlistedPlaces: count,
});

/** What an audit leaves to the exporter: few figures, so that their growth can be seen. */
export type AuditResult = Readonly<Omit<z.infer<typeof schema>, 'format'>>;

export type AuditFound =
  | { readonly kind: 'found'; readonly result: AuditResult }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unusable'; readonly why: string };

/** Beside the state file of the exporter. */
export function auditResultPath(stateFile: string): string {
  return `${stateFile}.audit.json`;
}

/** Written beside and renamed: the exporter finds the old result or the new one. Figures alone, so others may read it. */
export async function writeAuditResult(path: string, result: AuditResult): Promise<void> {
  // The exporter clears what is called so when it starts.
  const beside = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(beside, 'wx', 0o644);
    try {
      await file.writeFile(`${JSON.stringify({ format: FORMAT, ...result })}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw new Error(`Cannot write the result of the audit beside the state file: ${path}`, { cause: error });
  }
}

/** Differs whenever the file may be another one. */
export async function auditStamp(path: string): Promise<string> {
  try {
    const { ino, mtimeMs, size } = await stat(path);
    return `${ino} ${mtimeMs} ${size}`;
  } catch (error) {
    return codeOf(error);
  }
}

export async function readAuditResult(path: string): Promise<AuditFound> {
  let file: FileHandle | null = null;
  try {
    // A pipe would be waited for.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { size } = await file.stat();
    if (size > MOST_BYTES) return { kind: 'unusable', why: 'it is too long' };
    return parse(await file.readFile('utf8'));
  } catch (error) {
    const code = codeOf(error);
    return code === 'ENOENT' ? { kind: 'absent' } : { kind: 'unusable', why: `it cannot be read: ${code}` };
  } finally {
    await file?.close();
  }
}

function parse(text: string): AuditFound {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: 'unusable', why: 'it is damaged' };
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) {
    const { at, objects, missing, unlistedPlaces } = parsed.data;
    return { kind: 'found', result: { at, objects, missing, unlistedPlaces } };
  }
  const isOther = parsed.error.issues.some(({ path: [first] }) => first === 'format');
  return {
    kind: 'unusable',
    why: isOther ? 'it was not written by this version of the exporter' : 'it is damaged',
  };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
