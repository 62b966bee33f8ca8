import type { AwsProfile } from '../airflow/aws-profile.ts';
import { awsProfile } from '../airflow/aws-profile.ts';
import type { AirflowConnection } from '../airflow/connection.ts';
import type { WorkerWorld } from '../airflow/worker-s3.ts';
import { profileOf } from '../airflow/worker-s3.ts';
import type { Warning } from './push-fault.ts';
import { sentenceOf } from './push-fault.ts';

type Config = NonNullable<AirflowConnection['extra']['config_kwargs']>;

/** An option of botocore's, with its places. The first place that has the option counts; an empty variable has it. */
interface Option {
  readonly takes: RegExp;
  readonly words: string;
  readonly kwarg: string;
  readonly ofConnection: (config: Config) => unknown;
  readonly variable: string | null;
  readonly key: string;
  readonly ofProfile: (profile: AwsProfile) => string | null;
  /** The first botocore that reads the variable and the file; none: every one that Airflow's object storage has. */
  readonly since?: string;
}

const REGIONAL = { takes: /^(?:legacy|regional)$/, words: 'legacy or regional, in small letters' };
const WHEN = {
  takes: /^when_(?:supported|required)$/i,
  words: 'when_supported or when_required',
  since: '1.36',
};

/** Tested with botocore 1.36 to 1.43. */
const OPTIONS: readonly Option[] = [
  {
    ...WHEN,
    ...plain('request_checksum_calculation'),
    variable: 'AWS_REQUEST_CHECKSUM_CALCULATION',
  },
  {
    ...WHEN,
    ...plain('response_checksum_validation'),
    variable: 'AWS_RESPONSE_CHECKSUM_VALIDATION',
  },
  {
    takes: /^(?:legacy|auto|standard|in-region|cross-region|mobile)$/i,
    words: 'legacy, auto, standard, in-region, cross-region or mobile',
    ...plain('defaults_mode'),
    // An empty mode in a connection counts as none.
    ofConnection: ({ defaults_mode: mode }) => mode || null,
    variable: 'AWS_DEFAULTS_MODE',
  },
  {
    takes: /^(?:legacy|standard|adaptive)$/,
    words: 'legacy, standard or adaptive, in small letters',
    ...plain('retry_mode'),
    kwarg: 'retries.mode',
    ofConnection: ({ retries }) => retries?.mode,
    variable: 'AWS_RETRY_MODE',
  },
  {
    takes: /^\s*\+?0*[1-9][\d_]*\s*$/,
    words: 'a whole number from 1',
    ...plain('max_attempts'),
    kwarg: 'retries.total_max_attempts',
    ofConnection: ({ retries }) => retries?.total_max_attempts ?? plusOne(retries?.max_attempts),
    variable: 'AWS_MAX_ATTEMPTS',
  },
  {
    takes: /^(?:auto|path|virtual)$/,
    words: 'auto, path or virtual, in small letters',
    kwarg: 's3.addressing_style',
    ofConnection: ({ s3 }) => s3?.addressing_style,
    variable: null,
    key: 'addressing_style',
    ofProfile: ({ addressingStyle }) => addressingStyle,
  },
  {
    ...REGIONAL,
    ...plain('sts_regional_endpoints'),
    takes: /^(?:legacy|regional)?$/,
    ofConnection: () => null,
    variable: 'AWS_STS_REGIONAL_ENDPOINTS',
  },
  {
    takes: /^\s*\+?0*[1-9][\d_]{0,6}\s*$/,
    words: 'a whole number from 1 to 1048576',
    ...plain('request_min_compression_size_bytes'),
    variable: 'AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES',
  },
  {
    takes: /^(?:preferred|disabled|required)$/i,
    words: 'preferred, disabled or required',
    ...plain('account_id_endpoint_mode'),
    variable: 'AWS_ACCOUNT_ID_ENDPOINT_MODE',
    since: 'a release after 1.34',
  },
  {
    takes: /^(?:true|false)$/i,
    words: 'true or false',
    ...plain('s3_disable_express_session_auth'),
    variable: 'AWS_S3_DISABLE_EXPRESS_SESSION_AUTH',
    since: 'a release after 1.34',
  },
  {
    ...REGIONAL,
    kwarg: 's3.us_east_1_regional_endpoint',
    ofConnection: ({ s3 }) => s3?.us_east_1_regional_endpoint,
    variable: 'AWS_S3_US_EAST_1_REGIONAL_ENDPOINT',
    key: 'us_east_1_regional_endpoint',
    ofProfile: ({ usEast1 }) => usEast1,
  },
];

