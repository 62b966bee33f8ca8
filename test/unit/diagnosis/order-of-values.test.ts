import { describe, expect, test } from 'vitest';
import type { Written } from '../../support/judged-rows.ts';
import { judge, kept, many, offloaded, raisedOf, TOLD } from '../../support/judged-rows.ts';

/** Tests what the order of times and the sizes say of workers that kept large values in the database. */

const on = (hostname: string | null) => (one: Written) => ({ ...one, hostname });
const gzip = (one: Written) => (one.under === null ? one : { ...one, suffix: '.gz' });
/** Puts each task into a pod of its own. */
const inPods = (one: Written, index: number) => ({ ...one, hostname: `pod-${index}` });

async function evidenceOf(written: readonly Written[], told = TOLD): Promise<string> {
  return (await judge(written, told)).problems.map(({ code, evidence }) => `${code}: ${evidence}`).join('\n');
}

describe('a repair', () => {
  const broken = [
    ...many(40, (i) => kept(2_009, 120 - i / 100, 'legacy')),
    ...many(20, (i) => offloaded(2_009, 119 - i / 100)),
  ];
  const mended = (bytes: number) => [
    ...broken,
    ...many(40, (i) => offloaded(bytes, 10 - i / 100, { queue: 'legacy' })),
    ...many(20, (i) => offloaded(2_009, 9 - i / 100)),
  ];

  test.each<[string, (one: Written, index: number) => Written]>([
    ['plain', (one) => one],
    ['compressed', gzip],
    ['on one host', on('worker-0')],
    ['compressed, on one host', (one) => gzip(on('worker-0')(one))],
    ['in pods', inPods],
    ['compressed, in pods', (one, index) => gzip(inPods(one, index))],
  ])('ends what was said of one pool, and of all: %s', async (_, as) => {
    expect(await raisedOf(broken.map(as), TOLD)).toEqual(['worker_bypass']);
    expect(await raisedOf(mended(2_009).map(as), TOLD)).toEqual([]);
    expect(await raisedOf(mended(3_009).map(as), TOLD)).toEqual([]);

    const nothing = many(30, (i) => kept(2_009, 120 - i / 100)).map(as);
    expect(await raisedOf(nothing, TOLD)).toEqual(['backend_inactive']);
    const again = (bytes: number) => many(30, (i) => as(offloaded(bytes, 10 - i / 100), 30 + i));
    expect(await raisedOf([...nothing, ...again(2_009)], TOLD)).toEqual([]);
    expect(await raisedOf([...nothing, ...again(3_009)], TOLD)).toEqual([]);
  });

  test('by new hosts, which take the place of those that lacked the backend', async () => {
    const deployed = [
      ...many(20, (i) => on(`old-${i % 2}`)(kept(2_009, 20 - i / 100))),
      ...many(20, (i) => on(`new-${i % 2}`)(offloaded(2_009, 5 - i / 100))),
    ];
    expect(await raisedOf(deployed, TOLD)).toEqual([]);
  });

  test('is no more than likely while few values came since: a warning tells of both', async () => {
    const few = many(2, (i) => offloaded(2_009, 5 - i, { queue: 'legacy' }));
    expect(await evidenceOf([...broken, ...few])).toBe(
      'oversize_in_db: The database holds 40 values of at least 1000 B, the largest of 2 KiB (2,009 B); the threshold is 1000 B, and 22 references in the window are as configured. On queue "legacy" 40 stayed until 2026-01-01T16:00Z beside no reference, and 2 references came since: the setting was changed there, or only some of these workers have it.',
    );
  });

  test('does not speak for another host that has fallen silent', async () => {
    const one = [
      ...many(30, (i) => on('node-1')(kept(2_009, 120 - i))),
      ...many(30, (i) => on('node-2')(offloaded(2_009, 120.5 - i))),
    ];
    expect(await raisedOf(one, TOLD)).toEqual(['worker_bypass']);
    const alone = many(60, (i) => on('node-2')(offloaded(2_009, 80 - i)));
    expect(await raisedOf([...one, ...alone], TOLD)).toEqual(['oversize_in_db']);
    // If the host itself goes on with references, nothing is left to raise.
    const both = alone.map((row, i) => on(`node-${1 + (i % 2)}`)(row));
    expect(await raisedOf([...one, ...both], TOLD)).toEqual([]);
  });

  test('of one pool does not speak for another', async () => {
    const gpu = many(20, (i) => kept(2_009, 8 - i / 100, 'gpu'));
    expect(await evidenceOf([...mended(2_009), ...gpu])).toMatch(
      /^worker_bypass: 20 of 20 large values on queue "gpu" stayed in the database, none of 80 elsewhere\. .*\(40 by workers that have put such values into object storage since\)\.$/,
    );
  });

  test('is not seen in references of the time before the fault', async () => {
    const lost = [
      ...many(40, (i) => offloaded(2_009, 200 - i / 100, { queue: 'legacy' })),
      ...broken,
      ...many(40, (i) => offloaded(2_009, 9 - i / 100)),
    ];
    expect(await raisedOf(lost, TOLD)).toEqual(['worker_bypass']);
  });

  test('is not seen in one value that stayed among many that did not', async () => {
    const stray = [...many(300, (i) => offloaded(2_009, 300 - i)), kept(2_009, 150.5)];
    expect(await raisedOf(stray, TOLD)).toEqual(['oversize_in_db']);
  });
});

