import { parseConfigFile } from './config-file.ts';
import type { ConfigEntry } from './config-file.ts';

/** What AWS's own files say of S3 and of one profile, as botocore reads them. Null: it is not said. */
export interface AwsProfile {
  readonly region: string | null;
  readonly endpoint: string | null;
  readonly addressingStyle: string | null;
  /** A file of certificate authorities. */
  readonly authorities: string | null;
  readonly ignoresEndpoints: boolean;
  /** `when_required` or `when_supported`. */
  readonly checksums: string | null;
  readonly accelerates: boolean;
  readonly isDualstack: boolean;
  /** Whether its credentials are those of a role that STS is asked for. */
  readonly takesRole: boolean;
  /** Whether one of the files knows the name. */
  readonly isKnown: boolean;
  /** Those that stand there and that a worker signs with; null: none, or a role or a program goes before them. */
  readonly keys: ProfileKeys | null;
  readonly hasHalfOfKeys: boolean;
  /** Whether its `services` are there, if it names some. */
  readonly hasServices: boolean;
  /** Any other option as it is written. */
  readonly option: (name: string) => string | null;
}

export interface ProfileKeys {
  readonly id: string;
  readonly key: string;
  readonly token: string | null;
}

/** The contents; '' where there is no such file. */
export interface AwsFiles {
  readonly config: string;
  readonly credentials: string;
}

/** botocore refuses such a file as a whole, and with it every request. */
export function isBroken(content: string): boolean {
  const parsed = parseConfigFile(content);
  if ('fault' in parsed) return true;
  const sections = [parsed.defaults, ...parsed.sections.values()];
  // Bytes that are no UTF-8 are read as this character.
  return content.includes('\uFFFD') || sections.some((options) => isTwice(options) || hasLooseLine(options));
}

function isTwice(options: Options): boolean {
  return inLowerCase(options).size < options.size;
}

/** A line below an empty option is an option of its own, with a value. */
function hasLooseLine(options: Options): boolean {
  return [...options.values()].some(
    ({ text }) =>
      text.startsWith('\n') && text.split('\n').some((line) => line !== '' && !line.includes('=')),
  );
}

const OF_CREDENTIALS = /^(?:aws_|role_|source_profile$|credential_|web_identity)/i;

/**
 * The SDK takes roles, and the keys that they start from, out of the files by itself. It knows no name in other than lower case,
 * and no colon behind one.
 */
export function isUnreadBySdk(content: string): boolean {
  return (
    /^[ \t]*(?:aws_|role_|source_profile|credential_|web_identity)\w*[ \t]*:/im.test(content) ||
    hasCredential(content, (name) => name !== name.toLowerCase())
  );
}

