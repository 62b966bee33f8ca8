import { connectionVariable } from '../airflow/connection.ts';
import type { S3Connection } from '../s3/connection.ts';
import type { SourceKind } from './sources.ts';

/** What is shown of a connection to S3: everything but the keys. `''` is the one that a path without an id uses. */
export function connectionOrigin(
  id: string,
  s3: S3Connection | null,
  found: { readonly isSet: boolean; readonly unused: readonly string[] | null },
): SettingOrigin {
  const variable = id === '' ? '' : connectionVariable(id);
  const unused = found.unused ?? [];
  const parts = [
    s3?.secretAccessKey == null ? 'default credential chain of AWS' : 'access key',
    ...(s3?.roleArn == null ? [] : [`role ${s3.roleArn}`]),
    ...(s3?.region == null ? [] : [`region ${s3.region}`]),
    ...(s3?.endpoint == null ? [] : [`endpoint ${s3.endpoint}`]),
    ...(unused.length > 0 ? [`not followed: ${unused.join(', ')}`] : []),
  ];
  const isMissing = id !== '' && !found.isSet;
  return {
    name: id === '' ? 's3' : `s3 (${id})`,
    flag: '',
    variable,
    shown: parts.join(', '),
    origin: found.isSet ? 'airflow' : 'default',
    from: isMissing ? `${variable} is not set` : variable,
  };
}

/** Where the value of a setting comes from, to be shown: no secret is in it. */
export interface SettingOrigin {
  readonly name: string;
  /** '' for what follows from Airflow's connections, which is no setting of its own. */
  readonly flag: string;
  readonly variable: string;
  /** The value; '' when there is none. */
  readonly shown: string;
  readonly origin: SourceKind;
  /** The flag, the variable or the key it was read from; '' for a plain default. */
  readonly from: string;
}
