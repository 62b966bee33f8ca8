import { describe, expect, test } from 'vitest';
import type { Audit } from '../../../src/audit/audit.ts';
import { auditCode, auditText } from '../../../src/audit/summary.ts';
import { ONE_LIVE } from '../../support/audit-references.ts';

const nothing = { objects: 0, bytes: 0, dollars: null };
const WHOLE: Audit = {
  rowsAsOf: 1,
  inventoryAt: null,
  sources: ['xcom'],
  places: [{ bucket: 'bucket', prefix: 'xcom', connection: '' }],
  unlisted: [],
  held: [],
  figures: {
    references: ONE_LIVE,
    objects: {
      all: nothing,
      named: nothing,
      orphaned: nothing,
      deletable: nothing,
      young: nothing,
      other: nothing,
    },
    byClass: [],
    byDag: [],
    byMonth: [],
    oldest: null,
    undecided: [],
  },
  confirmed: {
    absent: 0,
    looked: 0,
    missing: 0,
    present: 0,
    vanished: 0,
    unknown: 0,
    unjudged: [],
    unanswered: [],
    doubts: [],
  },
  safe: { days: null, reason: 'no object that a row names was found' },
  deletedUpTo: 1,
};
const text = (audit: Audit) => auditText(audit, { folder: 'out', plain: (name) => name });

describe('an audit', () => {
  test('says that all is there if all was looked at', () => {
    expect(auditCode(WHOLE)).toBe(0);
    expect(text(WHOLE)).toMatch(/^All objects that rows name are there\.\n/);
  });

  test('says how many months it leaves out', () => {
    const byMonth = Array.from({ length: 14 }, (_, at) => ({
      month: `2025-${String(at + 1).padStart(2, '0')}`,
      all: nothing,
      orphaned: nothing,
    }));
    const said = text({ ...WHOLE, figures: { ...WHOLE.figures, byMonth } });
    expect(said.split('\n').filter((line) => /^ {2}2025-/.test(line))).toHaveLength(12);
    expect(said).toContain('\n  and 2 more: summary.json\n');
  });

  test.each([
    ['outside', 'Not known: 5 references below s3://states/s/ are outside of what was listed.'],
    ['young', 'Not known: 5 references below s3://states/s/ are too young for the inventory.'],
  ] as const)('says that it is not known of references that are %s, and where they point', (why, line) => {
    const audit: Audit = {
      ...WHOLE,
      figures: {
        ...WHOLE.figures,
        references: { ...ONE_LIVE, [why]: 5 },
        undecided: [{ place: 's3://states/s/', why, references: 5 }],
      },
    };
    expect(auditCode(audit)).toBe(2);
    expect(text(audit)).toMatch(/^Not all could be found out\.\n/);
    expect(text(audit)).toContain(`\n${line}\n`);
  });
});
