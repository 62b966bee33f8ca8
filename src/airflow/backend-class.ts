import { nearest } from '../lib/nearest.ts';

/** The kind of a class in [core] xcom_backend, judged by its name alone. */
export type BackendKind =
  | 'object_storage'
  /** The name that the object storage backend had in common-io 1.3.0 and in no other release. */
  | 'former'
  /** Airflow's own class, which keeps every value in the database. */
  | 'database'
  | 'other';

export const OBJECT_STORAGE_BACKEND = 'airflow.providers.common.io.xcom.backend.XComObjectStorageBackend';

/** How many letters a typing mistake changes at most. */
const SLIPS = 3;

export function kindOfBackend(name: string): BackendKind {
  // Airflow treats an empty option as its default.
  if (name === '' || /^airflow\.[\w.]+\.BaseXCom$/.test(name)) return 'database';
  if (name.endsWith('.XComObjectStoreBackend')) return 'former';
  if (name === OBJECT_STORAGE_BACKEND) return 'object_storage';
  // A company's own class with such a name extends Airflow's class.
  return name.includes('ObjectStorage') && !isNoClass(name) ? 'object_storage' : 'other';
}

/** Whether the name is meant for a class of Airflow but no such class exists, so that Airflow cannot import it. */
export function isNoClass(name: string): boolean {
  if (name === OBJECT_STORAGE_BACKEND) return false;
  return name.startsWith('airflow.') || isSlip(name);
}

/** Whether the name is that of the object storage backend but for a typing mistake. */
export function isSlip(name: string): boolean {
  return (
    name !== OBJECT_STORAGE_BACKEND && nearest(name, [OBJECT_STORAGE_BACKEND], { within: SLIPS }) !== null
  );
}
