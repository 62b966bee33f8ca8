import type { Report } from '../diagnosis/report.ts';
import type { WindowTotals } from '../diagnosis/window-totals.ts';

/** A metric in the catalogue: everything about it, including how to get its figures. */
export interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, of histograms only. */
  readonly buckets?: readonly number[];
  readonly group: 'rows' | 'window' | 'verdict' | 'canary' | 'audit' | 'probe' | 'exporter';
  readonly stability?: 'experimental';
  /**
   * How to read the metric from the last report; it disappears when the report is stale. Absent: events set the metric.
   */
  readonly read?: Reading;
}

export interface Reading {
  readonly series: (report: Report) => readonly Series[];
  /** Whether the metric is about rows: after a cycle that could not read the database, the last figures stay. */
  readonly ofRows: boolean;
  /** Whether the values of the labels are not known in advance: series that a report does not name are removed. */
  readonly isOpen: boolean;
}

export type Labels = Readonly<Record<string, string>>;

/** A series with its value; null: the series is absent. */
export type Series = readonly [labels: Labels, value: number | null];

/** For series that every cycle gives, whether it could read the database or not. */
export function eachCycle(series: (report: Report) => readonly Series[]): Reading {
  return { series, ofRows: false, isOpen: false };
}

/** For a figure that only a cycle gives that could read the database. */
export function eachReading(figure: (report: Report) => number | null): Reading {
  return { series: (report) => [[{}, figure(report)]], ofRows: true, isOpen: false };
}

/** For series that only a cycle gives that could read the database, with the label values that it found. */
export function eachFound(series: (report: Report) => readonly Series[]): Reading {
  return { series, ofRows: true, isOpen: true };
}

/** For a figure of the window. */
export function ofWindow(figure: (window: WindowTotals) => number | null): Reading {
  return eachReading(({ window }) => (window === null ? null : figure(window)));
}

/** For a figure of the window for each value of a label. */
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
