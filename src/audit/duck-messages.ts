/** A request to the thread of DuckDB, which works on one at a time, in the order in which they come. */
export type Request =
  | { readonly kind: 'open'; readonly file: string; readonly settings: DuckSettings }
  | { readonly kind: 'run'; readonly sql: string; readonly values: readonly (string | number)[] }
  | ({ readonly kind: 'append' } & Batch)
  | { readonly kind: 'close' };

/** Rows, column by column, and the progress of their step: both are stored together or not at all. */
export interface Batch {
  readonly table: string;
  readonly types: readonly ('text' | 'number')[];
  readonly columns: readonly (readonly (string | number)[])[];
  readonly progress: readonly (readonly [step: string, state: string])[];
}

export type DuckSettings = Readonly<Record<string, string>> & { readonly temp_directory: string };

export type Answer = { readonly id: number } & (
  | { readonly rows: readonly Readonly<Record<string, unknown>>[] }
  | { readonly error: string }
);
