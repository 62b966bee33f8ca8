import { describe, expect, test } from 'vitest';
import { pickled, uuid4 } from '../support/plant.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useS3 } from '../support/s3.ts';
import { listShapes, openCycle, openStage, sumUp } from '../support/seed.ts';
import { hostileText, rounds } from './chance.ts';
import type { Chance } from './chance.ts';

const postgres = useOwnPostgres();
const s3 = useS3('airflow-xcom');
const THRESHOLD = 1_000;

/** The oldest shape and the two newest: with `bytea`, with `jsonb` and with two tables. */
const shapes = listShapes();
const chosen = [shapes[0], shapes.at(-2), shapes.at(-1)].filter((one) => one !== undefined);

/** A value for a column of bytes, as a worker, a broken worker or a person may have left it there. */
function someBytes(chance: Chance): Buffer {
  const length = chance.once(20) ? chance.int(200_000) : chance.int(2_500);
  const whole = Buffer.from(pickled(hostileText(chance, 300)));
  switch (chance.int(6)) {
    case 0:
      return chance.bytes(Math.min(length, 5_000));
    case 1: // a pickle that breaks off
      return whole.subarray(0, chance.int(whole.length + 1));
    case 2: {
      // a pickle with a byte turned
      whole[chance.int(whole.length)] = chance.int(256);
      return whole;
    }
    case 3: // invalid UTF-8 where text is expected
      return Buffer.concat([Buffer.from('"'), chance.bytes(chance.int(400)), Buffer.from('"')]);
    case 4: // a reference that breaks off in its middle
      return Buffer.from(
        `"s3://aws_xcom@airflow-xcom/base/${hostileText(chance, 40)}/${uuid4().slice(0, 35)}`,
      );
    default:
      return Buffer.alloc(length, chance.int(256));
  }
}

/** JSON text of any type. */
function someJson(chance: Chance, depth = 0): string {
  switch (chance.int(depth > 4 ? 6 : 9)) {
    case 0:
      return chance.pick([
        'null',
        'true',
        'false',
        '0',
        '-0',
        '1.5',
        '-17',
        '123456789012345',
        '1e5',
        '2E-3',
      ]);
    case 1:
      return JSON.stringify(hostileText(chance, 60));
    case 2:
      return JSON.stringify('ж'.repeat(chance.int(400)));
    case 3:
      return JSON.stringify('x'.repeat(chance.int(chance.once(10) ? 60_000 : 1_500)));
    case 4:
      return JSON.stringify(
        `s3://aws_xcom@airflow-xcom/${hostileText(chance, 30)}/${uuid4()}`.replaceAll('/base/', '/'),
      );
    case 5:
      return JSON.stringify('😀'.repeat(chance.int(120)));
    case 6: {
      const deep = chance.int(chance.once(5) ? 900 : 20);
      return `${'['.repeat(deep)}${someJson(chance, 9)}${']'.repeat(deep)}`;
    }
    case 7:
      return `[${Array.from({ length: chance.int(8) }, () => someJson(chance, depth + 1)).join(',')}]`;
    default:
      return `{${Array.from(
        { length: chance.int(6) },
        (_, at) => `${JSON.stringify(`${hostileText(chance, 12)}${at}`)}:${someJson(chance, depth + 1)}`,
      ).join(',')}}`;
  }
}

/**
 * The length as Python's `json.dumps` writes it. Postgres separates as Python does, but does not escape what Python
 * escapes.
 */
function measured(text: string): number {
  let length = 0;
  for (let at = 0; at < text.length; at += 1) length += text.charCodeAt(at) >= 0x7f ? 6 : 1;
  return length;
}

describe.each(chosen)('rows of $shape', ({ release }) => {
  test('any value under any name is counted once, at its size', async () => {
    const stage = await openStage(postgres(), release);
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    const isBytea = stage.source.value === 'bytea';
    try {
      await cycle.pass();
      const done = await rounds(async (chance, round) => {
        const name = (longest: number) => `${hostileText(chance, longest - 12)}${round}`;
        const run = await stage.addRun({
          dagId: name(200),
          runId: name(200),
          state: chance.pick(['running', 'queued']),
        });
        const expected = { rows: 0, bytes: 0, oversize: 0 };
        for (let at = 0; at < 25; at += 1) {
          const stored = chance.once(15) ? null : isBytea ? someBytes(chance) : someJson(chance);
          const place = {
            run,
            taskId: `${hostileText(chance, 200)}${at}`,
            key: `k${hostileText(chance, 400)}${at}`,
          };
          await stage.push({ ...place, stored, queue: 'default' });
          const [answer] = await stage.writer.query<{ text: string | null; bytes: number }>(
            isBytea
              ? `SELECT NULL AS text, octet_length(value) AS bytes FROM ${stage.source.table} WHERE key = $1 ORDER BY timestamp DESC`
              : `SELECT value::text AS text, 0 AS bytes FROM ${stage.source.table} WHERE key = $1 ORDER BY timestamp DESC`,
            [place.key],
          );
          const bytes =
            answer?.text === null || answer === undefined ? (answer?.bytes ?? 0) : measured(answer.text);
          expected.rows += 1;
          expected.bytes += stored === null ? 0 : bytes;
          expected.oversize += bytes >= THRESHOLD ? 1 : 0;
        }
        const { counters } = sumUp((await cycle.pass()).increments);
        const sum = (start: string) =>
          Object.entries(counters).reduce(
            (total, [key, value]) => total + (key.startsWith(start) ? value : 0),
            0,
          );
        expect({
          rows: sum(`rows_total ${run.dagId} db`),
          bytes: sum('bytes_total db'),
          oversize: sum(`oversize_in_db_total ${run.dagId} `),
          all: sum('rows_total '),
        }).toEqual({ ...expected, all: expected.rows });
        if (chance.once(3)) await stage.setState(run, chance.pick(['success', 'failed']));
        if (chance.once(5)) await stage.deleteRun(run);
      });
      expect(done).toBeGreaterThan(0);
    } finally {
      await cycle.close();
      await stage.close();
    }
  });

  test('100 MB in one value is one row, and none of it is fetched', async () => {
    const stage = await openStage(postgres(), release);
    const cycle = openCycle(stage, { endpoint: s3().endpoint });
    try {
      await cycle.pass();
      const run = await stage.addRun({ dagId: 'large', runId: 'large' });
      await stage.push({
        run,
        taskId: 'extract',
        stored: stage.source.value === 'bytea' ? Buffer.from('""') : '""',
      });
      const { table, value } = stage.source;
      const large = `(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 3125000) i)`;
      await stage.writer.query(
        value === 'bytea'
          ? `UPDATE ${table} SET value = convert_to(${large}, 'UTF8')`
          : `UPDATE ${table} SET value = to_jsonb(${large})`,
      );
      const before = process.memoryUsage().rss;
      const start = performance.now();
      const { counters } = sumUp((await cycle.pass()).increments);
      expect(performance.now() - start).toBeLessThan(10_000);
      expect(counters['rows_total large db']).toBe(1);
      expect(counters['oversize_in_db_total large default']).toBe(1);
      expect(counters['bytes_total db']).toBeGreaterThan(30_000_000);
      expect(process.memoryUsage().rss - before).toBeLessThan(60 * 2 ** 20);
    } finally {
      await cycle.close();
      await stage.close();
    }
  });
});
