import { entryOf, parseConfigFile } from './config-file.ts';
import type { ConfigEntry, ConfigFile } from './config-file.ts';

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
}

/** The contents; '' where there is no such file. */
export interface AwsFiles {
  readonly config: string;
  readonly credentials: string;
}

/** botocore refuses such a file as a whole, and with it every request. */
export function isBroken(content: string): boolean {
  const parsed = parseConfigFile(content);
  return (
    'fault' in parsed ||
    [parsed.defaults, ...parsed.sections.values()].some((options) => inLowerCase(options).size < options.size)
  );
}

const OF_CREDENTIALS = /^(?:aws_|role_|source_profile$|credential_|web_identity)/i;

/** A worker reads such a name in lower case, and the SDK, which reads keys and roles from the files by itself, does not. */
export function hasCapitals(content: string): boolean {
  return hasCredential(content, (name) => name !== name.toLowerCase());
}

/** A worker takes it as part of the key, and the SDK cuts it off. */
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
  const config = read(files.config);
  const credentials = read(files.credentials);
  const own = name ?? 'default';
  const section = [...config.sections.keys()].find((title) => nameOf(title, 'profile') === own) ?? '';
  // Both files may hold any option of a profile, and that of the credentials wins.
  const option = (key: string): string | null =>
    entryOf(credentials, own, key)?.text ?? entryOf(config, section, key)?.text ?? null;
  const services = option('services');
  const servicesSection = [...config.sections.keys()].find(
    (title) => title.startsWith('services') && nameOf(title, 'services') === services,
  );
  const ofS3 = nested(entryOf(config, servicesSection ?? '', 's3')?.text ?? null);
  const settingsOfS3 = nested(option('s3'));
  const isTrue = (text: string | null | undefined): boolean => text?.toLowerCase() === 'true';
  return {
    region: option('region'),
    endpoint: ofS3.get('endpoint_url') ?? option('endpoint_url'),
    addressingStyle: settingsOfS3.get('addressing_style') ?? null,
    authorities: option('ca_bundle'),
    ignoresEndpoints: isTrue(option('ignore_configured_endpoint_urls')),
    checksums: option('request_checksum_calculation'),
    accelerates: isTrue(settingsOfS3.get('use_accelerate_endpoint')),
    isDualstack: isTrue(settingsOfS3.get('use_dualstack_endpoint')),
    takesRole: option('role_arn') !== null,
    isKnown: config.sections.has(section) || credentials.sections.has(own),
  };
}

function read(content: string): ConfigFile {
  const parsed = parseConfigFile(content);
  if ('fault' in parsed || isBroken(content)) return { sections: new Map(), defaults: new Map() };
  return {
    sections: new Map([...parsed.sections].map(([title, options]) => [title, inLowerCase(options)])),
    defaults: inLowerCase(parsed.defaults),
  };
}

type Options = ReadonlyMap<string, ConfigEntry>;

/** botocore reads the names of options in lower case, but for those that are indented below another. */
function inLowerCase(options: Options): Options {
  return new Map([...options].map(([name, entry]) => [name.toLowerCase(), entry]));
}

/** `[profile "a b"]` is the profile `a b`, and `[default]` needs no word before it. */
function nameOf(title: string, kind: string): string | null {
  const [, word, rest] = /^(\S+)\s+(.+)$/.exec(title) ?? [];
  if (word === undefined || rest === undefined) return title === 'default' ? title : null;
  return word === kind ? rest.trim().replace(/^(["'])(.*)\1$/, '$2') : null;
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
