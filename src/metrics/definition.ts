import type { Report } from '../diagnosis/report.ts';
import type { WindowTotals } from '../diagnosis/window-totals.ts';

/** A metric as the catalogue has it: all there is to say of it, the way to its figures included. */
export interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, of histograms only. */
  readonly buckets?: readonly number[];
  readonly group: 'rows' | 'window' | 'verdict' | 'canary' | 'audit' | 'probe' | 'exporter';
  readonly stability?: 'experimental';
  /** How it follows from the last report. It goes away when that is stale. Absent: it is set by what happens. */
  readonly read?: Reading;
}

export interface Reading {
  readonly series: (report: Report) => readonly Series[];
  /** It tells of the rows: a cycle that could not read the database says nothing of it, and the last figures stand. */
  readonly ofRows: boolean;
  /** Its labels take values that are not known in advance: series that a report does not name go. */
  readonly isOpen: boolean;
}

export type Labels = Readonly<Record<string, string>>;

/** The series is absent with null. */
export type Series = readonly [labels: Labels, value: number | null];

/** Every cycle says it, whether it could read the database or not. */
export function eachCycle(series: (report: Report) => readonly Series[]): Reading {
  return { series, ofRows: false, isOpen: false };
}

/** Only a cycle that could read the database says it. */
export function eachReading(figure: (report: Report) => number | null): Reading {
  return { series: (report) => [[{}, figure(report)]], ofRows: true, isOpen: false };
}

/** Only a cycle that could read the database says it, for whatever label values it found. */
export function eachFound(series: (report: Report) => readonly Series[]): Reading {
  return { series, ofRows: true, isOpen: true };
}

/** A figure of the window. */
export function ofWindow(figure: (window: WindowTotals) => number | null): Reading {
  return eachReading(({ window }) => (window === null ? null : figure(window)));
}

/** A figure of the window for each value of a label. */
export function ofWindowBy<Value extends string>(
  label: string,
  values: readonly Value[],
  { figures }: { readonly figures: (window: WindowTotals) => Readonly<Record<Value, number | null>> },
): Reading {
  return {
    series: ({ window }) => {
      const found = window === null ? null : figures(window);
      return values.map((value) => [{ [label]: value }, found === null ? null : found[value]]);
    },
    ofRows: true,
    isOpen: false,
  };
}