describe('hosts of one queue, at one time', () => {
  const moment = [
    ...many(20, (i) => on('node-1')(kept(2_009, 10.5 - i / 100))),
    ...many(20, (i) => on('node-2')(offloaded(2_009, 10 - i / 100))),
  ];
  const reversed = moment.map((one) => ({ ...one, ago: 20 - one.ago }));

  test.each([
    ['the one without the backend first', moment],
    ['the one without the backend last', reversed],
  ])('no order is told by half a minute: %s', async (_, written) => {
    expect(await evidenceOf(written)).toMatch(/^worker_bypass: 20 of 20 large values on hostname "node-1"/);
  });
});

describe('two processes of one host', () => {
  const both = (large: number) => [
    ...many(20, (i) => on('worker')(kept(2_009, 50 - i * 1.6))),
    ...many(20, (i) => on('worker')(offloaded(large, 49.5 - i * 1.6))),
  ];

  test('a value as large went to S3 in between: no threshold does that', async () => {
    expect(await raisedOf(both(2_009), TOLD)).toEqual(['oversize_in_db']);
    expect(await raisedOf([...both(2_009), on('worker')(offloaded(1_509, 5))], TOLD)).toEqual([
      'oversize_in_db',
    ]);
  });

  test('only larger ones did, and one smaller at last: a threshold that was lowered, or one process without the backend', async () => {
    expect(await evidenceOf([...both(3_009), on('worker')(offloaded(1_509, 5))])).toMatch(
      /^oversize_in_db: .*On queue "default" 20 stayed until 2026-01-01T17:40Z beside 20 references, and 1 reference came since: the setting was changed there, or only some of these workers have it\.$/,
    );
  });

  test('some smaller ones since: the threshold was lowered', async () => {
    const lowered = [...both(3_009), ...many(3, (i) => on('worker')(offloaded(1_509, 5 - i)))];
    expect(await raisedOf(lowered, TOLD)).toEqual([]);
  });
});

describe('one operator kept its values on a host', () => {
  const by = (operator: string, hostname: string) => (one: Written) => ({ ...one, operator, hostname });
  const until = (ago: number) => many(60, (i) => by('Python', 'node-2')(offloaded(2_009, ago + i)));
  const elsewhere = until(3);
  const own = many(12, (i) => by('Own', 'node-1')(kept(2_009, 60 - i)));
  const put = (ago: number) => many(3, (i) => by('Python', 'node-1')(offloaded(2_009, ago - i)));
  const mine = many(6, (i) => by('Own', 'node-1')(offloaded(2_009, 100 - i)));

  test.each([
    ['on which another put some later', put(20), 'since, so that they have the setting'],
    [
      'on which another put some later, and it did itself before',
      [...mine, ...put(20)],
      'since, so that they have the setting',
    ],
    ['on which another put some meanwhile', put(55), 'storage, so that they have the setting'],
    ['on which another put some before', put(80), 'whether they still have the setting is not known'],
  ])('%s: a warning names it', async (_, beside, words) => {
    const { problems, undecided } = await judge([...elsewhere, ...own, ...beside], TOLD);
    expect(problems.map(({ code, evidence }) => `${code}: ${evidence}`)).toEqual([
      expect.stringMatching(
        /^oversize_in_db: .* 12 of (15|21) large values on hostname "node-1" stayed in the database, none of 60 elsewhere, those of operator "Own" on hosts that put others\.$/,
      ),
    ]);
    expect(undecided.worker_bypass).toMatch(new RegExp(`${words}$`));
  });

  test('and nothing else was written since: that is no failure of all', async () => {
    const rows = [...until(70), ...own, ...put(80)];
    expect(await raisedOf(rows, TOLD)).toEqual(['oversize_in_db']);
    const others = many(8, (i) => by('Python', 'node-1')(kept(2_009, 50 - i)));
    expect(await raisedOf([...rows, ...others], TOLD)).toEqual(['backend_inactive']);
  });

  test('on which nothing was put, or only before others kept theirs as well: the host lacks the setting', async () => {
    expect(await raisedOf([...elsewhere, ...own], TOLD)).toEqual(['worker_bypass']);
    const others = many(5, (i) => by('Bash', 'node-1')(kept(2_009, 50 - i)));
    expect(await raisedOf([...elsewhere, ...own, ...others, ...put(80)], TOLD)).toEqual(['worker_bypass']);
    expect(await raisedOf([...elsewhere, ...own, ...mine, ...put(80)], TOLD)).toEqual(['worker_bypass']);
  });
});

