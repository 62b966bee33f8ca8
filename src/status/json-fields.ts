/** Fields that every document has. */
import { z } from 'zod';

export const timeSchema = z.iso.datetime({ precision: 3 });
export const count = z.int().min(0);
export const seconds = z.number().min(0);

export function isoOf(at: number): string {
  return new Date(at).toISOString();
}
