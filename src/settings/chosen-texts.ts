import { secret } from '../lib/secret.ts';
import type { Attempts } from './attempts.ts';
import { givenAwsPaths } from './aws-files.ts';
import type { SettingName } from './catalogue.ts';
import { SETTING_NAMES, settingOf } from './catalogue.ts';
import type { SecretContents } from './secret-files.ts';
import { readSecretFile } from './secret-files.ts';
import type { Given, Source } from './sources.ts';
import { isNothing } from './sources.ts';

export type Chosen = ReadonlyMap<SettingName, Given>;

/** For each setting the text of the first source that has one. */
export function chooseTexts(sources: readonly Source[]): Chosen {
  const chosen = new Map<SettingName, Given>();
  for (const { given } of sources)
    for (const [name, one] of given) if (!chosen.has(name) && !isNothing(one)) chosen.set(name, one);
  return chosen;
}

/** Warns of own variables that are empty, in whose place a value of Airflow's counts. */
export function emptyVariables(own: readonly Source[], chosen: Chosen): readonly string[] {
  return own.flatMap(({ given }) =>
    [...given].flatMap(([name, one]) => {
      const inForce = chosen.get(name);
      if (!isNothing(one) || name === 'database.url' || inForce?.origin !== 'airflow') return [];
      return [
        `${one.from} is set and empty, which tells nothing: ${inForce.from} counts. Leave it out, or give ${inForce.input.flag}= for an empty value`,
      ];
    }),
  );
}

/** The text of every setting: as it was given, from the file that a secret is in, or the default; null: nobody told it. */
export function readTexts(
  chosen: Chosen,
  { problems, readValue }: Attempts,
): { readonly texts: Readonly<Record<SettingName, string | null>>; readonly secretFiles: SecretContents } {
  const secretFiles: [string, ReturnType<typeof secret>][] = [];
  const texts = Object.fromEntries(
    SETTING_NAMES.map((name) => {
      const given = chosen.get(name);
      if (given === undefined) return [name, settingOf(name).default];
      if (given.input.holds === 'value') return [name, given.text];
      const faultsBefore = problems.length;
      const content = readValue(given.text, given.from);
      secretFiles.push([given.text, secret(content)]);
      if (content.trim() === '' && problems.length === faultsBefore)
        problems.push(`${given.from}: the file ${given.text} is empty`);
      // Editors and `kubectl create secret --from-file` leave a line end behind the secret.
      return [name, content.trimEnd()];
    }),
  ) as Record<SettingName, string | null>;
  return { texts, secretFiles: new Map(secretFiles) };
}

/** The SDK reads this file by itself, and again after a reload. */
export function awsCredentialsFile(
  env: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => string,
): SecretContents {
  const path = givenAwsPaths(env)['AWS_SHARED_CREDENTIALS_FILE'] ?? '';
  return new Map(path === '' ? [] : [[path, readSecretFile(path, readFile)]]);
}
