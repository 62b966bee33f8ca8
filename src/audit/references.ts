import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Duck } from './duck.ts';
import { bucketOf, keyOf } from './key-sql.ts';
import type { Base } from './named-object.ts';
import { asAWhole, PARQUET } from './results.ts';
import { text } from './sql-text.ts';

export interface ReferencesOptions {
  readonly duck: Duck;
  /** The rows were read as of this moment, epoch ms; null when a standby cannot say. */
  readonly rowsAsOf: number | null;
  /** The places that Airflow is configured to write to, and the places that it wrote to, as rows say. */
  readonly bases: readonly Base[];
  /** The name of the folder at the end; until then the folder has another name. */
  readonly folder: string;
}

/**
 * Writes what rows name, for docs/sql/audit-join.sql. Each table has a folder, because an external table is all files
 * of one folder.
 */
export async function writeReferences({ duck, rowsAsOf, bases, folder }: ReferencesOptions): Promise<void> {
  await asAWhole(folder, async (unfinished) => {
    const copy = async (table: string, query: string) => {
      mkdirSync(join(unfinished, table), { recursive: true });
      const file = text(join(unfinished, table, `${table}.parquet`));
      await duck.run(`COPY (${query}) TO ${file} ${PARQUET}`);
    };
    await copy(
      'xcom_references',
      `SELECT ${bucketOf('location')} AS bucket, ${keyOf('location')} AS key, kind,
        source AS in_table, make_timestamp_ms(at_ms::BIGINT) AS written FROM named`,
    );
    const asOf = rowsAsOf === null ? 'NULL::TIMESTAMP' : `make_timestamp_ms(${Math.floor(rowsAsOf)})`;
    const places = bases.map(({ bucket, prefix }) => `(${text(bucket)}, ${text(prefix)}, ${asOf})`);
    await copy(
      'xcom_places',
      `SELECT DISTINCT * FROM (VALUES ${places.join(', ')}) AS t (bucket, prefix, rows_as_of)`,
    );
  });
}
