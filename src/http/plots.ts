import type { Html, Part } from './html.ts';
import { html, raw } from './html.ts';

/** The plots on the page: SVG without script or inline style. Colours and widths are classes of the page's style. */

export interface Line {
  /** A class of the style, e.g. `db`. */
  readonly kind: string;
  /** One value for each moment; null breaks the line. */
  readonly values: readonly (number | null)[];
}

export interface Figure {
  /** Unique on the page. */
  readonly id: string;
  readonly title: string;
  /** The content of the plot in words, for readers who cannot see it. */
  readonly words: string;
}

/** Units of the drawing; the page scales it to the available width. */
const WIDTH = 320;
const HEIGHT = 110;
/** The most points on a line. More points than one for every two units only make the page larger. */
const COLUMNS = 160;

/** Lines over time, from 0 to the highest value. `at`: epoch ms of each moment, rising. */
export function linePlot(
  figure: Figure & { readonly legend: readonly (readonly [string, Part])[] },
  data: {
    readonly at: readonly number[];
    readonly lines: readonly Line[];
    readonly format: (value: number) => string;
    readonly from: string;
  },
): Html {
  const { at, lines, format, from } = data;
  const top = Math.max(...lines.flatMap(({ values }) => values.filter((value) => value !== null)), 0);
  const paths = lines.map(
    ({ kind, values }) =>
      html`<path
        class="line ${kind}"
        d="${pathOf({ at, values, top, width: WIDTH, height: HEIGHT - 26, lift: 14 })}"
      />`,
  );
  return plot(
    figure,
    html`<text class="axis" x="0" y="10">${top === 0 ? '' : format(top)}</text>
      <path class="base" d="M0 ${HEIGHT - 11.5}H${WIDTH}" />
      ${paths}
      <text class="axis" x="0" y="${HEIGHT - 1}">${from}</text>
      <text class="axis end" x="${WIDTH}" y="${HEIGHT - 1}">now</text>`,
  );
}

/** One line without axes, small enough for a line of text. A null value failed and is drawn as a mark at the bottom. */
export function sparkline(
  figure: Figure,
  data: { readonly at: readonly number[]; readonly values: readonly (number | null)[] },
): Html {
  const top = Math.max(...data.values.filter((value) => value !== null), 0);
  const xs = scaleOf(data.at, 120);
  const failures = data.values.flatMap((value, i) => (value === null ? [`M${xs[i] ?? 0} 15v9`] : []));
  return html`<svg class="spark" viewBox="-2 0 124 26" role="img" aria-labelledby="${figure.id}">
    <title id="${figure.id}">${figure.title}: ${figure.words}</title>
    <path class="line s3" d="${pathOf({ ...data, top, width: 120, height: 22, lift: 2 })}" />
    ${failures.length > 0 && html`<path class="failed" d="${failures.slice(-COLUMNS).join('')}" />`}
  </svg>`;
}

export interface Bar {
  readonly label: string;
  /** The heights, each with its class of the style. */
  readonly stacks: readonly { readonly kind: string; readonly count: number }[];
}

/** Groups of bars. Heights are logarithmic, so that a few important values can be seen beside many ordinary ones. */
export function barPlot(
  figure: Figure & { readonly legend: readonly (readonly [string, Part])[] },
  data: {
    readonly bars: readonly Bar[];
    /** The mark's position, in bars from the left, and its label. */
    readonly marks: readonly { readonly at: number; readonly label: string }[];
  },
): Html {
  const { bars, marks } = data;
  const step = WIDTH / Math.max(1, bars.length);
  const room = HEIGHT - 30;
  const highest = Math.max(...bars.flatMap(({ stacks }) => stacks.map(({ count }) => count)), 1);
  const heightOf = (count: number): number =>
    count === 0 ? 0 : Math.max(2, (room * Math.log1p(count)) / Math.log1p(highest));
  const shapes = bars.flatMap(({ stacks }, i) =>
    stacks.flatMap(({ kind, count }, j) => {
      const wide = (step - 4) / stacks.length;
      const high = round(heightOf(count));
      return high === 0
        ? []
        : [
            html`<rect
              class="${kind}"
              x="${round(i * step + 2 + j * wide)}"
              y="${round(HEIGHT - 12 - high)}"
              width="${round(wide - 0.5)}"
              height="${high}"
            />`,
          ];
    }),
  );
  return plot(
    figure,
    html`${shapes}
      <path class="base" d="M0 ${HEIGHT - 11.5}H${WIDTH}" />
      ${marks.map(({ at, label }) => {
        const x = round(Math.min(Math.max(at, 0), bars.length) * step);
        const right = x > WIDTH / 2;
        return html`<path class="mark" d="M${x} 2V${HEIGHT - 11.5}" />
          <text class="axis ${right ? 'end' : 'start'}" x="${right ? x - 3 : x + 3}" y="10">${label}</text>`;
      })}
      ${bars.map(
        ({ label }, i) =>
          label !== '' &&
          html`<text class="axis mid" x="${round(i * step)}" y="${HEIGHT - 1}">${label}</text>`,
      )}`,
  );
}

function plot(
  { id, title, words, legend }: Figure & { readonly legend: readonly (readonly [string, Part])[] },
  drawing: Html,
): Html {
  return html`<figure>
    <figcaption>${title}</figcaption>
    <svg viewBox="-2 0 ${WIDTH + 4} ${HEIGHT + 2}" role="img" aria-labelledby="${id}-t ${id}-d">
      <title id="${id}-t">${title}</title>
      <desc id="${id}-d">${words}</desc>
      ${drawing}
    </svg>
    <ul class="legend">
      ${legend.map(([kind, words]) => html`<li><i class="${kind}"></i>${words}</li>`)}
    </ul>
  </figure>`;
}

function pathOf(data: {
  readonly at: readonly number[];
  readonly values: readonly (number | null)[];
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** Free space above the line. */
  readonly lift: number;
}): Html {
  const { values, top, height, lift } = data;
  const xs = scaleOf(data.at, data.width);
  const every = Math.ceil(values.length / COLUMNS);
  let path = '';
  let drawing = false;
  for (let i = 0; i < values.length; i += every) {
    // Among moments that share a column, the highest value counts; an unknown value breaks the line.
    const some = values.slice(i, i + every);
    const high = some.includes(null) ? null : Math.max(...(some as number[]));
    if (high === null) {
      drawing = false;
      continue;
    }
    const x = xs[Math.min(i + every, values.length) - 1] ?? 0;
    const y = round(lift + (top === 0 ? height : height - (height * high) / top));
    path += `${drawing ? 'L' : 'M'}${x} ${y}`;
    // A single moment is drawn as a dot, because the style gives lines round ends.
    if (!drawing) path += 'h0';
    drawing = true;
  }
  return raw(path);
}

/** Places each moment by its time, not by its index, so that a pause in the data shows. */
function scaleOf(at: readonly number[], width: number): number[] {
  const first = at[0] ?? 0;
  const span = (at.at(-1) ?? 0) - first;
  return at.map((one) => (span === 0 ? width : round((width * (one - first)) / span)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
