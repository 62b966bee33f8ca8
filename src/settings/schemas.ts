import { z } from 'zod';
import { wholeNumberOf } from '../airflow/config-option.ts';
import { scheduleFault } from '../lib/cron.ts';
import { parseUrl } from '../lib/parse-url.ts';
import { quotedIf } from '../lib/quoted-if.ts';

/** Makes a schema of a function that throws RangeError. Any other error is a mistake of ours and is passed on. */
export function parsed<T>(parse: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
}

export function optional<T>(parse: (text: string) => T) {
  return parsed((text): T | null => (text === '' ? null : parse(text)));
}

export function wholeNumber(least: number) {
  return parsed((text) => parseWholeNumber(text, least));
}

/** A whole number as Airflow reads its own option. Airflow's numbers have no limit. Beyond 2^53 the nearest double is good enough to compare sizes with. */
export function integer() {
  return parsed((text) => {
    const whole = wholeNumberOf(text);
    if (whole === null) throw new RangeError(`${numberGiven(text)} is not a whole number`);
    return Math.min(Math.max(Number(whole.number), -Number.MAX_VALUE), Number.MAX_VALUE);
  });
}

export function parseWholeNumber(text: string, least = 0): number {
  const number = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(number) || number < least) {
    const limit = least === Number.MIN_SAFE_INTEGER ? '' : ` of at least ${least}`;
    throw new RangeError(`${numberGiven(text)} is not a whole number${limit}`);
  }
  return number;
}

function numberGiven(text: string): string {
  return quotedIf(/^[\s\d.,_+ekmgibytsEKMGIBYTS-]{0,40}$/, text);
}

/** The names of days and months are left out of it, since a password may be a word as well. */
const HARMLESS_SCHEDULE = /^(?:@[a-z]{1,8}|[\d\s*,/?#-]{0,60})$/;

/** One space between the fields: the schedule is compared and shown in this form. */
export function parseSchedule(text: string): string {
  const fields = text.split(/\s+/).filter((field) => field !== '');
  const expression = fields.join(' ');
  if (fields.length !== 6) {
    const given = fields.length === 1 ? '1 field' : `${fields.length} fields`;
    throw new RangeError(
      `${quotedIf(HARMLESS_SCHEDULE, text)} has ${given}: a cron expression with seconds has six fields, as */30 * * * * *`,
    );
  }
  const fault = scheduleFault(expression);
  if (fault !== null) {
    // The fault repeats a field.
    const why = HARMLESS_SCHEDULE.test(text) ? `: ${fault}` : '';
    throw new RangeError(
      `${quotedIf(HARMLESS_SCHEDULE, text)} is not a cron expression with seconds${why}; write six fields, as */30 * * * * *`,
    );
  }
  return expression;
}

/** Host '' is every interface. */
export function parseListenAddress(text: string): { readonly host: string; readonly port: number } {
  const [, ipv6, host = '', port = ''] = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]\s/]*)):(\d{1,5})$/i.exec(text) ?? [];
  if (port === '' || Number(port) > 65_535) {
    throw new RangeError(
      `${quotedIf(/^(?:localhost|[\d.:[\]])*$/, text)} is not an address: write :10048, 127.0.0.1:10048 or [::1]:10048`,
    );
  }
  return { host: ipv6 ?? host, port: Number(port) };
}

/** A name of a view that needs no quotes, with its schema or without. */
export function parseView(text: string): string {
  if (!/^[a-z_][a-z0-9_]{0,62}(?:\.[a-z_][a-z0-9_]{0,62})?$/.test(text))
    throw new RangeError('what is given is no plain name of a view, as xcom_exporter_connection');
  return text;
}

/** Removes the slash at the end. */
export function parseBaseUrl(text: string): string {
  const url = parseUrl(text);
  // The message leaves the text out: a password in it would be read in the log.
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new RangeError(
      'is not the address of a web server: write http://host:port or https://host, without a user',
    );
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
