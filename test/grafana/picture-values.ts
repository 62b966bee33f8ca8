import type { Panel, TextAndColor } from '../support/grafana.ts';

const SCALES: Readonly<Record<string, readonly [units: readonly string[], step: number]>> = {
  bytes: [['B', 'KiB', 'MiB', 'GiB'], 1024],
  Bps: [['B/s', 'kB/s', 'MB/s', 'GB/s'], 1000],
  short: [['', ' K', ' Mil'], 1000],
};

/** A number as Grafana would print it in this unit, near enough for a picture. */
export function shown(value: number, panel: Panel): string {
  const { unit = 'none', decimals } = panel.fieldConfig?.defaults ?? {};
  if (Number.isNaN(value)) return 'NaN';
  if (unit === 'percentunit') return `${(value * 100).toFixed(decimals ?? 0)}%`;
  if (unit === 's')
    return value < 1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(decimals ?? 1)} s`;
  const [units, step] = SCALES[unit] ?? [[''], Infinity];
  let scaled = value;
  let index = 0;
  for (; Math.abs(scaled) >= step && index < units.length - 1; index += 1) scaled /= step;
  const text = Number.isInteger(scaled) ? String(scaled) : scaled.toFixed(scaled < 10 ? 1 : 0);
  return `${text}${unit === 'short' ? '' : ' '}${units[index] ?? ''}`.trim();
}

const COLORS: Readonly<Record<string, string>> = {
  green: '#3f9c52',
  orange: '#e8871e',
  red: '#d4373f',
  'dark-red': '#a01c24',
  yellow: '#e5b81b',
  blue: '#3d71d9',
  purple: '#7a5cd6',
  text: '#6b7280',
};

/** The text that the panel shows in place of a value, or of none. */
export function mapped(value: number | string, panel: Panel): TextAndColor | undefined {
  for (const { type, options } of panel.fieldConfig?.defaults.mappings ?? []) {
    const found =
      type === 'value' ? options[String(value)] : Number.isNaN(value) ? options.result : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The text for a value, and its colour. */
export function look(value: number, panel: Panel): TextAndColor {
  const text = mapped(value, panel);
  if (text !== undefined) return { text: text.text, color: COLORS[text.color] ?? '#6b7280' };
  const { thresholds } = panel.fieldConfig?.defaults ?? {};
  const step = thresholds?.steps.findLast((one) => one.value === null || value >= one.value);
  return { text: shown(value, panel), color: COLORS[step?.color ?? 'text'] ?? '#6b7280' };
}

const PALETTE = ['#3f9c52', '#e5b81b', '#3d71d9', '#e8871e', '#d4373f', '#7a5cd6', '#2aa5a0', '#b0578d'];

/** The colour that the panel sets for the series' name, otherwise the next colour of the palette. */
export function seriesColor(panel: Panel, { name, index }: { name: string; index: number }): string {
  const { overrides = [] } = (panel.fieldConfig ?? {}) as { overrides?: readonly Override[] };
  const fixed = overrides
    .filter(({ matcher }) => matcher.id === 'byRegexp' && new RegExp(matcher.options.slice(1, -1)).test(name))
    .flatMap(({ properties }) => properties)
    .find(({ id }) => id === 'color')?.value.fixedColor;
  return (fixed === undefined ? PALETTE[index % PALETTE.length] : COLORS[fixed]) ?? '#6b7280';
}

interface Override {
  readonly matcher: { readonly id: string; readonly options: string };
  readonly properties: readonly { readonly id: string; readonly value: { readonly fixedColor?: string } }[];
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
