import { defineConfig } from 'oxlint';

/** The packages that one room alone may import: another version of one, or another package, then touches that room. */
const ROOM_OF = [
  { files: ['src/postgres/**'], packages: ['pg'] },
  { files: ['src/s3/**'], packages: ['@aws-sdk/*', '@smithy/*'] },
  { files: ['src/metrics/**'], packages: ['prom-client'] },
  { files: ['src/http/**'], packages: ['express'] },
  { files: ['src/audit/**'], packages: ['@duckdb/*'] },
  { files: ['src/lib/cron.ts', 'src/daemon/schedule.ts'], packages: ['node-cron'] },
];

/** Forbids every package that is kept to a room, except those of `own`. */
function importsOf(own) {
  const patterns = ROOM_OF.filter((room) => room !== own).map(({ files, packages }) => ({
    group: packages,
    message: `Only ${files.join(' and ')} may import it.`,
  }));
  return ['error', { patterns }];
}

/** The strict rules of typescript-eslint that are not in the category of correctness. */
const STRICT = [
  'ban-ts-comment',
  'no-confusing-void-expression',
  'no-deprecated',
  'no-dynamic-delete',
  'no-empty-object-type',
  'no-explicit-any',
  'no-extraneous-class',
  'no-invalid-void-type',
  'no-misused-promises',
  'no-mixed-enums',
  'no-namespace',
  'no-non-null-asserted-nullish-coalescing',
  'no-non-null-assertion',
  'no-require-imports',
  'no-unnecessary-boolean-literal-compare',
  'no-unnecessary-condition',
  'no-unnecessary-template-expression',
  'no-unnecessary-type-arguments',
  'no-unnecessary-type-assertion',
  'no-unnecessary-type-constraint',
  'no-unnecessary-type-conversion',
  'no-unnecessary-type-parameters',
  'no-unsafe-argument',
  'no-unsafe-assignment',
  'no-unsafe-call',
  'no-unsafe-enum-assignment',
  'no-unsafe-enum-comparison',
  'no-unsafe-function-type',
  'no-unsafe-member-access',
  'no-unsafe-return',
  'only-throw-error',
  'prefer-literal-enum-member',
  'prefer-promise-reject-errors',
  'prefer-reduce-type-parameter',
  'prefer-return-this-type',
  'related-getter-setter-pairs',
  'require-await',
  'return-await',
  'unified-signatures',
  'use-unknown-in-catch-callback-variable',
];

export default defineConfig({
  options: { typeAware: true, typeCheck: true, denyWarnings: true, reportUnusedDisableDirectives: 'error' },
  plugins: ['typescript', 'oxc'],
  jsPlugins: ['./test/lint/no-elapsed-time.js', './test/lint/no-spread-push.js'],
  categories: { correctness: 'error' },
  ignorePatterns: ['dist', 'coverage', 'findings', 'charts', 'test/airflow', 'test/fixtures'],
  rules: {
    ...Object.fromEntries(STRICT.map((name) => [`typescript/${name}`, 'error'])),
    'typescript/restrict-plus-operands': [
      'error',
      {
        allowAny: false,
        allowBoolean: false,
        allowNullish: false,
        allowNumberAndString: false,
        allowRegExp: false,
      },
    ],
    'typescript/restrict-template-expressions': ['error', { allowNumber: true }],
    'typescript/require-array-sort-compare': 'off',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    // Python's truth of any value, said as such.
    'no-extra-boolean-cast': 'off',
    // Names from outside hold control characters, and so do the tests of them.
    'no-control-regex': 'off',
    'no-unused-vars': ['error', { ignoreRestSiblings: true }],
    'no-restricted-globals': ['error', { name: 'process', message: 'Only src/main.ts knows the process.' }],
    'no-restricted-properties': [
      'error',
      {
        object: 'URL',
        property: 'canParse',
        message: 'It changes its mind in Node 20 and 22: use parseUrl.',
      },
    ],
    'no-restricted-imports': importsOf(),
  },
  overrides: [
    { files: ['src/main.ts', 'test/**', '*.config.*'], rules: { 'no-restricted-globals': 'off' } },
    ...ROOM_OF.map((room) => ({ files: room.files, rules: { 'no-restricted-imports': importsOf(room) } })),
    { files: ['test/**'], rules: { 'no-restricted-imports': 'off' } },
    {
      // The rooms through which rows, objects and their figures go. Elsewhere a list has a few sentences.
      files: [
        'src/{airflow,audit,daemon,demo,diagnosis,lib,metrics,objects,postgres,probe,s3,sample,state,window}/**',
      ],
      rules: { 'stack/no-spread-push': 'error' },
    },
    {
      // What `npm test` runs, and faults of the database; how long something takes is what some other suites are for.
      files: ['test/{unit,integration,cli,charts,supply-chain,support,database}/**'],
      rules: { 'tests/no-elapsed-time': 'error' },
    },
  ],
});
