import { entryOf } from '../airflow/config-file.ts';
import type { ConfigFile } from '../airflow/config-file.ts';
import type { AirflowOption, OptionAnswer, OptionPlace } from '../airflow/config-option.ts';
import { lookUpOption, optionVariable, wholeNumberOf } from '../airflow/config-option.ts';
import { nearest } from '../lib/nearest.ts';
import type { AirflowFile } from './airflow-file.ts';
import type { SettingInput, SettingName } from './catalogue.ts';
import { SETTING_INPUTS, settingOf } from './catalogue.ts';
import type { Warning } from './push-fault.ts';
import type { Given, Source } from './sources.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** One sentence about how Airflow reads a setting. */
export interface AirflowRemark {
  readonly setting: SettingName;
  readonly warning: Warning;
}

/** The settings as Airflow's own environment and file have them. */
export interface AirflowSource extends Source {
  readonly remarks: readonly AirflowRemark[];
}

interface Answered {
  readonly input: SettingInput;
  readonly option: AirflowOption;
  readonly answer: OptionAnswer;
}

export function readAirflowSource(airflow: AirflowFile, env: Environment): AirflowSource {
  const answered = SETTING_INPUTS.flatMap((input): readonly Answered[] => {
    const option = settingOf(input.setting).airflow;
    if (option === undefined || input.holds === 'path') return [];
    return [{ input, option, answer: lookUpOption(option, { file: airflow.file, env }) }];
  });
  const given = answered.flatMap((one): readonly Given[] => givenBy(one, airflow));
  const itself = SETTING_INPUTS.find(({ setting }) => setting === 'airflow.config');
  if (itself !== undefined && airflow.file !== null)
    given.push({ input: itself, text: airflow.path, origin: 'airflow', from: airflow.from });
  return {
    given: new Map(given.map((one) => [one.input.setting, one])),
    problems: [],
    remarks: answered.flatMap((one) =>
      remarksOn(one, airflow, env).map((warning) => ({ setting: one.input.setting, warning })),
    ),
  };
}

/** The name of a place for a message: a variable, or the file with section, option and line. */
export function placeName(at: OptionPlace, { path }: Pick<AirflowFile, 'path'>): string {
  return 'variable' in at ? at.variable : `${path}: [${at.section}] ${at.key}, line ${at.line}`;
}

function givenBy({ input, answer }: Answered, airflow: AirflowFile): readonly Given[] {
  if (answer.kind !== 'value' || isNoNumber(input, answer.text)) return [];
  // It is not known whether Airflow sees the quotes as well: that depends on what started it.
  if ('variable' in answer.at && isQuoted(answer.text)) return [];
  const number = isNumber(input) ? wholeNumberOf(answer.text) : null;
  const text = number === null ? answer.text : String(number.number);
  return [{ input, text, origin: 'airflow', from: placeName(answer.at, airflow) }];
}

function isNumber({ setting }: SettingInput): boolean {
  return setting === 'xcom.threshold';
}

/** Whether Airflow reads the setting at each push. */
function isOfPush({ setting }: SettingInput): boolean {
  return setting.startsWith('xcom.');
}

/** Airflow raises on such a text, so no value is in force. */
function isNoNumber(input: SettingInput, text: string): boolean {
  return isNumber(input) && wholeNumberOf(text) === null;
}

/** Sentences on what Airflow does with an unexpected answer. None repeats a value. */
function remarksOn({ input, option, answer }: Answered, airflow: AirflowFile, env: Environment): Warning[] {
  if (answer.kind === 'absent') {
    // Without a secrets backend Airflow ignores the variable, but whoever set it believes that there is one.
    const variable = `${optionVariable(option)}_SECRET`;
    return option.sensitive && env[variable] !== undefined ? [notAsked(input, variable, SECRET)] : [];
  }
  const place = placeName(answer.at, airflow);
  switch (answer.kind) {
    case 'command':
      return [notAsked(input, place, 'a command')];
    case 'secret':
      return [notAsked(input, place, SECRET)];
    case 'fault':
      return [
        isOfPush(input)
          ? { pushFault: `${place}: Airflow cannot read the value, and pushes fail: ${FAULTS[answer.fault]}` }
          : `${place}: Airflow cannot read the value: ${FAULTS[answer.fault]}`,
      ];
    case 'value':
      return [
        ...(isNoNumber(input, answer.text) && !('variable' in answer.at && isQuoted(answer.text))
          ? [
              {
                pushFault: `${place} is ${answer.text === '' ? 'set and empty' : 'no whole number'}: Airflow reads a number there, and every push of Airflow fails`,
              },
            ]
          : []),
        ...(isNumber(input) && wholeNumberOf(answer.text)?.since32 === true
          ? [
              {
                pushFault: `${place} is a whole number for Airflow 3.2 and later; before, every push of a task fails: among the values of a Helm chart put it in quotes`,
                unless: 'Airflow 3.2' as const,
              },
            ]
          : []),
        ...oddText(answer.text, place, 'variable' in answer.at ? input.setting : null),
        ...(input.setting === 'xcom.path' ? unsetInPath(answer.text, place) : unexpanded(answer.text, place)),
        ...formerName(option, answer.at, place),
        ...hidden(option, answer, { airflow, env }),
      ];
  }
}

const SECRET = 'an entry of the secrets backend';

