import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ANSWERS } from './answers.ts';
import { findS5cmd } from '../bench/s3-server.ts';
import type { Case } from './case.ts';
import { PRESENCE } from './presence.ts';
import { REFUSALS } from './refusals.ts';
import type { Row } from './results.ts';
import { keepResults, writeResults } from './results.ts';
import { requestsOn } from './requests.ts';
import { BAR, keepRequests, ratioOf, writeRequests } from './requests-results.ts';
import { SERVERS } from './servers.ts';
import { THOUSAND } from './thousand.ts';
import { transcriptOf } from './transcript.ts';
import type { World } from './world.ts';
import { startWorld } from './world.ts';
import { WRITES } from './writes.ts';

const CASES: readonly Case[] = [...PRESENCE, ...REFUSALS, ...ANSWERS, ...WRITES, ...THOUSAND];

const wanted = (process.env['S3_SERVERS'] ?? '').split(' ').filter((name) => name !== '');
const unknownNames = wanted.filter((name) => !SERVERS.some((server) => server.name === name));
if (unknownNames.length > 0) throw new Error(`No such server: ${unknownNames.join(', ')}`);

describe.each(SERVERS.filter(({ name }) => wanted.length === 0 || wanted.includes(name)))(
  '$title',
  (server) => {
    let world: World;
    const rows: Row[] = [];

    beforeAll(async () => {
      world = await startWorld(server);
    });

    afterAll(async () => {
      keepResults(server.name, rows);
      writeResults(CASES.map(({ name }) => name));
      await world.stop();
    });

    test.each(CASES)('$name', async ({ name, run }) => {
      const cell = await run(world).catch((error: unknown) => ({
        seen: 'the case could not be run',
        said: String(error).slice(0, 300),
        right: false,
      }));
      rows.push({ name, ...cell });
      expect(cell).toMatchObject({ right: true });
    });

    test('requests for each reference', async () => {
      const requests = await requestsOn(world, (await findS5cmd())?.path ?? null);
      keepRequests(server.name, requests);
      writeRequests();
      expect(ratioOf(requests)).toBeLessThanOrEqual(BAR);
    }, 1_800_000);

    test('check --probe-only', async () => {
      await expect(await transcriptOf(world)).toMatchFileSnapshot(`./transcripts/${server.name}.txt`);
    });
  },
);
