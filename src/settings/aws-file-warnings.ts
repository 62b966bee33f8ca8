import { awsProfile, hasCommentBehind, isBroken, isUnreadBySdk } from '../airflow/aws-profile.ts';
import type { AwsFiles, AwsProfile } from '../airflow/aws-profile.ts';
import type { WorkerWorld } from '../airflow/worker-s3.ts';
import { profileOf } from '../airflow/worker-s3.ts';
import type { NamedConnection } from './connections.ts';
import type { Warning } from './push-fault.ts';

/** Faults of AWS's own files, whichever connection uses them. */
export function fileWarnings({ config, credentials, denied = [] }: AwsFiles): readonly Warning[] {
  const faults = Object.entries({ config, credentials }).flatMap(([name, content]) => [
    ...(isBroken(content)
      ? [
          {
            pushFault: `The AWS ${name} file cannot be read by botocore's parser: an Airflow worker with this file fails at every push`,
          },
        ]
      : []),
    ...(hasCommentBehind(content)
      ? [
          `The AWS ${name} file has a comment behind a key or role, which botocore takes as part of it: every push of Airflow that uses it fails. Write it on a line of its own`,
        ]
      : []),
  ]);
  return [...denied, ...faults];
}

/** Faults of the profile. A worker takes from the profile whatever nothing else says. */
export function profileWarnings(
  { id, given, s3 }: Pick<NamedConnection, 'id' | 'given' | 's3'>,
  { env, files }: WorkerWorld,
): readonly Warning[] {
  const name = profileOf(given, env);
  const profile = awsProfile(files, name);
  const isAsked = s3?.secretAccessKey === null;
  // A worker asks for this identity before it reads keys from the files.
  const takesIdentity = !given?.extra.profile_name && Boolean(env['AWS_WEB_IDENTITY_TOKEN_FILE']);
  const who = id === '' ? 'Without a connection a worker' : `The connection ${id}`;
  if (given?.extra.profile_name === '')
    return [
      {
        pushFault: `${who} has an empty profile_name, which a worker takes for the name of a profile: every push fails. Leave it out`,
      },
    ];
  const empty = given?.extra.profile_name == null ? emptyProfile(env) : undefined;
  if (empty !== undefined)
    return [
      {
        pushFault: `${empty} is set and empty, which a worker takes for the name of a profile: every push fails. Leave it out`,
      },
    ];
  // A file that may not be read may have what the other lacks.
  if ((files.denied ?? []).length > 0) return [];
  if (name !== null && !profile.isKnown)
    return [
      `${who} takes the profile ${name}, which the exporter's AWS files do not have: a worker without it fails${isAsked ? ', and the exporter asks with other credentials or none' : ''}. Give it the same files`,
    ];
  return [
    ...(isAsked && profile.hasHalfOfKeys && !takesIdentity
      ? [
          {
            pushFault: `${who} takes its keys from AWS's files, which have half of a pair: a worker fails over it at every push, and the exporter takes other credentials or none`,
          },
        ]
      : []),
    ...(isAsked && profile.keys !== null && s3.profileKeys === null
      ? [
          `${who} takes the identity of AWS_WEB_IDENTITY_TOKEN_FILE, and the exporter the keys of its AWS files, which it asks first: take them away`,
        ]
      : []),
    ...(isAsked && !profile.takesRole && profile.option('aws_access_key_id') !== null && signsOn(profile)
      ? [
          `${who} takes the single sign-on of its profile in AWS's files, and the exporter the keys beside it, which it asks first: take one of the two away`,
        ]
      : []),
    ...(s3 !== null && !profile.hasServices && s3.endpoint === (profile.endpoint || null)
      ? [
          {
            pushFault: `${who} takes its endpoint from AWS's files, whose services name a section that is not there: every push of Airflow fails`,
          },
        ]
      : []),
    ...(isAsked && profile.takesRole && [files.config, files.credentials].some(isUnreadBySdk)
      ? [
          `${who} takes a role from AWS's files, of which the exporter reads no name in capital letters and none with a colon behind it: write them in small letters, with =`,
        ]
      : []),
  ];
}

/** Whether single sign-on is set up: one of the two options is enough for botocore to ask for no keys. */
function signsOn({ option }: AwsProfile): boolean {
  return ['sso_role_name', 'sso_account_id'].some((name) => option(name) !== null);
}

/** The first variable that is set counts. */
function emptyProfile(env: WorkerWorld['env']): string | undefined {
  const first = ['AWS_DEFAULT_PROFILE', 'AWS_PROFILE'].find((name) => env[name] !== undefined);
  return first !== undefined && env[first] === '' ? first : undefined;
}
