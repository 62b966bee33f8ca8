import type { Html, Part } from './html.ts';
import { html, raw } from './html.ts';

/** Drawings of the page, as SVG without script or inline style: colours and widths are classes of the page's style. */

export interface Line {
  /** A class of the style, e.g. `db`. */
  readonly kind: string;
  /** One for each moment; null breaks the line. */
  readonly values: readonly (number | null)[];
}

export interface Figure {
  /** Unique on the page. */
  readonly id: string;
  readonly title: string;
  /** The same in words, for who cannot see it. */
  readonly words: string;
}

/** Units of the drawing: the page scales it to the width there is. */
const WIDTH = 320;
const HEIGHT = 110;
/** More than one line a unit and a half is only weight. */
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

/** One line without axes, to stand in a line of text. Null is drawn as a mark at the bottom: it failed. */
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
  /** How high, and the class of the style. */
  readonly stacks: readonly { readonly kind: string; readonly count: number }[];
}

/** Groups of bars. Heights are logarithmic: the few that matter must be seen beside the many that do not. */
export function barPlot(
  figure: Figure & { readonly legend: readonly (readonly [string, Part])[] },
  data: {
    readonly bars: readonly Bar[];
    /** Its place, in bars from the left, and its meaning. */
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
  /** Room above. */
  readonly lift: number;
}): Html {
  const { values, top, height, lift } = data;
  const xs = scaleOf(data.at, data.width);
  const every = Math.ceil(values.length / COLUMNS);
  let path = '';
  let drawing = false;
  for (let i = 0; i < values.length; i += every) {
    // The highest of the moments that share a column counts; one that is not known breaks the line.
    const some = values.slice(i, i + every);
    const high = some.includes(null) ? null : Math.max(...(some as number[]));
    if (high === null) {
      drawing = false;
      continue;
    }
    const x = xs[Math.min(i + every, values.length) - 1] ?? 0;
    const y = round(lift + (top === 0 ? height : height - (height * high) / top));
    path += `${drawing ? 'L' : 'M'}${x} ${y}`;
    // A moment on its own is a dot: the style gives lines round ends.
    if (!drawing) path += 'h0';
    drawing = true;
  }
  return raw(path);
}

/** Places each moment by the clock rather than by its number: a pause is seen as one. */
function scaleOf(at: readonly number[], width: number): number[] {
  const first = at[0] ?? 0;
  const span = (at.at(-1) ?? 0) - first;
  return at.map((one) => (span === 0 ? width : round((width * (one - first)) / span)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