function notAsked({ setting, flag, variable }: SettingInput, place: string, what: string): string {
  const others = setting === 'database.url' ? ", or libpq's PGHOST, PGUSER, PGPASSWORD and PGDATABASE" : '';
  return `${setting}: ${place} names ${what}, which the exporter does not ask: give ${flag} or ${variable}, or ${variable}_FILE with the path of a file that holds it${others}`;
}

const FAULTS = {
  InterpolationSyntaxError: 'a % is written %%',
  InterpolationMissingOptionError: 'it refers to an option that is not in its section',
  InterpolationDepthError: 'its references to other options go too deep',
  EndlessExpansion: 'its variables name each other for ever',
};

/** A text with the same quotes at both ends. */
export function isQuoted(text: string): boolean {
  return /^\s*(["']).*\1\s*$/s.test(text);
}

/** `setting`: the setting that the variable holds; null for an option of the file. */
function oddText(text: string, place: string, setting: SettingName | null): string[] {
  if (isQuoted(text))
    return [
      setting === null
        ? `${place} has quotes around its value, which Airflow takes as part of it`
        : `${setting}: ${place} has quotes around its value, and is taken for not told: Compose takes them off, docker run --env-file does not, and what has them is read with them by Airflow as well: give it without`,
    ];
  // A shell and Compose remove a comment from a variable; docker run --env-file and Kubernetes do not.
  if (/[\s\u00a0][#;]/.test(text))
    return [`${place}: Airflow takes a comment behind a value as part of it: write it on a line of its own`];
  return [];
}

/** The variable is not named: the text behind a dollar sign in a URL may be the rest of a password. */
function unexpanded(text: string, place: string): string[] {
  return /\$\{\w+\}/.test(text)
    ? [`${place} names a variable in \${…} that is not set here: give it as well, as Airflow has it`]
    : [];
}

/** The variable is named only if the path has no place for a secret: no colon behind its scheme, and no query. */
function unsetInPath(text: string, place: string): string[] {
  if (!/^(?:\w+:\/\/)?[^:?]*$/.test(text)) return unexpanded(text, place);
  const name = /\$(?:[A-Za-z_]\w*|\{\w+\})/.exec(text)?.[0];
  return name === undefined
    ? []
    : [`${place} holds ${name}, which is not set here: give it as well, as Airflow has it`];
}

function formerName(option: AirflowOption, at: OptionPlace, place: string): string[] {
  if ('variable' in at || !option.sensitive || at.section === option.section) return [];
  return [`${place}: Airflow 3.0 and 3.1 do not read it there: its section is [${option.section}]`];
}

/** Warns of an option of the file that a variable hides from Airflow. */
function hidden(
  option: AirflowOption,
  answer: Extract<OptionAnswer, { kind: 'value' }>,
  { airflow, env }: { airflow: AirflowFile; env: Environment },
): string[] {
  const { file } = airflow;
  if (file === null || !('variable' in answer.at)) return [];
  const inFile = lookUpOption(
    { ...option, sensitive: false },
    { file, env: { ...env, [optionVariable(option)]: undefined, [formerVariable(option)]: undefined } },
  );
  if (inFile.kind === 'absent' || (inFile.kind === 'value' && inFile.text === answer.text)) return [];
  const empty = answer.text === '' ? ' is set and empty, which is a value for Airflow, and' : '';
  return [`${answer.at.variable}${empty} hides ${placeName(inFile.at, airflow)}`];
}

function formerVariable(option: AirflowOption): string {
  return optionVariable(option.former ?? option);
}

/** Warns of options in the file that are meant for Airflow's backend, but that Airflow does not find. */
export function unreadOptions({ file, path }: AirflowFile, settings: readonly SettingName[]): string[] {
  if (file === null) return [];
  return SETTING_INPUTS.flatMap(({ setting, holds }) => {
    const option = settingOf(setting).airflow;
    if (option === undefined || holds === 'path' || !settings.includes(setting)) return [];
    return [...file.sections].flatMap(([section, options]) =>
      [...options].flatMap(([key, { line }]) => {
        const why = unreadBecause(option, { section, key, line }, file);
        return why === null
          ? []
          : [
              `${path}: [${section}] ${key}, line ${line}: Airflow ignores it without a word${why}: write [${option.section}] ${option.key}`,
            ];
      }),
    );
  });
}

/** Null: Airflow reads the option, or it is another one. */
function unreadBecause(
  option: AirflowOption,
  { section, key, line }: { readonly section: string; readonly key: string; readonly line: number },
  file: ConfigFile,
): string | null {
  const read = entryOf(file, option.section, option.key);
  if (isMeant(option, section, key)) return read?.line === line ? null : '';
  if (read !== null || !option.key.startsWith('xcom_')) return null;
  const [, bare = key, elsewhere] = /^(.*?)(_cmd|_secret)?$/.exec(key.toLowerCase()) ?? [];
  if (elsewhere !== undefined && bare === option.key)
    return `, since it takes ${option.key} from no command and no secrets backend`;
  return bare !== option.key && nearest(bare, [option.key], { within: SLIPS }) !== null ? '' : null;
}

/** The former names of common-io 1.3.0 are within this distance too. */
const SLIPS = 2;

/**
 * The names of the backend's options are nobody else's, so they count in any section. Others count only in their own.
 */
function isMeant({ section, key }: AirflowOption, givenSection: string, givenKey: string): boolean {
  if (givenSection === section && givenKey === key) return false;
  const sameKey = givenKey.toLowerCase() === key;
  return sameKey && (key.startsWith('xcom_') || givenSection.trim().toLowerCase() === section);
}
