import { expect, test } from 'vitest';
import { auditResult } from '../../../src/commands/audit-result.ts';

const amount = (objects: number) => ({ objects, bytes: objects * 10, dollars: 0.5 });
const plain = (objects: number) => ({ objects, bytes: objects * 10 });

type Found = Parameters<typeof auditResult>[0];

const FOUND: Found = {
  rowsAsOf: 1,
  unlisted: [],
  figures: {
    objects: { named: amount(5), orphaned: amount(2), young: amount(1), other: amount(0) },
    references: { outside: 0, young: 0 },
  },
  confirmed: { absent: 4, looked: 4, missing: 3, present: 1, vanished: 0, unknown: 0, doubts: [] },
};

test.each<[string, Partial<Found>, Partial<ReturnType<typeof auditResult>>]>([
  ['is what was found, without prices', {}, {}],
  ['counts the places that were not listed', { unlisted: [{}, {}] }, { unlistedPlaces: 2 }],
  [
    'calls nothing orphaned that was not judged',
    { rowsAsOf: null },
    { objects: { named: plain(5), orphaned: null, young: null, other: plain(0) } },
  ],
  [
    'does not know which objects rows name when the listing may have other names for them',
    {
      confirmed: {
        ...FOUND.confirmed,
        doubts: [{ bucket: 'bucket', references: 1, why: 'of a contradiction' }],
      },
    },
    { objects: { named: null, orphaned: null, young: null, other: null } },
  ],
  [
    'does not know how many are missing when storage did not say it of one',
    { confirmed: { ...FOUND.confirmed, missing: 3, present: 0, unknown: 1 } },
    { missing: null },
  ],
  [
    'does not know how many are missing when only a sample was asked for',
    {
      figures: { ...FOUND.figures, references: { outside: 0, young: 0 } },
      confirmed: { ...FOUND.confirmed, absent: 9_000, looked: 2_000, missing: 2_000, present: 0 },
    },
    { missing: null },
  ],
  [
    'does not know how many are missing when the listing says nothing of some',
    {
      figures: { ...FOUND.figures, references: { outside: 0, young: 0 } },
      confirmed: {
        ...FOUND.confirmed,
        absent: 9_000,
        looked: 2_000,
        missing: 2_000,
        present: 0,
        unknown: 5,
      },
    },
    { missing: null },
  ],
  [
    'does not know how many are missing when some are outside of what was listed',
    { figures: { ...FOUND.figures, references: { outside: 1, young: 0 } } },
    { missing: null },
  ],
  [
    'does not know how many are missing when some are too young for the inventory',
    { figures: { ...FOUND.figures, references: { outside: 0, young: 1 } } },
    { missing: null },
  ],
  [
    'does not know how many are missing when one of a sample is there',
    {
      figures: { ...FOUND.figures, references: { outside: 0, young: 0 } },
      confirmed: { ...FOUND.confirmed, absent: 9_000, looked: 2_000, missing: 1_999, present: 1 },
    },
    { missing: null },
  ],
])('what an audit leaves %s', (_, changes, expected) => {
  expect(auditResult({ ...FOUND, ...changes }, 7)).toEqual({
    at: 7,
    objects: { named: plain(5), orphaned: plain(2), young: plain(1), other: plain(0) },
    missing: 3,
    unlistedPlaces: 0,
    ...expected,
  });
});