/** A worker takes it as part of the key or role. */
export function hasCommentBehind(content: string): boolean {
  return hasCredential(content, (_, text) => /(?:^|\s)[#;]/.test(text));
}

function hasCredential(content: string, isOne: (name: string, text: string) => boolean): boolean {
  const parsed = parseConfigFile(content);
  if ('fault' in parsed) return false;
  return [...parsed.sections.values()].some((options) =>
    [...options].some(([name, { text }]) => OF_CREDENTIALS.test(name) && isOne(name, text)),
  );
}

/** Null is the profile `default`. A file that is broken says nothing. */
export function awsProfile(files: AwsFiles, name: string | null): AwsProfile {
  const own = name ?? 'default';
  const config = read(files.config);
  const ofConfig = named(config, 'profile').get(own);
  const ofCredentials = read(files.credentials).get(own);
  // Both files may hold any option of a profile, and that of the credentials wins.
  const option = (key: string): string | null =>
    ofCredentials?.get(key)?.text ?? ofConfig?.get(key)?.text ?? null;
  const services = named(config, 'services').get(option('services') ?? '');
  const hasServices = option('services') === null || services !== undefined;
  const ofS3 = nested(services?.get('s3')?.text ?? null);
  const settingsOfS3 = nested(option('s3'));
  const isTrue = (text: string | null | undefined): boolean => text?.toLowerCase() === 'true';
  const others = [...(ofCredentials?.keys() ?? []), ...(ofConfig?.keys() ?? [])];
  const isOther = (pattern: RegExp): boolean => others.some((key) => pattern.test(key));
  const beforeConfig = isOther(/^(?:login_session|credential_process)$/) ? null : keysOf(ofConfig);
  const keys = isOther(/^(?:role_arn|web_identity_token_file|sso_.*)$/)
    ? null
    : (keysOf(ofCredentials) ?? beforeConfig);
  return {
    option,
    keys: keys === 'half' ? null : keys,
    hasHalfOfKeys: keys === 'half',
    hasServices,
    region: option('region'),
    endpoint: ofS3.get('endpoint_url') ?? option('endpoint_url'),
    addressingStyle: settingsOfS3.get('addressing_style') ?? null,
    authorities: option('ca_bundle'),
    ignoresEndpoints: isTrue(option('ignore_configured_endpoint_urls')),
    checksums: option('request_checksum_calculation'),
    accelerates: isTrue(settingsOfS3.get('use_accelerate_endpoint')),
    isDualstack: isTrue(settingsOfS3.get('use_dualstack_endpoint')),
    takesRole: option('role_arn') !== null,
    isKnown: ofConfig !== undefined || ofCredentials !== undefined,
  };
}

type Options = ReadonlyMap<string, ConfigEntry>;

/** The sections with the options of `[DEFAULT]` in each. */
function read(content: string): ReadonlyMap<string, Options> {
  const parsed = parseConfigFile(content);
  if ('fault' in parsed || isBroken(content)) return new Map();
  const defaults = inLowerCase(parsed.defaults);
  return new Map(
    [...parsed.sections].map(([title, options]) => [title, new Map([...defaults, ...inLowerCase(options)])]),
  );
}

/** botocore reads the names of options in lower case, but for those that are indented below another. */
function inLowerCase(options: Options): Options {
  return new Map([...options].map(([name, entry]) => [name.toLowerCase(), entry]));
}

/**
 * The sections of one kind by the names behind it, of which the last one of a name counts: botocore splits `[profile "a b"]`
 * as a shell does. `[default]` needs no word before it.
 */
function named(sections: ReadonlyMap<string, Options>, kind: string): ReadonlyMap<string, Options> {
  return new Map(
    [...sections].flatMap(([title, options]) => {
      if (kind === 'profile' && title === 'default') return [[title, options] as const];
      const [, name, ...more] = title.startsWith(kind) ? shellWords(title) : [];
      return name === undefined || more.length > 0 ? [] : [[name, options] as const];
    }),
  );
}

const SHELL_WORD = /(?:[^ \t\r\n"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/g;

/** As Python's `shlex.split`; none where a quote is left open. */
function shellWords(text: string): readonly string[] {
  if (text.replaceAll(SHELL_WORD, '').trim() !== '') return [];
  return (text.match(SHELL_WORD) ?? []).map((word) =>
    word.replaceAll(
      /\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'/g,
      (_, escaped?: string, double?: string, single?: string) =>
        escaped ?? double?.replaceAll(/\\(["\\])/g, '$1') ?? single ?? '',
    ),
  );
}

/** What a profile holds in one of the files; half of a pair is a mistake that botocore raises. */
function keysOf(options: Options | undefined): ProfileKeys | 'half' | null {
  const text = (name: string): string | undefined => options?.get(name)?.text;
  const id = text('aws_access_key_id');
  const key = text('aws_secret_access_key');
  if (id === undefined) return null;
  if (key === undefined) return 'half';
  return { id, key, token: text('aws_security_token') ?? text('aws_session_token') ?? null };
}

/** The options that are indented below one that is empty itself. */
function nested(text: string | null): ReadonlyMap<string, string> {
  if (text === null || !text.startsWith('\n')) return new Map();
  return new Map(
    text.split('\n').flatMap((line) => {
      const [, key, value] = /^([^=]*)=(.*)$/.exec(line) ?? [];
      return key === undefined || value === undefined ? [] : [[key.trim(), value.trim()] as const];
    }),
  );
}
