import { formatBytes, formatCount, formatMoment, formatSeconds, shorten } from '../lib/format.ts';
import type { Html, Part } from './html.ts';
import { html } from './html.ts';

export const UNKNOWN = 'not known';
/** Airflow lets a name have 250 characters; in full it is in the API. */
const SHOWN_NAME = 60;

/** A name that people outside gave: cut, and kept from turning the direction of the text around it. */
export function name(text: string): Html {
  return html`<bdi>${shorten(text, SHOWN_NAME)}</bdi>`;
}

/** Our own prose, in which names to type stand between backticks. */
export function prose(text: string): Part {
  return text.split('`').map((part, i) => (i % 2 === 0 ? part : html`<code>${part}</code>`));
}

/** How long ago, and the moment on the clock of the logs. */
export function when(at: number, now: number): Part {
  return [ago(at, now), ' ', html`<small>(${formatMoment(at, now)})</small>`];
}

export function ago(at: number, now: number): Html {
  const seconds = Math.max(0, Math.round((now - at) / 1_000));
  const iso = new Date(at).toISOString().slice(0, 19);
  return html`<time datetime="${iso}Z">${seconds === 0 ? 'now' : `${formatSeconds(seconds)} ago`}</time>`;
}

/** A size to read at a glance, and the bytes behind it: those are what settings and queries name. */
export function size(bytes: number | null): Part {
  if (bytes === null) return UNKNOWN;
  if (Math.abs(bytes) < 1_024) return formatBytes(bytes);
  return [formatBytes(bytes), ' ', html`<small>(${formatCount(bytes)} B)</small>`];
}

export function section(id: string, title: string, content: Part): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title">
    <h2 id="${id}-title">${title}</h2>
    ${content}
  </section>`;
}

/** Names beside what they stand for. */
export function facts(pairs: readonly (readonly [string, Part])[]): Html {
  return html`<dl>
    ${pairs.map(
      ([term, value]) =>
        html`<div>
          <dt>${term}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

/**
 * A wide table scrolls by itself, by keyboard too. On a phone a table of `kind` rows becomes a list of cards, for
 * which the style has the names of the columns.
 */
export function table(
  caption: string,
  head: readonly string[],
  options: { readonly rows: readonly Html[]; readonly kind?: string },
): Html {
  const { rows, kind = 'plain' } = options;
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0">
    <table class="${kind}">
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${head.map((column) => html`<th scope="col">${column}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

/** The first cell names the row. */
export function tableRow([first = '', ...cells]: readonly Part[]): Html {
  return html`<tr>
    <th scope="row">${first}</th>
    ${cells.map((cell) => html`<td>${cell}</td>`)}
  </tr>`;
}
