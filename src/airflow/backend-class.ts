/** What a class in [core] xcom_backend does with values, as far as its name tells. */
export type BackendKind =
  | 'object_storage'
  /** The name that the object storage backend had in common-io 1.3.0, and only there. */
  | 'former'
  /** Airflow's own, which keeps every value in the database. */
  | 'database'
  | 'other';

export const OBJECT_STORAGE_BACKEND = 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend';

export function kindOfBackend(name: string): BackendKind {
  // Airflow takes an empty option for its default.
  if (name === '' || /^airflow\.[\w.]+\.BaseXCom$/.test(name)) return 'database';
  if (name.endsWith('.XComObjectStoreBackend')) return 'former';
  return name.includes('ObjectStorage') ? 'object_storage' : 'other';
}
