import type { WorkerWorld } from '../airflow/worker-s3.ts';
import type { Proxies } from '../s3/agents.ts';
import type { NamedConnection } from './connections.ts';
import type { Warning } from './push-fault.ts';

/** Warns of variables over which a worker fails, whatever the connection. */
export function variableWarnings({ env }: Pick<WorkerWorld, 'env'>): readonly string[] {
  const has = (name: string): boolean => (env[name] ?? '') !== '';
  const bundle = ['AWS_CA_BUNDLE', 'REQUESTS_CA_BUNDLE'].find((name) => env[name] !== undefined);
  return [
    ...(has('AWS_ACCESS_KEY_ID') && !has('AWS_SECRET_ACCESS_KEY')
      ? [
          'AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY: an Airflow worker with these variables fails, and the exporter takes other credentials or none',
        ]
      : []),
    // Tested: botocore 1.34 and 1.43 fail, 1.42 does not.
    ...(bundle !== undefined && env[bundle]?.trim() === ''
      ? [
          `${bundle} is set and empty: botocore 1.43 fails over it at every push, and older ones do not all do so. Leave it out`,
        ]
      : []),
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
