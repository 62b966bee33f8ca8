import type { AirflowConnection } from '../airflow/connection.ts';
import type { WorkerWorld } from '../airflow/worker-s3.ts';
import { ownKeysOf } from '../airflow/worker-s3.ts';
import type { Proxies } from '../s3/agents.ts';
import type { NamedConnection } from './connections.ts';
import type { Warning } from './push-fault.ts';

/** Warns of a variable over which some workers fail, whatever the connection. */
export function variableWarnings({ env }: Pick<WorkerWorld, 'env'>): readonly string[] {
  const bundle = ['AWS_CA_BUNDLE', 'REQUESTS_CA_BUNDLE'].find((name) => env[name] !== undefined);
  // Tested: botocore 1.34 and 1.43 fail, 1.42 does not.
  if (bundle === undefined || env[bundle]?.trim() !== '') return [];
  return [
    `${bundle} is set and empty: botocore 1.43 fails over it at every push, and older ones do not all do so. Leave it out`,
  ];
}

/**
 * Warns of half a pair of keys in the variables, unless the connection has keys or a profile of its own: botocore asks
 * for the variables first. Tested: 1.34.106 and 1.44.8.
 */
export function halfOfVariables(
  given: AirflowConnection | null,
  { env }: Pick<WorkerWorld, 'env'>,
): readonly Warning[] {
  if (ownKeysOf(given) !== null || given?.extra.profile_name) return [];
  if (!env['AWS_ACCESS_KEY_ID'] || env['AWS_SECRET_ACCESS_KEY']) return [];
  return [
    {
      pushFault:
        'AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY: an Airflow worker with these variables fails at every push, and the exporter takes other credentials or none',
    },
  ];
}

/** White space at an end, or a control character. Both become part of a key, and nobody who made the key meant them. */
const STRAY = /^\s|\s$|\p{Cc}/u;

/** Warns of keys that S3 accepts from nobody, and of a proxy that botocore does not speak to. */
export function reachWarnings(
  { id, s3 }: Pick<NamedConnection, 'id' | 's3'>,
  { env }: Pick<WorkerWorld, 'env'>,
): readonly Warning[] {
  if (s3 === null) return [];
  const { accessKeyId, secretAccessKey, sessionToken, profileKeys, endpoint, proxies, role } = s3;
  const isStray = (texts: readonly (string | null | undefined)[]): boolean =>
    texts.some((text) => STRAY.test(text ?? ''));
  const ofVariables = accessKeyId !== null && accessKeyId === env['AWS_ACCESS_KEY_ID'];
  const place = ofVariables
    ? 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the token beside them'
    : `The connection ${id}`;
  const stray =
    'white space at an end of a key, or a line break in one, which is part of it: S3 refuses every push';
  const who = id === '' ? 'The way without a connection' : `The connection ${id}`;
  return [
    ...(isStray([accessKeyId, secretAccessKey?.reveal(), sessionToken?.reveal()])
      ? [`${place} has ${stray}`]
      : []),
    ...(secretAccessKey === null && isStray([profileKeys?.secretAccessKey.reveal()])
      ? [`The profile of the AWS files has ${stray}. An indented line goes on with the one above it`]
      : []),
    ...(isOther(endpoint, proxies) || (role !== null && isOther(role.endpoint, role.proxies))
      ? [
          {
            pushFault: `${who} goes through a proxy that is neither http nor https, as a SOCKS proxy: botocore does not speak to it, and every push of Airflow fails`,
          },
        ]
      : []),
  ];
}

/** botocore puts http:// in front of any other scheme. */
function isOther(url: string | null, proxies: Proxies): boolean {
  const proxy = url !== null && /^http:/i.test(url) ? proxies.http : proxies.https;
  return /^https?:\/\/[a-z\d+.-]+:\/\//i.test(proxy?.reveal() ?? '');
}
