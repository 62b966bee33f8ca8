/** A key of `extra` that the Amazon provider ignores, and the key that was meant. */
export interface StrayExtra {
  readonly name: string;
  readonly meant: string;
}

/** Wrong spellings of each key, in lower case and without `_`, `.` and `-`. Checked with amazon 8.26 and 9.39. */
const SLIPS: readonly (readonly [string, RegExp])[] = [
  ['endpoint_url', /^(?:aws|s3)*(?:endpoint(?:url|uri)?|hosturl)$/],
  ['region_name', /^(?:aws|s3)*(?:default)?region(?:name)?$/],
  ['profile_name', /^(?:aws)?profile(?:name)?$/],
  ['aws_access_key_id', /^(?:aws|s3)?accesskey(?:id)?$/],
  ['aws_secret_access_key', /^(?:aws|s3)?secret(?:access)?key$/],
  ['aws_session_token', /^(?:aws)?(?:session|security)token$/],
  ['role_arn', /^(?:aws)?(?:iam)?role(?:arn)?$/],
];

/** Finds misspelt keys. `known`: the correct names. A misspelt key is left out if the right name is given as well. */
export function strayExtras(extra: unknown, known: readonly string[]): readonly StrayExtra[] {
  const names = typeof extra === 'object' && extra !== null ? Object.keys(extra) : [];
  return names
    .filter((name) => !known.includes(name))
    .flatMap((name) => {
      const bare = name
        .toLowerCase()
        .replace(/^extra__aws__/, '')
        .replaceAll(/[_.-]/g, '');
      const meant = SLIPS.find(([, slip]) => slip.test(bare))?.[0];
      return meant === undefined || names.includes(meant) ? [] : [{ name, meant }];
    });
}
