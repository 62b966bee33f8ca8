/** What was played, when: the scale on which everything that Prometheus recorded is read afterwards. */
export interface Played {
  readonly act: string;
  /** Epoch seconds. */
  readonly from: number;
  /** When it was mended; the end of the act for a healthy one. */
  readonly cured: number;
  readonly to: number;
}

export interface Expectation {
  /** Alerts that have to fire after the beginning of the act and to resolve after its cure. */
  readonly fires: readonly string[];
  /** Alerts that may fire besides, each for a reason. */
  readonly mayFire?: Readonly<Record<string, string>>;
}

export function nowSeconds(): number {
  return Date.now() / 1_000;
}