describe('a pool with a threshold of its own', () => {
  const pool = [
    ...many(15, (i) => kept(2_009, 10.5 - i / 2, 'legacy')),
    ...many(15, (i) => offloaded(9_009, 10 - i / 2, { queue: 'legacy' })),
    ...many(15, (i) => offloaded(2_009, 10 - i / 2)),
  ];

  test('is no pool without the backend', async () => {
    expect(await evidenceOf(pool)).toBe(
      'threshold_mismatch: The threshold is 1000 B. On queue "legacy" the largest value in the database has 2 KiB (2,009 B) and the smallest object 8.8 KiB (9,009 B): the workers there use a threshold between the two.',
    );
    expect((await judge(pool, TOLD)).problems[0]?.where).toContainEqual({
      label: 'queue',
      value: 'legacy',
      rows: 15,
    });
  });

  test('of which the sizes are not known: a warning tells of both', async () => {
    expect(await evidenceOf(pool.map(gzip))).toMatch(
      /^oversize_in_db: .*On queue "legacy" 15 stayed until \S+ beside 14 references, and 1 reference came since: the setting was changed there, or only some of these workers have it\.$/,
    );
  });

  test('beside one without the backend: both are said', async () => {
    const none = many(15, (i) => kept(2_009, 10 - i / 2, 'gpu'));
    expect(await raisedOf([...pool, ...none], TOLD)).toEqual(['worker_bypass', 'threshold_mismatch']);
  });

  test('and no threshold is told: its sizes are', async () => {
    const large = pool.map((one) => ({ ...one, bytes: one.bytes * 600 }));
    const { 'xcom.threshold': _, ...rest } = TOLD;
    expect((await judge(large, rest)).problems).toMatchObject([
      {
        code: 'oversize_in_db',
        evidence: expect.stringMatching(
          /no threshold is known.*On queue "legacy" the largest value in the database has 1\.1 MiB \(1,205,400 B\) and the smallest object 5\.2 MiB \(5,405,400 B\)/,
        ) as string,
      },
    ]);
  });
});

describe('a total failure since a moment', () => {
  const before = many(8, (i) => offloaded(2_009, 120 - i));
  const since = many(8, (i) => kept(2_009, 10 - i));

  test('is told by its values, however long the window', async () => {
    expect(await evidenceOf([...before, ...since])).toBe(
      'backend_inactive: The database holds 8 values of at least 1000 B, the largest of 2 KiB (2,009 B); 8 of them stayed there since 2026-01-01T16:07Z, and no reference has been written since then.',
    );
    const pods = [...before, ...since].map(inPods);
    expect(await raisedOf(pods, TOLD)).toEqual(['backend_inactive']);
    expect(await raisedOf([...before, ...since].map(gzip), TOLD)).toEqual(['backend_inactive']);
  });

  test('by a deploy, which gives the hosts other names', async () => {
    const deployed = [...before.map(on('old')), ...since.map(on('new'))];
    expect(await raisedOf(deployed, TOLD)).toEqual(['backend_inactive']);
  });

  test('of two queues of which one is the busy one', async () => {
    const two = [
      ...many(40, (i) => offloaded(2_009, 200 - i, { queue: i % 4 === 0 ? 'etl' : 'default' })),
      ...many(40, (i) => kept(2_009, 50 - i, i % 13 === 0 ? 'etl' : 'default')),
    ];
    expect(await raisedOf(two, TOLD)).toEqual(['backend_inactive']);
  });

  test('is not told by few: the warning says since when there is none', async () => {
    expect(await evidenceOf([...before, ...since.slice(0, 3)])).toMatch(
      /^oversize_in_db: .*8 references in the window are as configured, none since 2026-01-01T16:07Z\.$/,
    );
  });

  test('is not told by the first value since, which shows nothing yet', async () => {
    // With eight references and five values after them the chance is 8 / 1,287, less than one in a hundred.
    expect(await raisedOf([...before, ...since.slice(0, 6)], TOLD)).toEqual(['backend_inactive']);
    expect(await raisedOf([...before, ...since.slice(0, 5)], TOLD)).toEqual(['oversize_in_db']);
  });

  test('is not told of a pool that never had the backend, while the others are idle', async () => {
    const idle = [...before, ...many(8, (i) => kept(2_009, 10 - i, 'legacy'))];
    expect(await raisedOf(idle, TOLD)).toEqual(['worker_bypass']);
  });

  test('one shard of two does not know of the others', async () => {
    const { states } = await judge([...before, ...since], { ...TOLD, shard: '0/2' });
    expect(states.backend_inactive).toBe('unknown');
    expect(states.oversize_in_db).toBe('raised');
  });
});

test('what the REST API wrote is told with its own cause, and no setting of a worker is doubted', async () => {
  const written = [...many(10, (i) => offloaded(2_009, 10 + i)), { ...kept(3_009, 1), byServer: true }];
  expect(await evidenceOf(written)).toBe(
    'oversize_in_db: The database holds 1 value of at least 1000 B, the largest of 2.9 KiB (3,009 B) (1 written by the REST API or the server); what the REST API, the server and other languages write never goes to object storage.',
  );
});
