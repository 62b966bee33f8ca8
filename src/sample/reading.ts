import type { Shape } from '../airflow/shape.ts';
import type { Query } from '../postgres/client.ts';
import type { ReadEach } from '../postgres/cursor.ts';
import type { Staging } from '../window/staging.ts';

/** A reading under way. */
export interface Reading {
  readonly query: Query;
  readonly readEach: ReadEach;
  readonly shape: Shape;
  readonly knowsCompression: boolean;
  readonly staging: Staging;
}

/** The most runs that one statement names. */
export const RUNS_A_STATEMENT = 500;
