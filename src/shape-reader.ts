import { catalogueStatement, tablesStatement } from './airflow/queries.ts';
import { recogniseShape } from './airflow/shape.ts';
import type { CatalogueColumn, Shape, UnknownShape } from './airflow/shape.ts';
import type { Query } from './clients/postgres.ts';

export type ReadShape = (query: Query) => Promise<Shape | UnknownShape>;

/**
 * Reads the shape of the database, and reads it again when its tables have changed. A column that is dropped or renamed
 * does not show there: after a statement that failed, begin with a new reader.
 */
export function createShapeReader(): ReadShape {
  let known: { readonly tables: string; readonly shape: Shape } | null = null;
  return async (query) => {
    const [found] = await query<{ tables: string }>(tablesStatement());
    if (known !== null && known.tables === found?.tables) return known.shape;
    const shape = recogniseShape(await query<CatalogueColumn>(catalogueStatement()));
    known = 'unsupported' in shape ? null : { tables: found?.tables ?? '', shape };
    return shape;
  };
}
