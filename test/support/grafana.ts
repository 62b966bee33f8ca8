/** The files under grafana/ as Grafana and Prometheus read them. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

const NAMES = ['overview.json', 'storage.json', 's3-and-probe.json', 'slo.json', 'exporter.json'] as const;

export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat: string;
  readonly instant?: boolean;
  readonly interval?: string;
  readonly format?: string;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string;
      readonly decimals?: number;
      readonly noValue?: string;
      readonly mappings?: readonly Mapping[];
      readonly thresholds?: {
        readonly steps: readonly { readonly value: number | null; readonly color: string }[];
      };
    };
  };
  readonly options?: { readonly content?: string };
  readonly transformations?: readonly {
    readonly id: string;
    readonly options: Readonly<Record<string, unknown>>;
  }[];
  readonly links?: readonly { readonly url?: string }[];
  readonly targets?: readonly Target[];
  readonly panels?: readonly Panel[];
}

/** A text and a colour in place of a value, or of none. */
export type Mapping =
  | { readonly type: 'value'; readonly options: Readonly<Record<string, TextAndColor>> }
  | { readonly type: 'special'; readonly options: { readonly match: string; readonly result: TextAndColor } };

export interface TextAndColor {
  readonly text: string;
  readonly color: string;
}

export interface Variable {
  readonly type: string;
  readonly name: string;
  readonly multi: boolean;
  readonly allValue?: string;
  readonly query: string;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly editable: boolean;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
  readonly annotations: { readonly list: readonly { readonly expr?: string }[] };
}

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly keep_firing_for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export function dashboards(): Readonly<Record<string, Dashboard>> {
  return Object.fromEntries(NAMES.map((name) => [name, JSON.parse(read(name)) as Dashboard]));
}

/** All panels, including those in a closed row. */
export function panelsOf({ panels }: Pick<Dashboard, 'panels'>): Panel[] {
  return panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
}

export function queriesOf(
  dashboard: Pick<Dashboard, 'panels'>,
): (Target & { title: string; panel: Panel })[] {
  return panelsOf(dashboard).flatMap((panel) =>
    (panel.targets ?? []).map((target) => ({ title: panel.title, panel, ...target })),
  );
}

export function annotationsOf({ annotations }: Dashboard): string[] {
  return annotations.list.flatMap(({ expr }) => (expr === undefined ? [] : [expr]));
}

export function rulesOf(path: string): (AlertRule | RecordingRule)[] {
  const { groups } = parse(read(path)) as { groups: { rules: (AlertRule | RecordingRule)[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

function read(path: string): string {
  return readFileSync(new URL(`../../grafana/${path}`, import.meta.url), 'utf8');
}
