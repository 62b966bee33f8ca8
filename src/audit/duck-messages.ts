/** What the thread of DuckDB is asked. One at a time is worked on, in the order in which they come. */
export type Request =
  | { readonly kind: 'open'; readonly file: string; readonly settings: DuckSettings }
  | { readonly kind: 'run'; readonly sql: string; readonly values: readonly (string | number)[] }
  | ({ readonly kind: 'append' } & Batch)
  | { readonly kind: 'close' };

/** Rows by columns, and how far their step is with them: stored together or not at all. */
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
