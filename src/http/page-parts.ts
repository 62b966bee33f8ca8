import { formatBytes, formatCount, formatMoment, formatSeconds, shorten } from '../lib/format.ts';
import type { Html, Part } from './html.ts';
import { html } from './html.ts';

export const UNKNOWN = 'not known';
/** The longest name on the page. Airflow allows 250 characters; the API has the whole name. */
const SHOWN_NAME = 60;

/** A name from outside: shortened, and kept from turning the direction of the text around it. */
export function name(text: string): Html {
  return html`<bdi>${shorten(text, SHOWN_NAME)}</bdi>`;
}

/** Our own prose; names to type are between backticks. */
export function prose(text: string): Part {
  return text.split('`').map((part, i) => (i % 2 === 0 ? part : html`<code>${part}</code>`));
}

/** How long ago, and the moment as in the logs. */
export function when(at: number, now: number): Part {
  return [ago(at, now), ' ', html`<small>(${formatMoment(at, now)})</small>`];
}

export function ago(at: number, now: number): Html {
  const seconds = Math.max(0, Math.round((now - at) / 1_000));
  const iso = new Date(at).toISOString().slice(0, 19);
  return html`<time datetime="${iso}Z">${seconds === 0 ? 'now' : `${formatSeconds(seconds)} ago`}</time>`;
}

/** A size in readable units, and the exact bytes, because settings and queries use bytes. */
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

/** A list of terms and their values. */
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
 * A wide table scrolls on its own, by keyboard too. On a phone a table whose rows have a `kind` becomes a list of
 * cards; the style holds the names of their columns.
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

/** The first cell is the header of the row. */
export function tableRow([first = '', ...cells]: readonly Part[]): Html {
  return html`<tr>
    <th scope="row">${first}</th>
    ${cells.map((cell) => html`<td>${cell}</td>`)}
  </tr>`;
}
