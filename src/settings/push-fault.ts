/** The words of each warning about settings with which no push of a worker works: the verdict heeds them. */
export const NO_PUSH = 'every push of Airflow fails';

/** The first of the warnings that says so; null: none does. */
export function pushFaultOf(warnings: readonly string[]): string | null {
  return warnings.find((warning) => warning.includes(NO_PUSH)) ?? null;
}
