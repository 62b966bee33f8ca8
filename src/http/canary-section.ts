import type { CanaryVerdict, Operation, PoolVerdict } from '../canary/verdict.ts';
import { formatSeconds, shorten } from '../lib/format.ts';
import type { Html, Part } from './html.ts';
import { html } from './html.ts';
import { ago, name, section, table, tableRow, UNKNOWN } from './page-parts.ts';
import { columnsOf } from './style.ts';

/** The longest text of a fault on the page; the API has the whole text. */
const SHOWN_FAULT = 200;

/** One line for each pool of workers. Anybody who writes DAGs may have written what the reports say. */
export function canarySection({ pools }: CanaryVerdict, now: number): Html {
  return section(
    'canary',
    'What the workers say of themselves',
    table('The canary, queue by queue', columnsOf('canary'), {
      rows: pools.map((pool) => tableRow(cellsOf(pool, now))),
      kind: 'canary',
    }),
  );
}

function cellsOf(pool: PoolVerdict, now: number): readonly Part[] {
  const { settings } = pool;
  return [
    name(pool.name),
    stateOf(pool),
    settings === null ? UNKNOWN : name(settings.backend.split('.').at(-1) ?? ''),
    settings === null ? UNKNOWN : settings.path === '' ? 'none' : name(settings.path),
    settings === null ? UNKNOWN : name(settings.threshold ?? 'unset'),
    pushOf(pool),
    stepOf(pool, 'pull'),
    othersOf(pool),
    pool.heardAt === null ? 'never' : ago(pool.heardAt, now),
  ];
}

function stateOf({ state, silence }: PoolVerdict): Part {
  switch (state) {
    case 'works':
      return html`<b class="ok">works</b>`;
    case 'fails':
      return html`<b class="no">fails</b>`;
    case 'untold':
      return 'where its value went, it did not see';
    case 'silent':
      return html`<b class="no">silent</b>: ${silence}`;
    case 'waits':
      return 'not heard yet';
  }
}

/** The outcome of an operation, and its duration. */
function stepOf({ operations }: PoolVerdict, operation: Operation): Part {
  const step = operations.find((one) => one.operation === operation);
  if (step === undefined) return '-';
  const took = formatSeconds(step.seconds);
  return step.ok ? took : html`<b class="no">failed</b> after ${took}: ${wordsOf(step.faults)}`;
}

/** A push that leaves the value in the database says nothing about object storage. */
function pushOf(pool: PoolVerdict): Part {
  const push = stepOf(pool, 'push');
  return pool.payload === 'kept' ? html`${push}, kept in the database` : push;
}

/** The other operations that failed, by name. */
function othersOf({ operations }: PoolVerdict): Part {
  const failed = operations.filter(
    ({ operation, ok }) => !ok && operation !== 'push' && operation !== 'pull',
  );
  return failed.map(
    ({ operation, faults }) => html`<b class="no">${operation} failed</b>: ${wordsOf(faults)} `,
  );
}

function wordsOf(faults: readonly string[]): string {
  return shorten(faults.join('; '), SHOWN_FAULT);
}