function plain(name: string): Pick<Option, 'kwarg' | 'ofConnection' | 'key' | 'ofProfile'> {
  return {
    kwarg: name,
    ofConnection: (config) => config[name],
    key: name,
    ofProfile: ({ option }) => option(name),
  };
}

/** Options that botocore 1.34.106 does not know, which is that of Airflow 2.9.3, and 1.44.8 does. */
const YOUNG = [
  'account_id_endpoint_mode',
  'auth_scheme_preference',
  'request_checksum_calculation',
  'response_checksum_validation',
  's3_disable_express_session_auth',
  'sigv4a_signing_region_set',
] as const;

/** botocore calculates with these options as they are. */
const NUMBERS = ['connect_timeout', 'read_timeout', 'max_pool_connections'];

/** `max_attempts` of a connection does not count the first attempt. */
function plusOne(attempts: number | undefined): number | undefined {
  return attempts === undefined ? undefined : attempts + 1;
}

/** Warns of values that keep botocore from making a client. No sentence repeats one. */
export function refusedOptions(
  { id, given }: { readonly id: string; readonly given: AirflowConnection | null },
  { env, files }: Pick<WorkerWorld, 'env' | 'files'>,
): readonly Warning[] {
  const profile = awsProfile(files, profileOf(given, env));
  const config = given?.extra.config_kwargs ?? {};
  const options = OPTIONS.flatMap(({ takes, words, variable, since, ...option }): Warning[] => {
    const ofConnection = option.ofConnection(config);
    const said = [
      {
        value: ofConnection,
        place: `The connection ${id}, in config_kwargs.${option.kwarg},`,
      },
      { value: variable === null ? null : env[variable], place: variable ?? '' },
      { value: option.ofProfile(profile), place: `${option.key} in the AWS files` },
    ].find(({ value }) => value != null);
    if (said === undefined || takes.test(String(said.value))) return [];
    // Nobody tells the exporter which botocore the workers have.
    return since !== undefined && ofConnection == null
      ? [
          `${said.place} has a value that botocore refuses from ${since} on: with it every push of Airflow fails. It takes ${words}`,
        ]
      : [
          {
            pushFault: `${said.place} has a value that botocore refuses: every push of Airflow fails. It takes ${words}`,
          },
        ];
  });
  const young = YOUNG.filter(
    (name) =>
      Object.hasOwn(config, name) &&
      !options.some((one) => sentenceOf(one).includes(`config_kwargs.${name},`)),
  );
  const numbers = NUMBERS.filter((name) => typeof config[name] === 'string');
  const isText = profile.option('s3')?.startsWith('\n') === false;
  return [
    ...options,
    ...young.map(
      (name) =>
        `The connection ${id} has ${name} in config_kwargs, which an older botocore does not know, as that of Airflow 2.9: every push fails there. Set AWS_${name.toUpperCase()} in its place, which it ignores`,
    ),
    ...numbers.map((name) => ({
      pushFault: `The connection ${id}, in config_kwargs.${name}, has a text for a number: every push of Airflow fails. Write it without quotes`,
    })),
    ...(isText
      ? [
          {
            pushFault: `The AWS files have a value for s3, and botocore takes lines below it alone: every push of Airflow fails. Indent its options below an empty s3 =`,
          },
        ]
      : []),
  ];
}
