import { parseConfigFile } from './config-file.ts';
import type { ConfigEntry } from './config-file.ts';

/** The settings for S3 and for one profile in AWS's own files, as botocore reads them. Null: the files do not say. */
export interface AwsProfile {
  readonly region: string | null;
  readonly endpoint: string | null;
  readonly stsEndpoint: string | null;
  readonly addressingStyle: string | null;
  /** The path of a file of certificate authorities. */
  readonly authorities: string | null;
  readonly ignoresEndpoints: boolean;
  /** `when_required` or `when_supported`. */
  readonly checksums: string | null;
  readonly accelerates: boolean;
  readonly isDualstack: boolean;
  /** `legacy` or `regional`: the host of us-east-1. */
  readonly usEast1: string | null;
  /** Whether the profile takes its credentials from a role, through STS. */
  readonly takesRole: boolean;
  /** Whether one of the files has this profile. */
  readonly isKnown: boolean;
  /** The keys in the files that a worker signs with; null: none, or a role or a program takes precedence. */
  readonly keys: ProfileKeys | null;
  readonly hasHalfOfKeys: boolean;
  /** Whether the `services` section that the profile names exists; true if the profile names none. */
  readonly hasServices: boolean;
  /** Gives any other option as it is written. */
  readonly option: (name: string) => string | null;
}

export interface ProfileKeys {
  readonly id: string;
  readonly key: string;
  readonly token: string | null;
}

/** The contents of the two files; '' when a file does not exist, or may not be read. */
export interface AwsFiles {
  readonly config: string;
  readonly credentials: string;
  /** A sentence for each file that is there and may not be read: what it says is not known. */
  readonly denied?: readonly string[];
}

/** Whether botocore refuses the file as a whole; every request then fails. */
export function isBroken(content: string): boolean {
  const parsed = parseConfigFile(content);
  if ('fault' in parsed) return true;
  const sections = [parsed.defaults, ...parsed.sections.values()];
  // Bytes that are not valid UTF-8 are read as this character.
  return content.includes('\uFFFD') || sections.some((options) => isTwice(options) || hasLooseLine(options));
}

function isTwice(options: Options): boolean {
  return inLowerCase(options).size < options.size;
}

/** Whether a line below an empty option has no value: each such line has to be an option of its own, with a value. */
function hasLooseLine(options: Options): boolean {
  return [...options.values()].some(
    ({ text }) =>
      text.startsWith('\n') && text.split('\n').some((line) => line !== '' && !line.includes('=')),
  );
}

const OF_CREDENTIALS = /^(?:aws_|role_|source_profile$|credential_|web_identity)/i;

/**
 * Whether the SDK misses an option for a role or its keys. The SDK reads roles, and the keys that they start from, from
 * the files by itself. It knows option names in lower case only, and no colon after a name.
 */
export function isUnreadBySdk(content: string): boolean {
  return (
    /^[ \t]*(?:aws_|role_|source_profile|credential_|web_identity)\w*[ \t]*:/im.test(content) ||
    hasCredential(content, (name) => name !== name.toLowerCase())
  );
}

/** Whether a comment follows a key or role on the same line: a worker takes the comment as part of the value. */
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

/** Reads one profile; null means the profile `default`. A broken file counts as empty. */
export function awsProfile(files: AwsFiles, name: string | null): AwsProfile {
  const own = name ?? 'default';
  const config = read(files.config);
  const ofConfig = named(config, 'profile').get(own);
  const ofCredentials = read(files.credentials).get(own);
  // Both files may hold any option of a profile; the credentials file wins.
  const option = (key: string): string | null =>
    ofCredentials?.get(key)?.text ?? ofConfig?.get(key)?.text ?? null;
  const services = named(config, 'services').get(option('services') ?? '');
  const hasServices = option('services') === null || services !== undefined;
  const endpointOf = (service: string): string | null =>
    nested(services?.get(service)?.text ?? null).get('endpoint_url') ?? option('endpoint_url');
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
    endpoint: endpointOf('s3'),
    stsEndpoint: endpointOf('sts'),
    addressingStyle: settingsOfS3.get('addressing_style') ?? null,
    authorities: option('ca_bundle'),
    ignoresEndpoints: isTrue(option('ignore_configured_endpoint_urls')),
    checksums: option('request_checksum_calculation'),
    accelerates: isTrue(settingsOfS3.get('use_accelerate_endpoint')),
    isDualstack: isTrue(settingsOfS3.get('use_dualstack_endpoint')),
    usEast1:
      option('s3_us_east_1_regional_endpoint') ?? settingsOfS3.get('us_east_1_regional_endpoint') ?? null,
    takesRole: option('role_arn') !== null,
    isKnown: ofConfig !== undefined || ofCredentials !== undefined,
  };
}

type Options = ReadonlyMap<string, ConfigEntry>;

/** Gives the sections, each with the options of `[DEFAULT]` added. */
function read(content: string): ReadonlyMap<string, Options> {
  const parsed = parseConfigFile(content);
  if ('fault' in parsed || isBroken(content)) return new Map();
  const defaults = inLowerCase(parsed.defaults);
  return new Map(
    [...parsed.sections].map(([title, options]) => [title, new Map([...defaults, ...inLowerCase(options)])]),
  );
}

/** botocore turns the names of options into lower case, except options that are indented below another. */
function inLowerCase(options: Options): Options {
  return new Map([...options].map(([name, entry]) => [name.toLowerCase(), entry]));
}

/**
 * Gives the sections of one kind by name; if a name occurs twice, the last section counts. botocore splits
 * `[profile "a b"]` as a shell does. `[default]` needs no word before the name.
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

/** Splits as Python's `shlex.split` does; gives no words when a quote is left open. */
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

/** The keys of a profile in one of the files. botocore raises an error for half of a pair. */
function keysOf(options: Options | undefined): ProfileKeys | 'half' | null {
  const text = (name: string): string | undefined => options?.get(name)?.text;
  const id = text('aws_access_key_id');
  const key = text('aws_secret_access_key');
  if (id === undefined) return null;
  if (key === undefined) return 'half';
  return { id, key, token: text('aws_security_token') ?? text('aws_session_token') ?? null };
}

/** The options that are indented below an empty option. */
function nested(text: string | null): ReadonlyMap<string, string> {
  if (text === null || !text.startsWith('\n')) return new Map();
  return new Map(
    text.split('\n').flatMap((line) => {
      const [, key, value] = /^([^=]*)=(.*)$/.exec(line) ?? [];
      return key === undefined || value === undefined ? [] : [[key.trim(), value.trim()] as const];
    }),
  );
}
