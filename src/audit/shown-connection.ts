import { connectionVariable } from '../airflow/connection.ts';
import { isKeyAndSecret } from '../airflow/xcom-path.ts';

const HIDDEN = '(an id that is not shown)';

/** The id of a connection as it may be shown: a row may hold a key and its secret in place of an id. */
export function shownConnection(id: string): string {
  return isKeyAndSecret(id) ? HIDDEN : id;
}

/** The words for what to do so that a connection is known here. `id`: as it is shown. */
export function giveConnection(id: string): string {
  if (id === HIDDEN) return 'put the id of a connection in place of the key and the secret that the path has';
  return `give ${connectionVariable(id)}`;
}
