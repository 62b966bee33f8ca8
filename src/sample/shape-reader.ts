import type { System, Tables } from '../airflow/catalogue-queries.ts';
import { catalogueStatement, systemStatement, tablesStatement } from '../airflow/catalogue-queries.ts';
import type { CatalogueColumn, Shape, UnknownShape } from '../airflow/shape.ts';
import { hiddenBy, recogniseShape, refusedBy } from '../airflow/shape.ts';
import type { Query } from '../postgres/client.ts';
import { DatabaseError, wordsForHiddenRows } from '../postgres/failure.ts';
import type { Origin } from '../window/ledger-state.ts';

const GRANTS = 'docs/sql/role.sql grants what it needs, and has to be run again after an upgrade of Airflow';

export interface Found {
  readonly shape: Shape | UnknownShape;
  readonly origin: Origin;
}

export type ReadShape = (query: Query) => Promise<Found>;

/**
 * Reads the shape of the database, and reads it again when its tables have changed. A dropped or renamed column does
 * not show as such a change: after a failed statement, begin with a new reader.
 */
export function createShapeReader(): ReadShape {
  let known: { readonly tables: string; readonly shape: Shape } | null = null;
  return async (query) => {
    const [found] = await query<Tables>(tablesStatement());
    if (found === undefined) throw new Error('Cannot read the catalogue of the database: no row came back');
    const { columns, files, isIndexed, mayNameSystem } = found;
    if (!isIndexed)
      throw new DatabaseError(
        'conflict',
        'Cannot read the database: a table of Airflow has no index, as while a dump is put back; it is read when it has one',
        null,
      );
    const [cluster] = mayNameSystem ? await query<System>(systemStatement()) : [];
    const origin = {
      tables: `${cluster?.system ?? ''}: ${found.origin}`,
      files,
      timeline: cluster?.timeline ?? null,
    };
    // A column that gets another type is rewritten, so the table gets new files.
    const tables = `${columns}; ${files}`;
    if (known !== null && known.tables === tables) return { shape: known.shape, origin };
    const catalogue = await query<CatalogueColumn>(catalogueStatement());
    const shape = recogniseShape(catalogue);
    known = null;
    if ('unsupported' in shape) return { shape, origin };
    const refused = refusedBy(catalogue, shape);
    if (refused.length > 0)
      throw new DatabaseError(
        'denied',
        `Cannot read the database: the role may not read ${refused.join(', ')}; ${GRANTS}`,
        null,
      );
    const hidden = hiddenBy(catalogue, shape);
    if (hidden.length > 0)
      throw new DatabaseError('denied', `Cannot read the database: ${wordsForHiddenRows(hidden)}`, null);
    // A grant does not show in the tables, so the catalogue is read until nothing is missing.
    if (shape.unread.length === 0) known = { tables, shape };
    return { shape, origin };
  };
}
