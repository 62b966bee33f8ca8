/** An act that was played, and when: everything that Prometheus recorded is read by these times afterwards. */
export interface Played {
  readonly act: string;
  /** Epoch seconds. */
  readonly from: number;
  /** When the fault was mended; for a healthy act, the end of the act. */
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
