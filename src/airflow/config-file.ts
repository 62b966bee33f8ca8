import { PYTHON_SPACE, rstrip, strip } from './python-values.ts';

/** One option as it is written; several lines form one text. */
export interface ConfigEntry {
  readonly text: string;
  /** The line number, counted from 1. */
  readonly line: number;
}

/** Airflow's configuration file as Python's `configparser.ConfigParser` reads it; names keep their case. */
export interface ConfigFile {
  readonly sections: ReadonlyMap<string, ReadonlyMap<string, ConfigEntry>>;
  /** The options of `[DEFAULT]`, which show up in every section that exists. */
  readonly defaults: ReadonlyMap<string, ConfigEntry>;
}

/** A file that Python refuses as a whole, with Python's name for the error. */
export interface ConfigFileFault {
  readonly fault:
    | 'MissingSectionHeaderError'
    | 'ParsingError'
    | 'DuplicateSectionError'
    | 'DuplicateOptionError';
  readonly line: number;
}

interface Growing {
  readonly lines: string[];
  readonly line: number;
}

/** The state at a line: the section, the option that a continuation belongs to, and the indent of that option. */
interface Place {
  sectionName: string;
  section: Map<string, Growing> | null;
  option: string | null;
  indent: number;
}

const DEFAULT_SECTION = 'DEFAULT';
const HEADER = /^\[([^\n]+)\]/;
const OPTION = new RegExp(`^([^\\n]*?)[${PYTHON_SPACE}]*[=:][${PYTHON_SPACE}]*([^\\n]*)$`);
const INDENT = new RegExp(`^[${PYTHON_SPACE}]*`);

export function parseConfigFile(content: string): ConfigFile | ConfigFileFault {
  const sections = new Map<string, Map<string, Growing>>();
  const defaults = new Map<string, Growing>();
  const place: Place = { sectionName: '', section: null, option: null, indent: 0 };
  // Python reads on after a ParsingError, because a worse error may follow.
  let firstWrong: ConfigFileFault | null = null;

  for (const [index, line] of content.split(/\r\n|\r|\n/).entries()) {
    const fault = takeLine(line, index + 1, { sections, defaults, place });
    if (fault?.fault === 'ParsingError') firstWrong ??= fault;
    else if (fault !== null) return fault;
  }
  return (
    firstWrong ?? {
      sections: new Map([...sections].map(([name, options]) => [name, joined(options)])),
      defaults: joined(defaults),
    }
  );
}

function takeLine(
  line: string,
  number: number,
  {
    sections,
    defaults,
    place,
  }: { sections: Map<string, Map<string, Growing>>; defaults: Map<string, Growing>; place: Place },
): ConfigFileFault | null {
  const text = strip(line);
  const open = place.option === null ? undefined : place.section?.get(place.option);
  if (/^[#;]/.test(text)) return null;
  if (text === '') {
    open?.lines.push('');
    return null;
  }
  const indent = INDENT.exec(line)?.[0].length ?? 0;
  if (open !== undefined && indent > place.indent) {
    open.lines.push(text);
    return null;
  }
  place.indent = indent;
  const header = HEADER.exec(text)?.[1];
  if (header !== undefined) {
    if (sections.has(header)) return { fault: 'DuplicateSectionError', line: number };
    const section = header === DEFAULT_SECTION ? defaults : new Map<string, Growing>();
    if (header !== DEFAULT_SECTION) sections.set(header, section);
    Object.assign(place, { sectionName: header, section, option: null });
    return null;
  }
  if (place.section === null) return { fault: 'MissingSectionHeaderError', line: number };
  const [, name, value = ''] = OPTION.exec(text) ?? [];
  if (name === undefined) return { fault: 'ParsingError', line: number };
  if (place.section.has(name)) return { fault: 'DuplicateOptionError', line: number };
  place.section.set(name, { lines: [value], line: number });
  // An option without a name has no continuation lines.
  place.option = name === '' ? null : name;
  return name === '' ? { fault: 'ParsingError', line: number } : null;
}

function joined(options: ReadonlyMap<string, Growing>): ReadonlyMap<string, ConfigEntry> {
  return new Map(
    [...options].map(([name, { lines, line }]) => [name, { text: rstrip(lines.join('\n')), line }]),
  );
}

/** The option of a section; if the section exists without that option, the one of `[DEFAULT]`. */
export function entryOf(file: ConfigFile, section: string, key: string): ConfigEntry | null {
  const options = file.sections.get(section);
  return options === undefined ? null : (options.get(key) ?? file.defaults.get(key) ?? null);
}
