import { secret } from '../lib/secret.ts';
import type { Attempts } from './attempts.ts';
import { givenAwsPaths } from './aws-files.ts';
import type { SettingName } from './catalogue.ts';
import { SETTING_NAMES, settingOf } from './catalogue.ts';
import type { SecretContents } from './secret-files.ts';
import { readSecretFile } from './secret-files.ts';
import type { Given, Source } from './sources.ts';

export type Chosen = ReadonlyMap<SettingName, Given>;

/** For each setting the text of the first source that has one. */
export function chooseTexts(sources: readonly Source[]): Chosen {
  const chosen = new Map<SettingName, Given>();
  for (const { given } of sources)
    for (const [name, one] of given)
      // `${URL:-}` in a compose file: a database with an empty URL is none, so the next source is asked.
      if (!chosen.has(name) && !(name === 'database.url' && one.text === '')) chosen.set(name, one);
  return chosen;
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
