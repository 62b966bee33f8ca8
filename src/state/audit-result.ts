import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm, stat } from 'node:fs/promises';
import { z } from 'zod';

/** The version of the format, which changes with every change of the form. A file of another version is not read. */
const FORMAT = 'airflow-xcom-exporter-audit/1';
const MOST_BYTES = 65_536;

const count = z.number().nonnegative();
const amount = z.object({ objects: count, bytes: count });

const schema = z.object({
  format: z.literal(FORMAT),
  /** When the audit ended, epoch ms. */
  at: z.number().int().positive(),
  /** Objects in the listed places, by verdict; null: that verdict was not possible. */
  objects: z.object({
    named: amount.nullable(),
    orphaned: amount.nullable(),
    young: amount.nullable(),
    other: amount.nullable(),
  }),
  /** How many references point to objects that are gone; null: not known for all references. */
  missing: count.nullable(),
  unlistedPlaces: count,
});

/** The result that an audit leaves to the exporter: a few figures, so that their growth can be seen. */
export type AuditResult = Readonly<Omit<z.infer<typeof schema>, 'format'>>;

export type AuditFound =
  | { readonly kind: 'found'; readonly result: AuditResult }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unusable'; readonly why: string };

/** The path of the result, beside the state file of the exporter. */
export function auditResultPath(stateFile: string): string {
  return `${stateFile}.audit.json`;
}

/**
 * Writes to another file and renames it, so that the exporter finds either the old or the new result. Others may read
 * the file, because it contains only figures.
 */
export async function writeAuditResult(path: string, result: AuditResult): Promise<void> {
  // The exporter removes files with such a name when it starts.
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

/** A text that differs whenever the file may have changed. */
export async function auditStamp(path: string): Promise<string> {
  try {
    // The time of the last change of the inode is in it: a file that could not be read changes by its mode alone.
    const { ino, ctimeMs, size } = await stat(path);
    return `${ino} ${ctimeMs} ${size}`;
  } catch (error) {
    return codeOf(error);
  }
}

export async function readAuditResult(path: string): Promise<AuditFound> {
  let file: FileHandle | null = null;
  try {
    // Without O_NONBLOCK, opening a pipe would wait.
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
    why: isOther ? 'it is of another version of the exporter' : 'it is damaged',
  };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
