import { formatCount } from '../lib/format.ts';
import type { Survey } from './survey.ts';

/** The behaviour of Airflow as rows and objects show it. The settings may say something else. */
export interface Observed {
  /**
   * A value of the threshold or more becomes an object. So the threshold is larger than the largest value in the
   * database, and no larger than the smallest object. Null: none of them has been seen. Both in bytes.
   */
  readonly threshold: { readonly above: number | null; readonly atMost: number | null };
  /** How many values and objects show the threshold. */
  readonly values: number;
  readonly objects: number;
  /** Base paths of the references in the window, the most used first. */
  readonly paths: Survey['paths'];
  /** References that lie under none of these paths. */
  readonly elsewhere: number;
}

export function observedOf({
  objects,
  values,
  paths,
  references,
}: Pick<Survey, 'objects' | 'values' | 'paths' | 'references'>): Observed {
  return {
    threshold: {
      above: values.count === 0 ? null : values.largest,
      atMost: objects.count === 0 ? null : objects.smallest,
    },
    values: values.count,
    objects: objects.count,
    paths,
    elsewhere: references - paths.reduce((sum, { rows }) => sum + rows, 0),
  };
}

const NOT_KNOWN = 'not known yet';

export function thresholdWords(effective: Observed | null): string {
  if (effective === null) return NOT_KNOWN;
  const { above, atMost } = effective.threshold;
  const values = `${counted(effective.values, 'value')} in the database`;
  const objects = counted(effective.objects, 'object');
  if (above === null)
    return atMost === null ? NOT_KNOWN : `at most ${counted(atMost, 'byte')}, by the sizes of ${objects}`;
  // There may be no threshold, or workers without one; and the sizes of compressed objects are not known.
  if (atMost === null)
    return `more than ${counted(above, 'byte')}, if one is in force everywhere, by the sizes of ${values}`;
  const sizes = `by the sizes of ${objects} and ${values}`;
  if (above >= atMost)
    return `no single one: an object of ${counted(atMost, 'byte')} and a value in the database of ${counted(above, 'byte')}, ${sizes}`;
  const least = above + 1;
  return least === atMost
    ? `${counted(atMost, 'byte')}, ${sizes}`
    : `between ${formatCount(least)} and ${counted(atMost, 'byte')}, ${sizes}`;
}

export function pathWords(effective: Observed | null): string {
  if (effective === null || effective.paths.length === 0) return NOT_KNOWN;
  const { paths, elsewhere } = effective;
  return [
    ...paths.map(({ path, rows }) => `${path} (${counted(rows, 'reference')})`),
    ...(elsewhere === 0 ? [] : [`elsewhere (${counted(elsewhere, 'reference')})`]),
  ].join(', ');
}

/** Groups the digits: sizes in bytes are long. */
function counted(count: number, word: string): string {
  return `${formatCount(count)} ${word}${count === 1 ? '' : 's'}`;
}
