import { isAccessPointName } from '../airflow/bucket.ts';
import { isPlaceOf } from '../airflow/xcom-path.ts';
import type { Doubt } from './doubts.ts';
import type { Base } from './named-object.ts';
import { byPlaces } from './places.ts';

/** A place whose orphans are listed, but not for deletion. */
export interface HeldPlace extends Base {
  readonly why: string;
}

export interface HeldPlacesOptions {
  /** The places that Airflow is configured to write to. */
  readonly configured: readonly Base[];
  /** The places that Airflow wrote to, as rows say, with every connection by which rows name them. */
  readonly bases: readonly Base[];
  /** The buckets that rows of any kind name. */
  readonly buckets: readonly string[];
  readonly doubts: readonly Doubt[];
}

const MAY_BE_A_TASKS =
  'xcom.path does not name this place, and the files may be of a task that laid them out itself';

/** The places where a file in the form of an XCom need not be Airflow's to delete. */
export function heldPlaces({ configured, bases, buckets, doubts }: HeldPlacesOptions): HeldPlace[] {
  const places = byPlaces([...configured, ...bases]);
  const names = new Set([...buckets, ...places.map(([{ bucket }]) => bucket)]);
  const accessPoint = names.size > 1 ? [...names].find(isAccessPointName) : undefined;
  return places.flatMap((place) => {
    const [first] = place;
    if (accessPoint !== undefined)
      return [
        {
          ...first,
          why: `${accessPoint} is an access point, so rows may name an object here by another name of its bucket`,
        },
      ];
    const doubt = doubts.find(({ bucket }) => bucket === first.bucket);
    if (doubt !== undefined) return [{ ...first, why: doubt.why }];
    return place.some((base) => isAirflows(base, configured)) ? [] : [{ ...first, why: MAY_BE_A_TASKS }];
  });
}

/**
 * Airflow reads everything below its path, but this does not count here: tasks may have files of their own below it. If
 * the path is a whole bucket, they likely do.
 */
function isAirflows(base: Base, configured: readonly Base[]): boolean {
  const scheme = 's3';
  return configured.some((path) => isPlaceOf({ ...path, scheme }, { ...base, scheme }));
}
