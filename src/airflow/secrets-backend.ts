import type { ConfigurationTexts } from './config-option.ts';
import { lookUpOption, textOf } from './config-option.ts';

/** A backend that a worker may ask for connections before its environment. */
export interface SecretsBackend {
  /** As it is written. */
  readonly className: string;
  /** Null: only Airflow itself can know them. */
  readonly options: Readonly<Record<string, unknown>> | null;
}

/**
 * The options that name the class of a secrets backend: one for workers (since 3.0), and one for every process. Before
 * 3.0 a worker asks the second, and since then the API server does, for connections that the worker does not have.
 */
const SECRETS_BACKENDS = [
  { section: 'workers', key: 'secrets_backend', options: 'secrets_backend_kwargs' },
  { section: 'secrets', key: 'backend', options: 'backend_kwargs' },
] as const;

/**
 * The secrets backends that are configured. Which of them a worker's connection comes from depends on the release.
 * Source: `get_custom_secret_backend` and `initialize_secrets_backends` in 2.9.3, 3.1.0 and 3.3.2.
 */
export function secretsBackends(from: ConfigurationTexts): readonly SecretsBackend[] {
  return SECRETS_BACKENDS.filter((one) => textOf(one, from) !== '').map((name) => ({
    className: textOf(name, from),
    options: optionsOf(name, from),
  }));
}

function optionsOf(
  { section, options: key }: (typeof SECRETS_BACKENDS)[number],
  from: ConfigurationTexts,
): SecretsBackend['options'] {
  // Since 3.2 a variable of each option counts before the JSON of all.
  const single = `AIRFLOW__${section}__${key.replace(/s$/, '')}__CONNECTIONS_`.toUpperCase();
  if (Object.keys(from.env).some((name) => name.toUpperCase().startsWith(single))) return null;
  const answer = lookUpOption({ section, key, former: null, sensitive: true }, from);
  if (answer.kind !== 'value') return answer.kind === 'absent' ? {} : null;
  if (answer.text.trim() === '') return {};
  try {
    const options: unknown = JSON.parse(answer.text);
    return typeof options === 'object' && options !== null ? { ...options } : null;
  } catch {
    return null;
  }
}

/** The first backend that the workers may get this connection from; null: none of them ever looks for it. */
export function holderAmong(backends: readonly SecretsBackend[], id: string): SecretsBackend | null {
  return backends.find((one) => mayHave(one, id)) ?? null;
}

/** The option without which a provider's backend looks for no connection, by the package of the backend. */
const PLACES: readonly (readonly [packaged: string, option: string])[] = [
  ['airflow.providers.amazon.', 'connections_prefix'],
  ['airflow.providers.google.', 'connections_prefix'],
  ['airflow.providers.microsoft.azure.', 'connections_prefix'],
  ['airflow.providers.hashicorp.', 'connections_path'],
];

function mayHave(backend: SecretsBackend, id: string): boolean {
  const { className, options } = backend;
  if (options === null) return true;
  if (className === 'airflow.secrets.local_filesystem.LocalFilesystemBackend')
    return Boolean(options['connections_file_path']);
  const place = PLACES.find(([packaged]) => className.startsWith(packaged))?.[1];
  if (place !== undefined && options[place] === null) return false;
  const pattern = options['connections_lookup_pattern'];
  return !hasLookupPattern(backend) || !pattern || mayMatch(pattern, id);
}

/** Both of Amazon's backends look only for ids that match a pattern, if they have one. */
export function hasLookupPattern({ className }: SecretsBackend): boolean {
  return className.startsWith('airflow.providers.amazon.');
}

/** The patterns that mean the same in Python and in JavaScript. */
const PLAIN_PATTERN =
  /^(?:\\[dDwWsSbB.^$*+?()[\]{}|\\/-]|\[\^?(?:\\[dDwWsS.^\]\\-]|[\w .:@/-])+\]|\(\?[:=!]|\((?!\?)|\{\d+(?:,\d*)?\}|[\w .:@/,;=~#!&^$*+?|)-])*$/;

/** Python's `re.match(pattern, id, re.IGNORECASE)`; true too for a pattern that may mean another thing here. */
function mayMatch(pattern: unknown, id: string): boolean {
  if (typeof pattern !== 'string' || !PLAIN_PATTERN.test(pattern) || !/^[ -~]*$/.test(id)) return true;
  try {
    return new RegExp(`^(?:${pattern})`, 'i').test(id);
  } catch {
    return true;
  }
}
