import { nearest } from '../lib/nearest.ts';

/** What a class in [core] xcom_backend does with values, as far as its name tells. */
export type BackendKind =
  | 'object_storage'
  /** The name that the object storage backend had in common-io 1.3.0, and only there. */
  | 'former'
  /** Airflow's own, which keeps every value in the database. */
  | 'database'
  | 'other';

export const OBJECT_STORAGE_BACKEND = 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend';

/** Letters that a slip changes at most. */
const SLIPS = 3;

export function kindOfBackend(name: string): BackendKind {
  // Airflow takes an empty option for its default.
  if (name === '' || /^airflow\.[\w.]+\.BaseXCom$/.test(name)) return 'database';
  if (name.endsWith('.XComObjectStoreBackend')) return 'former';
  if (name === OBJECT_STORAGE_BACKEND) return 'object_storage';
  // A company's own class of such a name is built upon Airflow's.
  return name.includes('ObjectStorage') && !isNoClass(name) ? 'object_storage' : 'other';
}

/** Whether the name is meant for a class of Airflow and is of none: Airflow cannot import it. */
export function isNoClass(name: string): boolean {
  if (name === OBJECT_STORAGE_BACKEND) return false;
  return name.startsWith('airflow.') || nearest(name, [OBJECT_STORAGE_BACKEND], { within: SLIPS }) !== null;
}
